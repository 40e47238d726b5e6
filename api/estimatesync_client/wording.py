"""Numbers and times as people read them. Pure."""

from datetime import datetime
from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def format_age(moment: datetime | None, now: datetime) -> str:
    """How long ago, in one unit: `45 s`, `12 min`, `3 h`, `9 d`; a dash when nobody knows."""
    if moment is None:
        return "-"
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def format_duration(seconds: float) -> str:
    """How long, in the two largest units: `9 s`, `8 min 7 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole >= 3_600:  # noqa: PLR2004 - an hour
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"  # noqa: PLR2004 - a minute


def format_clock(seconds: float) -> str:
    """How long, as a clock that runs: `0:08:07`."""
    whole = max(0, int(seconds))
    return f"{whole // 3_600}:{whole % 3_600 // 60:02}:{whole % 60:02}"


def format_moment(moment: datetime) -> str:
    """When, in the time zone of this terminal."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def format_count(number: int, noun: str) -> str:
    """`1 attempt`, `2 attempts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_harmless(text: str) -> str:
    """Take the control characters out of somebody else's words: they could repaint a terminal."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)
