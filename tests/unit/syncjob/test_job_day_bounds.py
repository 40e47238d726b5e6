"""Days become instants that leave out nothing, whatever the clocks do that night."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from estimatesync_contract.spec import DateRange
from estimatesync_contract.timestamps import format_timestamp
from estimatesync_job.core.queries import compute_day_bounds


@pytest.mark.parametrize(
    ("zone", "start", "end", "expected"),
    [
        pytest.param(
            "UTC",
            date(2025, 9, 1),
            date(2025, 10, 16),
            ("2025-09-01T00:00:00.000Z", "2025-10-16T23:59:59.999Z"),
            id="utc",
        ),
        pytest.param(
            "America/Los_Angeles",
            date(2025, 10, 16),
            date(2025, 10, 16),
            ("2025-10-16T07:00:00.000Z", "2025-10-17T06:59:59.999Z"),
            id="one-day-west-of-greenwich",
        ),
        pytest.param(
            "America/Los_Angeles",
            date(2025, 11, 2),
            date(2025, 11, 2),
            ("2025-11-02T07:00:00.000Z", "2025-11-03T07:59:59.999Z"),
            id="a-day-of-25-hours",
        ),
        pytest.param(
            "Africa/Cairo",
            date(2025, 4, 25),
            date(2025, 4, 25),
            ("2025-04-24T22:00:00.000Z", "2025-04-25T20:59:59.999Z"),
            id="a-day-without-a-midnight",
        ),
        pytest.param(
            "Africa/Cairo",
            date(2025, 10, 30),
            date(2025, 10, 30),
            ("2025-10-29T21:00:00.000Z", "2025-10-30T21:59:59.999Z"),
            id="a-day-whose-last-hour-happens-twice",
        ),
    ],
)
def test_days_are_whole(zone: str, start: date, end: date, expected: tuple[str, str]) -> None:
    bounds = compute_day_bounds(DateRange(start=start, end=end), ZoneInfo(zone))

    assert (format_timestamp(bounds.start), format_timestamp(bounds.end)) == expected


def test_a_day_before_the_calendar_overflows() -> None:
    with pytest.raises(OverflowError):
        compute_day_bounds(DateRange(start=date.min, end=date.min), ZoneInfo("Asia/Tokyo"))


def test_instants_are_written_with_milliseconds() -> None:
    assert format_timestamp(datetime(2025, 10, 16, 14, 9, tzinfo=UTC)) == "2025-10-16T14:09:00.000Z"
