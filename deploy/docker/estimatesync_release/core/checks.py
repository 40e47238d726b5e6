"""What must be true before a release: one version everywhere, a changelog that has it, nothing uncommitted."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

VERSION: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}")
"""Python and Helm write a version that comes before another one in two ways, so that neither takes the other's."""
PLACES: Final = {
    "pyproject.toml": (("version", r'^version = "([^"]+)"'),),
    "charts/estimatesync/Chart.yaml": (
        ("version", r"^version: *\"?([^\"\s]+)"),
        ("appVersion", r"^appVersion: *\"?([^\"\s]+)"),
    ),
    "deploy/moving/import-job.yaml": (("the image's tag", r"^\s*image: estimatesync-sync:(\S+)"),),
    "deploy/compose/compose.yaml": (("the image's tag", r"^\s*image: \S*estimatesync-server:([^\s}]+)"),),
}
"""Every file that says which version this is, and what in it says so."""
PAGES: Final = {
    "SECURITY.md": (("an image's tag", r"/estimatesync-api:(\S+)"), ("a tag of git", r"refs/tags/v(\S+)")),
    "docs/one-server.md": (("a wheel of", r"^(?!.*--upgrade).*estimatesync-([^-\s]+)-py3"),),
}
"""The same for pages whose commands name it."""
CHANGELOG: Final = "CHANGELOG.md"
FRAGMENT: Final = re.compile(r"changelog\.d/.+\.(?:upgrade|feature|change|fix)\.md")


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """What a checkout says of itself.

    Attributes:
        texts: Contents of the files of PLACES and PAGES, and of the changelog, by path.
        paths: Every file of the commit.
        changed: Files that are not as they were committed.
    """

    texts: Mapping[str, str]
    paths: Iterable[str] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Blockers:
    """Why this is no release.

    Attributes:
        versions: Those about the version itself, with which nothing can be built.
        others: Those that a draft may have.
    """

    versions: tuple[str, ...] = field(default=())
    others: tuple[str, ...] = field(default=())


def find_blockers(checkout: Checkout, version: str) -> Blockers:
    """Find what stops a release of this version; each is a sentence for a person."""
    if not VERSION.fullmatch(version):
        said = f"VERSION={version or '(nothing)'} is not a version such as 1.0.0"
        return Blockers(versions=(f"{said}; there are no pre-releases: DRAFT=1 tries what comes",))
    return Blockers(
        versions=tuple(_find_disagreements(PLACES, checkout.texts, version)),
        others=(*_find_disagreements(PAGES, checkout.texts, version), *_find_others(checkout, version)),
    )


def cut_notes(changelog: str, version: str) -> str:
    """Cut what a changelog says of a version that has its date; empty where it does not."""
    heading = rf"^## {re.escape(version)} \([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\)\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    notes = found[1].strip() if found else ""
    return f"{notes}\n" if notes else ""


def _find_disagreements(
    places: Mapping[str, tuple[tuple[str, str], ...]], texts: Mapping[str, str], version: str
) -> Iterable[str]:
    for path, sayings in places.items():
        for name, pattern in sayings:
            found = re.findall(pattern, texts[path], re.MULTILINE)
            others = sorted({each for each in found if each != version})
            if not found:
                yield f"{path} does not say {name}: set it to {version}"
            elif others:
                yield f"{path} says {name} {', '.join(others)}: set it to {version}, or release {others[0]}"


def _find_others(checkout: Checkout, version: str) -> Iterable[str]:
    if checkout.changed:
        yield f"These files are not as committed: {', '.join(checkout.changed[:5])}. Commit them, or put them back"
    if not cut_notes(checkout.texts[CHANGELOG], version):
        yield f"{CHANGELOG} has no section `## {version} (YYYY-MM-DD)` with notes: see CONTRIBUTING.md, and commit it"
    if fragments := sorted(path for path in checkout.paths if FRAGMENT.fullmatch(path)):
        yield f"{len(fragments)} fragments are not in {CHANGELOG} yet, such as {fragments[0]}"
