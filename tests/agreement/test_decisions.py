"""Each decision of `docs/decisions` says the same four things, and is listed in the index and in the site's menu."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
DECISIONS = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "index.md")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_says_why_what_at_which_price_and_until_when(page: Path) -> None:
    headings = re.findall(r"^#+ .+$", page.read_text(), re.MULTILINE)

    assert headings[0].startswith("# ")
    assert headings[1:] == ["## Context", "## Decision", "## What it costs", "## What would change it"]


def test_every_decision_is_listed_in_both_indexes_under_its_own_title() -> None:
    listed = re.findall(r"^- \[(.+?)\]\((.+?)\)", (DOCS / "decisions" / "index.md").read_text(), re.MULTILINE)
    of_the_site = re.findall(r"^- \[(.+?)\]\(decisions/(.+?)\)", (DOCS / "index.md").read_text(), re.MULTILINE)

    assert sorted(name for _, name in listed) == [page.name for page in DECISIONS]
    assert [entry for entry in of_the_site if entry[1] != "index.md"] == listed
    assert {name: (DOCS / "decisions" / name).read_text().startswith(f"# {title}") for title, name in listed} == {
        page.name: True for page in DECISIONS
    }


def test_paths_that_decisions_name_exist() -> None:
    root = DOCS.parent
    named = {
        path for page in DECISIONS for path in re.findall(r"`((?:api|operator|tests)/[\w./-]+)`", page.read_text())
    }

    assert named
    assert [path for path in sorted(named) if not (root / path).exists()] == []
