"""One parser of Retry-After for every client that is asked to wait."""

from datetime import UTC, datetime, timedelta

import pytest
from estimatesync_contract.timestamps import parse_retry_after

NOW = datetime(2025, 10, 16, 14, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        pytest.param("120", timedelta(seconds=120), id="seconds"),
        pytest.param(" 0 ", timedelta(0), id="zero"),
        pytest.param("9" * 5000, timedelta(seconds=999_999_999), id="absurd-seconds"),
        pytest.param("Thu, 16 Oct 2025 14:16:30 GMT", timedelta(minutes=1), id="date"),
        pytest.param("Thu, 16 Oct 2025 14:16:30 -0000", timedelta(minutes=1), id="date-without-zone"),
        pytest.param("Thu, 16 Oct 2025 14:00:00 GMT", timedelta(0), id="past-date"),
        pytest.param("Thu, 16 Oct 99999 14:00:00 GMT", None, id="impossible-date"),
        pytest.param("Thu, 16 Oct 99999999999999999999 14:00:00 GMT", None, id="date-beyond-any-calendar"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("\u00b2", None, id="not-a-digit"),
        pytest.param("Thu, 16 Oct", None, id="half-a-date"),
        pytest.param("soon", None, id="words"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(header: str | None, wait: timedelta | None) -> None:
    assert parse_retry_after(header, now=NOW) == wait
