from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import Phase
from estimatesync_operator.core.queue_order import compute_turn, list_outdated

MakeSync = Callable[..., EstimateSync]

RUNNING: dict[str, Any] = {"phase": Phase.RUNNING}
SUSPENDED: dict[str, Any] = {"phase": Phase.QUEUED, "spec": EstimateSyncSpec(suspend=True)}
CANCELLED: dict[str, Any] = {"phase": Phase.QUEUED, "spec": EstimateSyncSpec(cancel=True)}


@pytest.mark.parametrize(
    ("others", "max_active", "expected"),
    [
        pytest.param({}, 1, "It is this sync's turn", id="alone"),
        pytest.param({"r": RUNNING}, 1, "Position 1; waiting for r", id="the only place is taken"),
        pytest.param({"r": RUNNING}, 2, "It is this sync's turn", id="a second place"),
        pytest.param({"old": {"age": 2}}, 1, "Position 2", id="an older one goes first, greeted or not"),
        pytest.param({"old": {"age": 2, "phase": Phase.QUEUED}}, 2, "It is this sync's turn", id="room for both"),
        pytest.param({"young": {"age": 0}}, 1, "It is this sync's turn", id="a younger one waits"),
        pytest.param({"a": {"age": 1}}, 1, "Position 2", id="of the same age, the name decides"),
        pytest.param(
            {"old": {"age": 2, **SUSPENDED}}, 1, "It is this sync's turn", id="a suspended one holds up nobody"
        ),
        pytest.param({"old": {"age": 2, **CANCELLED}}, 1, "It is this sync's turn", id="nor does a cancelled one"),
        pytest.param(
            {name: {"age": age, **RUNNING} for age, name in enumerate(("r1", "r2", "r3", "r4"))},
            4,
            "Position 1; waiting for r4, r3, r2 and 1 more",
            id="many run",
        ),
        pytest.param(
            {"r": RUNNING, "old": {"age": 2}, "older": {"age": 3}}, 1, "Position 3; waiting for r", id="third in line"
        ),
    ],
)
def test_the_oldest_go_first_and_the_others_know_their_place(
    make_sync: MakeSync, others: dict[str, dict[str, Any]], max_active: int, expected: str
) -> None:
    sync = make_sync("me", age=1, phase=Phase.QUEUED)
    unfinished = [sync, *(make_sync(name, **fields) for name, fields in others.items())]

    turn = compute_turn(sync, unfinished, max_active=max_active)

    assert turn.message == expected
    assert turn.may_start is (expected == "It is this sync's turn")


def test_a_suspended_sync_does_not_start_though_there_is_room(make_sync: MakeSync) -> None:
    turn = compute_turn(make_sync("me", **SUSPENDED), [], max_active=1)

    assert (turn.may_start, turn.reason) == (False, Reason.SUSPENDED)
    assert "spec.suspend" in turn.message


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        pytest.param(19, "Position 20; waiting for r", id="the last exact one"),
        pytest.param(20, "Position 20 or later", id="the first rough one"),
        pytest.param(136, "Position 100 or later", id="far back"),
        pytest.param(1999, "Position 2000 or later", id="very far back"),
    ],
)
def test_far_back_in_the_line_the_position_is_rough_so_that_it_seldom_changes(
    make_sync: MakeSync, ahead: int, expected: str
) -> None:
    others = [make_sync(f"s{number}", age=number + 2, phase=Phase.QUEUED) for number in range(ahead)]
    running = make_sync("r", age=0, **RUNNING)

    turn = compute_turn(make_sync("me", age=1, phase=Phase.QUEUED), [running, *others], max_active=1)

    assert (turn.message, turn.position) == (expected, ahead + 1)


def test_only_those_whose_turn_has_changed_are_named_oldest_first(make_sync: MakeSync) -> None:
    syncs = [
        make_sync("new", age=0),
        make_sync("told", age=1, phase=Phase.QUEUED, message="Position 3; waiting for running"),
        make_sync("outdated", age=2, phase=Phase.QUEUED, message="Position 7; waiting for another"),
        make_sync("next", age=3, phase=Phase.QUEUED, message="Position 2; waiting for running"),
        make_sync("running", age=9, **RUNNING),
        make_sync("suspended", age=9, **SUSPENDED),
        make_sync("cancelled", age=9, **CANCELLED),
    ]

    assert list_outdated(syncs, max_active=1) == ("next", "outdated")
    assert list_outdated(syncs, max_active=3) == ("next", "outdated")


def test_a_line_of_a_thousand_hardly_changes_when_it_moves_up_by_one(make_sync: MakeSync) -> None:
    line = [make_sync(f"s{number:04}", age=2000 - number, phase=Phase.QUEUED) for number in range(1000)]
    running = make_sync("r0", age=5000, **RUNNING)
    told = []
    for place, sync in enumerate(line):
        turn = compute_turn(sync, [running, *line[:place]], max_active=1)
        told.append(make_sync(sync.name, age=2000 - place, phase=Phase.QUEUED, message=turn.message))

    moved = list_outdated([make_sync("s0000", age=2000, **RUNNING), *told[1:]], max_active=1)

    assert 20 <= len(moved) <= 40
