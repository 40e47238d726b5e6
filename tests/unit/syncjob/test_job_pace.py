"""How many requests may be in flight."""

import pytest
from estimatesync_job.pace import Pace, build_pace, next_pace_after_answer, next_pace_after_trouble


@pytest.mark.parametrize(("bound", "allowed"), [(1, 1), (3, 3), (8, 8), (32, 8)])
def test_it_begins_with_few(bound: int, allowed: int) -> None:
    assert build_pace(bound).allowed == allowed


def test_it_grows_by_each_quick_answer_up_to_the_bound() -> None:
    pace, seen = build_pace(12), []

    for _ in range(6):
        pace = next_pace_after_answer(pace, seconds=0.3)
        seen.append(pace.allowed)

    assert seen == [9, 10, 11, 12, 12, 12]


def test_answers_that_have_queued_let_it_grow_no_further() -> None:
    pace = next_pace_after_answer(build_pace(32), seconds=0.3)

    assert next_pace_after_answer(pace, seconds=0.62).allowed == pace.allowed + 1
    assert next_pace_after_answer(pace, seconds=0.64).allowed == pace.allowed


def test_one_lucky_answer_is_not_the_measure_for_ever() -> None:
    pace = next_pace_after_answer(build_pace(32), seconds=0.001)

    for _ in range(150):
        pace = next_pace_after_answer(pace, seconds=0.3)

    assert pace.allowed == 32


def test_trouble_halves_it_once_for_all_that_were_in_flight_together() -> None:
    pace = Pace(bound=32, allowed=16.0)

    for _ in range(16):
        pace = next_pace_after_trouble(pace, slowdowns=0)

    assert (pace.allowed, pace.slowdowns) == (8, 1)


def test_it_never_falls_below_one() -> None:
    pace = Pace(bound=32, allowed=1.5)

    for number in range(3):
        pace = next_pace_after_trouble(pace, slowdowns=number)

    assert pace.allowed == 1


def test_after_trouble_it_grows_by_one_a_round() -> None:
    pace = next_pace_after_trouble(Pace(bound=32, allowed=8.0), slowdowns=0)

    for _ in range(4):
        pace = next_pace_after_answer(pace, seconds=0.3)

    assert 4.8 < pace.allowed < 5
