"""The Retry-After header, read in one way by whoever calls: the sync program Attic Tech, the operator a webhook.

RFC 9110, section 10.2.3: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_MAX_SECONDS_DIGITS: Final = 9
"""More would be more than thirty years, and than a timedelta can hold."""


def parse_retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """Read the header, seconds or a date, which is counted from `now` (aware).

    Returns:
        The wait, never negative; None when there is no header or it makes no sense.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return timedelta(seconds=int(text[:_MAX_SECONDS_DIGITS]))
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(aware - now, timedelta())
