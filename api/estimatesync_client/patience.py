"""How long to wait before the same request is sent again, and when to stop. Pure; `http_api` does the waiting."""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

ASK_SECONDS: Final = 30.0
"""For a server that is away or busy when a command begins."""
WAIT_SECONDS: Final = 300.0
"""The same for one that goes away while a sync is waited for: the sync goes on meanwhile."""

_FIRST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 10.0


def next_delay(failures: int, *, retry_after: float | None, remaining: float) -> float | None:
    """Decide how long to wait after so many failures in a row; None when the patience is over.

    Args:
        failures: 1 or more.
        retry_after: Seconds that the server asks for; it is never asked sooner.
        remaining: Seconds of patience that are left.
    """
    own = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(failures - 1, 10))
    delay = own if retry_after is None else max(retry_after, _FIRST_SECONDS)
    return delay if delay <= remaining else None


def parse_retry_after(header: str | None, *, now: datetime) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110, section 10.2.3); None when absent or unreadable."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None
