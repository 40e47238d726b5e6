"""Writes Markdown: tables, JSON, the frame of a generated page. Pure; the pages of the reference are made with it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

JSON_WIDTH: Final = 116
"""Columns: what does not fit into one line gets a line for each of its parts."""

MARK: Final = "<!-- Made from the code by `make reference`; do not edit. -->"


def format_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; a bar within a cell is escaped, since even code would end there."""
    lines = [headings, ["---"] * len(headings), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("|  |", "| |")


def format_page(title: str, *parts: str) -> str:
    """Join the parts of a page, one blank line between each two."""
    return "\n\n".join(part.rstrip("\n") for part in (f"# {title}", MARK, *parts)) + "\n"


def format_code(text: str) -> str:
    """Write a literal, or nothing."""
    return f"`{text}`" if text else ""


def format_json(value: Any, *, indent: int = 0, name: str = "") -> str:  # noqa: ANN401 - whatever JSON has
    """Write JSON for a reader: on one line what fits there."""
    line = f"{name}{json.dumps(value, ensure_ascii=False)}"
    if indent + len(line) <= JSON_WIDTH or not isinstance(value, Mapping | list):
        return line
    inner = indent + 2
    if isinstance(value, list):
        opened, closed = "[]"
        parts = [format_json(each, indent=inner) for each in value]
    else:
        opened, closed = "{}"
        parts = [format_json(each, indent=inner, name=f'"{key}": ') for key, each in value.items()]
    lines = ",\n".join(f"{' ' * inner}{part}" for part in parts)
    return f"{name}{opened}\n{lines}\n{' ' * indent}{closed}"
