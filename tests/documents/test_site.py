"""The site is built from the pages as they are, strictly, and loads nothing from elsewhere."""

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "charts/*/README.md", "deploy/*/README.md")
    for path in ROOT.glob(pattern)
)
ENVIRONMENT = ".venv-docs/.installed"


def build(place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--silent", "docs", *options],  # noqa: S607 - the one on PATH, as a person runs it
        cwd=place,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.fixture(scope="session")
def site() -> Path:
    built = build(ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    return ROOT / "build" / "site"


def test_the_site_has_every_page_and_loads_nothing_from_elsewhere(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".css", ".js"}]
    loads = re.compile(r"""(?:src=|<link[^>]*href=|url\(|@import)\s*["']?((?:https?:)?//[^"')]+)""")

    assert {page for page in PAGES if not (site / page.relative_to(ROOT)).with_suffix(".html").exists()} == set()
    assert {found for path in files for found in loads.findall(path.read_text())} == set()


def test_the_site_can_be_searched_without_a_server(site: Path) -> None:
    index = (site / "searchindex.js").read_text()

    assert index.startswith("Search.setIndex(")
    assert "idempot" in index


INDEXES = ("docs/index.md", "docs/es/index.md")
FAULTS = {
    "page that is not there": ("README.md", "[gone](docs/gone.md)", "docs/gone.md"),
    "heading of another page": ("docs/api.md", "[gone](client.md#not-on-that-page)", "not-on-that-page"),
    "heading of the same page": ("docs/client.md", "[gone](#not-on-this-page)", "not-on-this-page"),
    "page that no index names": ("docs/stray.md", "# Not in the index", "docs/stray.md"),
    "translation without a place": ("docs/es/stray.md", "# Not in the index", "docs/es/stray.md"),
    "picture": ("docs/causes.md", "![gone](images/gone.svg)", "gone.svg"),
}


@pytest.fixture
def pages(site: Path, tmp_path: Path) -> Path:  # noqa: ARG001 - its environment is there once it was built
    """A copy of what the site is made of, with no more pages than have a fault or are their indexes."""
    for name in ("docs", "charts", "deploy", "tests/support/estimatesync_docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.md"))
    for name in ("Makefile", *INDEXES, *(page for page, _, _ in FAULTS.values() if (ROOT / page).exists())):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv-docs").symlink_to(ROOT / ".venv-docs")
    return tmp_path


def test_what_leads_nowhere_fails_the_build_each_with_a_line_of_its_own(pages: Path) -> None:
    for page, text, _ in FAULTS.values():
        with (pages / page).open("a") as file:
            file.write(f"\n{text}\n")

    built = build(pages, f"--assume-old={ENVIRONMENT}", "DOCS_BUILDER=dummy")

    assert built.returncode != 0
    lines = [line for line in built.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
    found = {fault: [line for line in lines if complaint in line] for fault, (_, _, complaint) in FAULTS.items()}
    assert {fault: len(each) for fault, each in found.items()} == dict.fromkeys(FAULTS, 1), built.stderr


def find_links(page: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```|`[^`]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"https?://[^\s<>\"'\]]+", prose)


def test_links_to_elsewhere_are_well_formed() -> None:
    def is_good(link: str) -> bool:
        parts = urlsplit(link.rstrip(").,;:"))
        return parts.scheme == "https" and re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc) is not None

    links = [(page.name, link) for page in PAGES for link in find_links(page)]

    assert links
    assert [(page, link) for page, link in links if not is_good(link)] == []


def test_every_translated_page_has_its_original() -> None:
    originals, translations = (
        {path.name for path in folder.glob("*.md")} for folder in (ROOT / "docs", ROOT / "docs" / "es")
    )

    assert translations - originals == set()
