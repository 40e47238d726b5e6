"""The pages that exist in two languages say the same: headings, tables, lists, code and links are in step."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

DOCS: Final = Path(__file__).parents[2] / "docs"
# The Spanish index lists only what exists in Spanish.
PAGES: Final = tuple(sorted(path.name for path in (DOCS / "es").glob("*.md") if path.name != "index.md"))
Block = tuple[str, ...]


def read_pair(name: str) -> tuple[str, str]:
    return (DOCS / name).read_text(), (DOCS / "es" / name).read_text()


def split_code(page: str) -> tuple[str, list[str]]:
    """The page without its fenced code, and that code."""
    fences = re.findall(r"^ *```.*?^ *```$", page, re.MULTILINE | re.DOTALL)
    return re.sub(r"^ *```.*?^ *```$", "", page, flags=re.MULTILINE | re.DOTALL), fences


def blank_texts(fences: list[str]) -> list[str]:
    """Mails are in the language of the page; what they say is tested with what writes them."""
    return ["```text" if fence.lstrip().startswith("```text\n") else fence for fence in fences]


def split_sections(page: str) -> list[tuple[int, str]]:
    """Level of each heading, and the text below it."""
    parts = re.split(r"^(#+) .*$", split_code(page)[0], flags=re.MULTILINE)[1:]
    return [(len(level), text) for level, text in zip(parts[::2], parts[1::2], strict=True)]


def list_row_heads(text: str) -> list[Counter[str]]:
    """The code in each row of each table: the rows are in the same order."""
    return [Counter(find_code(row)) for row in re.findall(r"^ *\|.*\|$", text, re.MULTILINE)]


def find_code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def find_links(page: str, *, folder: Path) -> list[Path]:
    """Where the links lead, a Spanish page standing for its English one; anchors are compared by test_every_anchor."""
    targets = re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", page)
    paths = [Path(target) if is_elsewhere(target) else (folder / target).resolve() for target in targets if target]
    return [DOCS / path.name if path.parent == DOCS / "es" else path for path in paths]


def is_elsewhere(target: str) -> bool:
    return target.startswith("https://")


def build_anchors(page: str) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", split_code(page)[0], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages_in_spanish() -> None:
    assert set(PAGES) >= {"make.md", "troubleshooting.md", "checklist.md", "causes.md"}


@pytest.mark.parametrize("name", PAGES)
def test_the_code_blocks_are_the_same(name: str) -> None:
    english, spanish = (blank_texts(split_code(page)[1]) for page in read_pair(name))

    assert spanish == english


@pytest.mark.parametrize("name", PAGES)
def test_the_sections_are_built_alike(name: str) -> None:
    english, spanish = (split_sections(page) for page in read_pair(name))

    assert [level for level, _ in spanish] == [level for level, _ in english]
    for (_, here), (_, there) in zip(english, spanish, strict=True):
        assert Counter(find_code(there)) == Counter(find_code(here))
        assert list_row_heads(there) == list_row_heads(here)
        for sign in (r"^ *\d\. ", r"^ *- (?!\[ \])", r"^- \[ \] "):
            assert len(re.findall(sign, there, re.MULTILINE)) == len(re.findall(sign, here, re.MULTILINE)), here


@pytest.mark.parametrize("name", PAGES)
def test_the_links_lead_to_the_same_places(name: str) -> None:
    english, spanish = read_pair(name)

    # Each names the other first.
    assert find_links(spanish, folder=DOCS / "es")[1:] == find_links(english, folder=DOCS)[1:]
    assert english.splitlines()[2] == f"English · [Español](es/{name})"
    assert spanish.splitlines()[2] == f"[English](../{name}) · Español"


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("folder", [DOCS, DOCS / "es"], ids=["en", "es"])
def test_every_link_and_every_anchor_is_there(name: str, folder: Path) -> None:
    page = (folder / name).read_text()

    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page):
        if is_elsewhere(target):
            continue
        path = folder / target if target else folder / name
        assert path.exists(), target
        assert not anchor or anchor in build_anchors(path.read_text()), anchor


@pytest.mark.parametrize("name", PAGES)
def test_who_reads_spanish_stays_in_spanish(name: str) -> None:
    targets = re.findall(r"\]\(\.\./([\w-]+\.md)", "\n".join((DOCS / "es" / name).read_text().splitlines()[3:]))

    assert [target for target in targets if target in PAGES] == []
