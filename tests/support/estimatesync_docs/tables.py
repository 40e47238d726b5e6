"""Writes Markdown: tables and the frame of a generated page. Pure; the pages of the reference are made with it."""

from collections.abc import Iterable, Sequence
from typing import Final

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
