"""Text that others wrote, made fit for a line of a log, a status or a terminal: cleaned once, where it enters."""

from typing import Final

_MARK: Final = "\N{REPLACEMENT CHARACTER}"


def clean_line(text: str, *, max_length: int) -> str:
    """Make one line of printable characters: blanks and line ends become a space, what shows nothing becomes a mark.

    Without control characters no line can be forged and no terminal repainted; marks of direction count as such, too.
    """
    line = " ".join(text[: 4 * max_length].split())
    return "".join(character if character.isprintable() else _MARK for character in line)[:max_length]
