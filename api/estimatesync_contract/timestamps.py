"""How times travel: JavaScript's form in answers, callbacks and queries to Attic Tech; HTTP's dates and Retry-After.

RFC 9110, sections 5.6.7 and 10.2.3: https://www.rfc-editor.org/rfc/rfc9110
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_MAX_SECONDS_DIGITS: Final = 9
"""More would be more than thirty years, and than a timedelta can hold."""


def format_timestamp(instant: datetime) -> str:
    """Write an aware instant as JavaScript's toISOString does: `2025-10-16T14:09:00.000Z`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """Read the header, seconds or a date, which is counted from `now` (aware).

    Returns:
        The wait, never negative; None when there is no header or it makes no sense.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return timedelta(seconds=int(text[:_MAX_SECONDS_DIGITS]))
    moment = parse_http_date(text)
    return None if moment is None else max(moment - now, timedelta())


def parse_http_date(header: str | None) -> datetime | None:
    """Read a date, aware; None when there is none or it makes no sense."""
    try:
        moment = parsedate_to_datetime(header or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
