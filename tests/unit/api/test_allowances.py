import pytest
from estimatesync_api.allowances import MOST_BUCKETS, Allowance, Buckets
from hypothesis import given
from hypothesis import strategies as st

ALLOWANCE = Allowance(burst=3, per_second=0.5)


def test_a_burst_is_allowed_and_then_so_many_per_second() -> None:
    buckets = Buckets(ALLOWANCE)

    at_once = [buckets.take("a", 100.0) for _ in range(4)]
    later = [buckets.take("a", 101.0), buckets.take("a", 102.0), buckets.take("a", 102.0)]

    assert at_once == [0, 0, 0, 2]
    assert later == [1, 0, 2]


def test_one_does_not_use_up_what_another_has() -> None:
    buckets = Buckets(ALLOWANCE)
    for _ in range(3):
        buckets.take("a", 0.0)

    assert (buckets.compute_wait("a", 0.0), buckets.compute_wait("b", 0.0)) == (2, 0)


def test_nobody_saves_up_more_than_a_burst() -> None:
    buckets = Buckets(ALLOWANCE)
    buckets.take("a", 0.0)

    assert [bool(buckets.take("a", 1_000_000.0)) for _ in range(4)] == [False, False, False, True]


@given(gaps=st.lists(st.floats(0, 20), min_size=1, max_size=60))
def test_in_no_span_of_time_is_more_taken_than_allowed(gaps: list[float]) -> None:
    buckets, now, taken = Buckets(ALLOWANCE), 0.0, 0

    for gap in gaps:
        now += gap
        taken += not buckets.take("a", now)

    assert taken <= ALLOWANCE.burst + now * ALLOWANCE.per_second + 1e-6


@pytest.mark.parametrize(("gap", "most"), [(0.0, MOST_BUCKETS), (1.0, 3)])
def test_callers_are_forgotten_when_their_bucket_is_full_or_there_are_too_many(gap: float, most: int) -> None:
    buckets = Buckets(ALLOWANCE)

    for number in range(MOST_BUCKETS + 5):
        buckets.take(str(number), number * gap)

    assert len(buckets) <= most
