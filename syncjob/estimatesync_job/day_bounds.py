"""From whole days in a time zone to the two instants between which a record's `updatedAt` must lie."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

import msgspec
from estimatesync_contract.spec import DateRange

_TICK: Final = timedelta(milliseconds=1)
"""Attic Tech keeps milliseconds; both ends of its filter are included."""


class DayBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The first and the last instant of a range, both included, in UTC."""

    start: datetime
    end: datetime


def compute_day_bounds(date_range: DateRange, time_zone: tzinfo) -> DayBounds:
    """Turn days into instants: 00:00:00.000 of the first day to 23:59:59.999 of the last one.

    The end is one tick before the next midnight, so that a day whose last hour happens twice is still whole.

    Raises:
        OverflowError: A day lies at the very end of the calendar and has no instant in UTC.
    """
    next_midnight = _compute_midnight(date_range.end + timedelta(days=1), time_zone)
    return DayBounds(start=_compute_midnight(date_range.start, time_zone), end=next_midnight - _TICK)


def _compute_midnight(day: date, time_zone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=time_zone).astimezone(UTC)
