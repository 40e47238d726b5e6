"""The range of days a sync covers, and the default when nobody named one."""

from datetime import date, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

DEFAULT_RANGE_DAYS: Final = 45


class DateRange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whole days, both ends included, in the configured time zone."""

    start: Annotated[date, Meta(description="The first day.")]
    end: Annotated[date, Meta(description="The last day.")]


def compute_default_range(today: date) -> DateRange:
    """The seed's default: the last 45 days up to and including today."""
    return DateRange(start=today - timedelta(days=DEFAULT_RANGE_DAYS), end=today)
