"""What the explanations point at is there: each test and each file that they name as evidence."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/guarantees.md", "docs/threats.md", "docs/completeness.md")
EVIDENCE = [
    pytest.param(file, test, id=f"{page}: {file}::{test}")
    for page in PAGES
    for file, test in re.findall(
        r"`((?:tests|api|operator|syncjob)/[\w/]+\.py)(?:::(\w+))?`", (ROOT / page).read_text()
    )
]


@pytest.mark.parametrize(("file", "test"), EVIDENCE)
def test_the_evidence_is_there(file: str, test: str) -> None:
    source = (ROOT / file).read_text()

    assert not test or re.search(rf"^def {test}\(", source, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES[:2])
def test_every_promise_has_evidence(page: str) -> None:
    assert sum(page in str(case.id) for case in EVIDENCE) > 5


def test_every_guarantee_says_how_it_is_shown() -> None:
    sections = (ROOT / PAGES[0]).read_text().split("\n## ")[1:-1]

    assert len(sections) > 5
    assert [section.splitlines()[0] for section in sections if "**By:**" not in section] == []
    assert [section.splitlines()[0] for section in sections if "**Shown by:**" not in section] == []
