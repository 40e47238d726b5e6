"""Reads the commands that a page shows: its `console` blocks, and where each is to be run. Pure.

A block is preceded by a comment that says where a test runs it, invisible to readers:

    <!-- run: PLACE -->
    <!-- run: PLACE, until: TEXT -->

With `until`, the last command of the block stays up in a terminal of its own, once it has printed TEXT. A block without
a comment is listed in `tests/documents/not_run_here.toml`.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<language>\S*)")
_RUN: Final = re.compile(r"^ *<!-- run: (?P<place>[a-z-]+)(?:, until: (?P<until>.+?))? -->$")
_HERE_DOCUMENT: Final = re.compile(r"<<-?\s*['\"]?(\w+)")
_PROMPT: Final = "$ "


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command as a person types it, and what the page shows of its output."""

    text: str
    shown: tuple[str, ...] = ()


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A fenced block. `language` is blank for a bare fence, `place` for a block that says nothing of it."""

    language: str
    line: int
    place: str
    until: str
    commands: tuple[Command, ...]

    @property
    def title(self) -> str:
        """The first line of the first command, by which tables name the block."""
        return self.commands[0].text.partition("\n")[0] if self.commands else ""


def parse_blocks(page: str) -> tuple[Block, ...]:
    """Read all fenced blocks of a page, in order."""
    lines = page.splitlines()
    return tuple(_parse_block(lines, start, end) for start, end in _find_fences(lines))


def parse_commands(lines: list[str]) -> Iterator[Command]:
    """Read the inside of a block: `$ ` begins a command, what follows it is its output.

    A command goes on behind a backslash at the end of a line, and up to the end of a here-document.
    """
    position = 0
    while position < len(lines):
        if not lines[position].startswith(_PROMPT):
            position += 1
            continue
        end = _find_command_end(lines, position)
        text = "\n".join(lines[position : end + 1]).removeprefix(_PROMPT)
        position = end + 1
        while position < len(lines) and not lines[position].startswith(_PROMPT):
            position += 1
        yield Command(text=text, shown=tuple(lines[end + 1 : position]))


def _find_fences(lines: list[str]) -> Iterator[tuple[int, int]]:
    opened: int | None = None
    for number, line in enumerate(lines):
        if _FENCE.match(line):
            if opened is not None:
                yield opened, number
            opened = number if opened is None else None


def _parse_block(lines: list[str], start: int, end: int) -> Block:
    fence = _FENCE.match(lines[start])
    indent = len(fence["indent"]) if fence else 0
    comment = next((line for line in reversed(lines[:start]) if line.strip()), "")
    run = _RUN.match(comment)
    return Block(
        language=fence["language"] if fence else "",
        line=start + 1,
        place=run["place"] if run else "",
        until=(run["until"] or "") if run else "",
        commands=tuple(parse_commands([line[indent:] for line in lines[start + 1 : end]])),
    )


def _find_command_end(lines: list[str], start: int) -> int:
    """The last line of the command that begins at `start`."""
    end = start
    while lines[end].endswith("\\") and end + 1 < len(lines):
        end += 1
    if document := _HERE_DOCUMENT.search("\n".join(lines[start : end + 1])):
        while lines[end] != document[1] and end + 1 < len(lines):
            end += 1
    return end
