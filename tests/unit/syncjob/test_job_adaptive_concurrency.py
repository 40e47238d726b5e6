"""How many requests may be in flight."""

import pytest
from estimatesync_job.core.concurrency_limit import (
    ConcurrencyLimit,
    build_limit,
    next_limit_after_failure,
    next_limit_after_response,
)


@pytest.mark.parametrize(("bound", "allowed"), [(1, 1), (3, 3), (8, 8), (32, 8)])
def test_it_begins_with_few(bound: int, allowed: int) -> None:
    assert build_limit(bound).allowed == allowed


def test_it_grows_by_each_quick_answer_up_to_the_bound() -> None:
    limit, seen = build_limit(12), []

    for _ in range(6):
        limit = next_limit_after_response(limit, seconds=0.3)
        seen.append(limit.allowed)

    assert seen == [9, 10, 11, 12, 12, 12]


def test_answers_that_have_queued_let_it_grow_no_further() -> None:
    limit = next_limit_after_response(build_limit(32), seconds=0.3)

    assert next_limit_after_response(limit, seconds=0.62).allowed == limit.allowed + 1
    assert next_limit_after_response(limit, seconds=0.64).allowed == limit.allowed


def test_one_fast_response_does_not_lower_the_limit_for_good() -> None:
    limit = next_limit_after_response(build_limit(32), seconds=0.001)

    for _ in range(150):
        limit = next_limit_after_response(limit, seconds=0.3)

    assert limit.allowed == 32


def test_trouble_halves_it_once_for_all_that_were_in_flight_together() -> None:
    limit = ConcurrencyLimit(bound=32, allowed=16.0)

    for _ in range(16):
        limit = next_limit_after_failure(limit, slowdowns=0)

    assert (limit.allowed, limit.slowdowns) == (8, 1)


def test_it_never_falls_below_one() -> None:
    limit = ConcurrencyLimit(bound=32, allowed=1.5)

    for number in range(3):
        limit = next_limit_after_failure(limit, slowdowns=number)

    assert limit.allowed == 1


def test_after_trouble_it_grows_by_one_a_round() -> None:
    limit = next_limit_after_failure(ConcurrencyLimit(bound=32, allowed=8.0), slowdowns=0)

    for _ in range(4):
        limit = next_limit_after_response(limit, seconds=0.3)

    assert 4.8 < limit.allowed < 5
