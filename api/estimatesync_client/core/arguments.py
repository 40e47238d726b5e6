"""What a person types behind an option: a day, a number, an instant, a status. Each fault says what to write."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from estimatesync_contract.status import Phase

from estimatesync_client.core.errors import UsageError
from estimatesync_client.core.formatting import strip_control_characters

STATUSES: Final = tuple(phase.lower() for phase in Phase)

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AGE: Final = re.compile(r"(?P<count>[0-9]{1,4})(?P<unit>[hd])")
_AGE_UNITS: Final = {"h": "hours", "d": "days"}
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(Z|[+-][0-9]{2}:?[0-9]{2})?", re.IGNORECASE)
_IDEMPOTENCY_KEY: Final = re.compile(r"[ -~]{1,255}")
_SHOWN_LENGTH: Final = 60


def parse_day(text: str) -> date:
    """Parse a day as the API takes it.

    Raises:
        UsageError: It is none; like all its siblings.
    """
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f"{_quote(text)} is not a day; write 2025-09-01.")


def parse_count(name: str, text: str, *, minimum: int, maximum: int) -> int:
    """Parse a whole number within its bounds; `name` is the option."""
    if re.fullmatch(r"[0-9]{1,9}", text) and minimum <= int(text) <= maximum:
        return int(text)
    raise UsageError(f"{name} takes a whole number from {minimum} to {maximum:,}, not {_quote(text)}.")


def parse_seconds(name: str, text: str) -> float:
    """Parse a duration."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if seconds < 0 or not math.isfinite(seconds):
        raise UsageError(f"{name} takes seconds, such as 90, not {_quote(text)}.")
    return seconds


def parse_choice(name: str, text: str, choices: Sequence[str]) -> str:
    """Parse one of a few words, in any case."""
    if text.lower() in choices:
        return text.lower()
    raise UsageError(f"{name} takes {_format_choices(choices)}, not {_quote(text)}.")


def parse_statuses(texts: Iterable[str]) -> tuple[str, ...]:
    """Parse statuses, several in one text with commas in between."""
    words = tuple(word for text in texts for part in text.split(",") if (word := part.strip().lower()))
    if unknown := [word for word in words if word not in STATUSES]:
        raise UsageError(f"{_quote(unknown[0])} is not a status; write {_format_choices(STATUSES)}.")
    return words


def parse_moment(name: str, text: str | None, now: datetime) -> str | None:
    """Parse a day or an instant, which the server reads, or an age such as 2d or 12h, which becomes an instant."""
    if text is None:
        return None
    if age := _AGE.fullmatch(text):
        past = timedelta(**{_AGE_UNITS[age["unit"]]: int(age["count"])})
        return f"{now - past:%Y-%m-%dT%H:%M:%SZ}"
    try:
        if _DAY.fullmatch(text) or _INSTANT.fullmatch(text):
            datetime.fromisoformat(text)
            return text
    except ValueError:
        pass
    forms = "a day such as 2025-09-01, an instant such as 2025-09-01T14:00:00Z, or an age such as 2d or 12h"
    raise UsageError(f"{name} takes {forms}, not {_quote(text)}.")


def parse_metadata(pairs: Iterable[str]) -> dict[str, str]:
    """Parse pairs like `order=4711`; what stands behind the first sign is a text."""
    split = [pair.partition("=") for pair in pairs]
    if not all(name and sign for name, sign, _ in split):
        raise UsageError("--metadata takes a name and a text, such as order=4711.")
    return {name: text for name, _, text in split}


def parse_idempotency_key(text: str) -> str:
    """Parse what a header can carry."""
    if not _IDEMPOTENCY_KEY.fullmatch(text):
        raise UsageError("--idempotency-key takes 1 to 255 printable ASCII characters.")
    return text


def _format_choices(choices: Sequence[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _quote(text: str) -> str:
    return f"'{strip_control_characters(text[:_SHOWN_LENGTH])}'"
