"""Every command that a page shows is run: here, as it is written, or where `not_run_here.toml` says.

A page says in a comment before each block where it is run; all blocks of a page at one place are followed one after the
other, by one runner. A translation shows the very commands of its original, and those are run.
"""

import re
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from estimatesync_docs.console_blocks import Block, parse_blocks
from estimatesync_docs.page_runner import PageError, PageRunner, TerminalError

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "charts/*/README.md", "deploy/*/README.md", "tests/support/README.md")
    for path in ROOT.glob(pattern)
)
TRANSLATIONS = [page for page in PAGES if re.match(r"docs/[a-z]{2}/", page)]
BLOCKS = [
    (page, block) for page in PAGES if page not in TRANSLATIONS for block in parse_blocks((ROOT / page).read_text())
]
SHOWN = [(page, block) for page, block in BLOCKS if block.language == "console"]
ELSEWHERE: list[dict[str, Any]] = tomllib.loads((ROOT / "tests" / "documents" / "not_run_here.toml").read_text()).get(
    "block", []
)
RUN: dict[tuple[str, str], list[Block]] = {}
for page, block in SHOWN:
    if block.place:
        RUN.setdefault((page, block.place), []).append(block)


@pytest.mark.parametrize(("page", "place"), [pytest.param(*key, id=" at ".join(key)) for key in RUN])
def test_the_commands_of_a_page_do_what_it_says(
    page: str, place: str, open_page_runner: Callable[[str], AbstractContextManager[PageRunner]]
) -> None:
    with open_page_runner(place) as runner:
        for block in RUN[page, place]:
            follow(runner, block, page)


def follow(runner: PageRunner, block: Block, page: str) -> None:
    try:
        runner.run(block)
    except (PageError, TerminalError) as error:
        raise AssertionError(f"{page}:{block.line}: {error}") from error


@pytest.mark.parametrize("page", [page for page in TRANSLATIONS if not page.endswith("/index.md")])
def test_a_translation_shows_the_commands_of_its_original(page: str) -> None:
    original = re.sub(r"^docs/[a-z]{2}/", "docs/", page)

    shown, run = (
        [(block.language, block.commands) for block in parse_blocks((ROOT / path).read_text())]
        for path in (page, original)
    )

    assert shown == run


def test_every_command_is_run_somewhere_or_says_why_not() -> None:
    listed = [(entry["page"], entry["block"]) for entry in ELSEWHERE]
    unmarked = [(page, block.title) for page, block in SHOWN if not block.place]

    assert sorted(unmarked) == sorted(listed)


@pytest.mark.parametrize("entry", ELSEWHERE, ids=lambda entry: f"{entry['page']}: {entry['block']}")
def test_the_other_place_exists_and_a_reason_is_one(entry: dict[str, str]) -> None:
    assert entry.keys() - {"page", "block"} in ({"test"}, {"reason"}, {"test", "reason"})
    file, _, name = entry.get("test", "").partition("::")

    assert not file or re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    assert file or len(entry["reason"].split()) > 3


def test_commands_stand_in_console_blocks_only() -> None:
    def hides_commands(block: Block) -> bool:
        return block.language in {"bash", "sh", "shell", "zsh"} or bool(block.commands)

    others = [(page, block.line) for page, block in BLOCKS if block.language != "console" and hides_commands(block)]

    assert others == []


def test_every_console_block_holds_a_command() -> None:
    assert [(page, block.line) for page, block in SHOWN if not block.commands] == []
