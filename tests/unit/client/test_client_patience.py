"""When the same request is sent again."""

from datetime import UTC, datetime

import pytest
from estimatesync_client.core.waiting import next_delay, parse_retry_after


@pytest.mark.parametrize(
    ("failures", "retry_after", "remaining", "delay"),
    [
        pytest.param(1, None, 30.0, 0.5, id="soon at first"),
        pytest.param(3, None, 30.0, 2.0, id="then later"),
        pytest.param(40, None, 30.0, 10.0, id="but never very late"),
        pytest.param(1, 12.0, 30.0, 12.0, id="not before the server wants it"),
        pytest.param(6, 1.0, 30.0, 1.0, id="as soon as the server wants it"),
        pytest.param(1, 0.0, 30.0, 0.5, id="but never without a pause"),
        pytest.param(1, 60.0, 30.0, None, id="the server wants more than there is"),
        pytest.param(5, None, 3.0, None, id="the patience is over"),
    ],
)
def test_the_next_try_comes_in_time_or_never(
    failures: int, retry_after: float | None, remaining: float, delay: float | None
) -> None:
    assert next_delay(failures, retry_after=retry_after, remaining=remaining) == delay


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param(None, None, id="absent"),
        pytest.param("10", 10.0, id="seconds"),
        pytest.param("Tue, 24 Nov 2026 16:00:30 GMT", 30.0, id="a date"),
        pytest.param("Tue, 24 Nov 2026 15:00:00 GMT", 0.0, id="a date that is over"),
        pytest.param("soon", None, id="nonsense"),
        pytest.param("Tue, 24 Nov 2026 16:00:30 -0000", None, id="a date without a zone"),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, now=datetime(2026, 11, 24, 16, tzinfo=UTC)) == seconds
