"""Compares what a page shows of a command's output with what the command printed. Pure.

Each shown line has to appear, in order; more may be printed between. Numbers, times, ids and the width of a column
differ from run to run, and `…` stands for anything. Which id of the page was which one in this run is learnt, so that a
later command of the page can name it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

SYNC_ID: Final = r"est-[0-9a-z]+(?:-[0-9a-z]+)*"
_NUMBER: Final = r"\d+(?:[.,:]\d+)*"
_SPANS: Final = re.compile(
    rf"(?P<sync>{SYNC_ID})"
    rf"|(?P<any> *…\s*)"
    rf"|(?P<time>\d{{4}}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?)?)"
    rf"|(?P<span>\b{_NUMBER} ?(?:ms|min|[smhd])\b(?:{_NUMBER}[smh])?)"
    rf"|(?P<bar>[━╸╺]+)"
    rf"|(?P<number>{_NUMBER})"
    rf"|(?P<blank>\s+)"
)
_PATTERNS: Final[Mapping[str, str]] = {
    "sync": f"({SYNC_ID})",
    "any": ".*?",
    "time": r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?)?",
    "span": rf"{_NUMBER} ?(?:ms|min|[smhd])(?: ?{_NUMBER} ?[smh])*",
    "bar": r"[━╸╺]+",
    "number": _NUMBER,
    "blank": r"\s+",
}


class Missing(Exception):  # noqa: N818 - what it says is what is missing
    """A line that the page shows was not printed."""


def find_ids(shown: Sequence[str], printed: Sequence[str]) -> dict[str, str]:
    """Find every shown line among those that were printed.

    Returns:
        What the ids on the page are in this run.

    Raises:
        Missing: A line was not printed, or not in this order.
    """
    ids: dict[str, str] = {}
    rest = iter([line.strip() for line in printed])
    for line in (line.strip() for line in shown):
        ids |= _find_line(line, rest) if line else {}
    return ids


def format_command(command: str, ids: Mapping[str, str]) -> str:
    """Write a command of the page with the ids of this run; an id may be cut short, as the page does."""

    def find(found: re.Match[str]) -> str:
        whole = (mine for theirs, mine in ids.items() if theirs.startswith(found[0]))
        return next(whole, found[0])

    return re.sub(SYNC_ID, find, command)


def _find_line(line: str, rest: Iterable[str]) -> dict[str, str]:
    pattern = re.compile(_build_pattern(line))
    for printed in rest:
        if found := pattern.fullmatch(printed):
            return dict(zip(re.findall(SYNC_ID, line), found.groups(), strict=True))
    raise Missing(line)


def _build_pattern(line: str) -> str:
    pattern, position = "", 0
    for span in _SPANS.finditer(line):
        pattern += re.escape(line[position : span.start()]) + _PATTERNS[span.lastgroup or ""]
        position = span.end()
    return pattern + re.escape(line[position:])
