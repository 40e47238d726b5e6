import pytest
from estimatesync_api.core.rate_limit import MAX_BUCKETS, RateLimit, RateLimiter
from hypothesis import given
from hypothesis import strategies as st

LIMIT = RateLimit(burst=3, per_second=0.5)


def test_a_burst_is_allowed_and_then_so_many_per_second() -> None:
    limiter = RateLimiter(LIMIT)

    at_once = [limiter.take("a", 100.0) for _ in range(4)]
    later = [limiter.take("a", 101.0), limiter.take("a", 102.0), limiter.take("a", 102.0)]

    assert at_once == [0, 0, 0, 2]
    assert later == [1, 0, 2]


def test_one_does_not_use_up_what_another_has() -> None:
    limiter = RateLimiter(LIMIT)
    for _ in range(3):
        limiter.take("a", 0.0)

    assert (limiter.compute_wait("a", 0.0), limiter.compute_wait("b", 0.0)) == (2, 0)


def test_an_idle_client_saves_up_no_more_than_a_burst() -> None:
    limiter = RateLimiter(LIMIT)
    limiter.take("a", 0.0)

    assert [bool(limiter.take("a", 1_000_000.0)) for _ in range(4)] == [False, False, False, True]


@given(gaps=st.lists(st.floats(0, 20), min_size=1, max_size=60))
def test_in_no_span_of_time_is_more_taken_than_allowed(gaps: list[float]) -> None:
    limiter, now, taken = RateLimiter(LIMIT), 0.0, 0

    for gap in gaps:
        now += gap
        taken += not limiter.take("a", now)

    assert taken <= LIMIT.burst + now * LIMIT.per_second + 1e-6


@pytest.mark.parametrize(("gap", "most"), [(0.0, MAX_BUCKETS), (1.0, 3)])
def test_callers_are_forgotten_when_their_bucket_is_full_or_there_are_too_many(gap: float, most: int) -> None:
    limiter = RateLimiter(LIMIT)

    for number in range(MAX_BUCKETS + 5):
        limiter.take(str(number), number * gap)

    assert len(limiter) <= most
