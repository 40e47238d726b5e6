from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import Condition, ConditionStatus, Phase, QueuePlace
from estimatesync_operator.core.queue_order import decide_start, gives_slot_back, list_outdated

MakeSync = Callable[..., EstimateSync]

NOW = datetime(2025, 10, 16, 14, 20, tzinfo=UTC)

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
        pytest.param({"old": {"age": 2, "phase": Phase.QUEUED}}, 2, "It is this sync's turn", id="slots for both"),
        pytest.param({"young": {"age": 0}}, 1, "It is this sync's turn", id="a younger one waits"),
        pytest.param({"a": {"age": 1}}, 1, "Position 2", id="of the same age, the name decides"),
        pytest.param(
            {"old": {"age": 2, **SUSPENDED}}, 1, "It is this sync's turn", id="a suspended one delays no other"
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

    decision = decide_start(sync, unfinished, max_active=max_active)

    assert decision.message == expected
    assert decision.may_start is (expected == "It is this sync's turn")


def test_a_suspended_sync_does_not_start_even_if_a_slot_is_free(make_sync: MakeSync) -> None:
    decision = decide_start(make_sync("me", **SUSPENDED), [], max_active=1)

    assert (decision.may_start, decision.reason) == (False, Reason.SUSPENDED)
    assert "spec.suspend" in decision.message


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

    decision = decide_start(make_sync("me", age=1, phase=Phase.QUEUED), [running, *others], max_active=1)

    assert decision.message == expected
    assert decision.place is not None
    assert decision.place.exact is (ahead < 20)
    assert f"Position {decision.place.position}" == expected.removesuffix(" or later").partition(";")[0]


def test_only_syncs_whose_place_has_changed_are_outdated_oldest_first(make_sync: MakeSync) -> None:
    syncs = [
        make_sync("new", age=0),
        make_sync("unchanged", age=1, phase=Phase.QUEUED, message="Position 3; waiting for running"),
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
    waiting = []
    for place, sync in enumerate(line):
        decision = decide_start(sync, [running, *line[:place]], max_active=1)
        waiting.append(make_sync(sync.name, age=2000 - place, phase=Phase.QUEUED, message=decision.message))

    moved = list_outdated([make_sync("s0000", age=2000, **RUNNING), *waiting[1:]], max_active=1)

    assert 20 <= len(moved) <= 40


@pytest.mark.parametrize(
    ("running", "ahead", "expected"),
    [
        pytest.param(["r"], 0, QueuePlace(position=1, ahead=("r",)), id="next"),
        pytest.param([], 1, QueuePlace(position=2), id="no sync runs: another is about to start"),
        pytest.param(
            ["r1", "r2", "r3", "r4", "r5"],
            2,
            QueuePlace(position=3, ahead=("r1", "r2", "r3"), more_ahead=2),
            id="many run",
        ),
        pytest.param(["r"], 136, QueuePlace(position=100, exact=False), id="far back"),
    ],
)
def test_a_waiting_sync_knows_its_place(
    make_sync: MakeSync, running: list[str], ahead: int, expected: QueuePlace
) -> None:
    others = [make_sync(f"s{number}", age=number + 2, phase=Phase.QUEUED) for number in range(ahead)]
    at_work = [make_sync(name, age=20 - number, **RUNNING) for number, name in enumerate(running)]

    decision = decide_start(make_sync("me", age=1), [*at_work, *others], max_active=1)

    assert decision.place == expected


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="it starts"),
        pytest.param(SUSPENDED, id="it is suspended"),
    ],
)
def test_a_sync_that_does_not_wait_has_no_place(make_sync: MakeSync, fields: dict[str, Any]) -> None:
    assert decide_start(make_sync("me", **fields), [], max_active=1).place is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"queue": QueuePlace(position=1, ahead=("r",)), "message": "anything"}, (), id="up to date"),
        pytest.param({"queue": QueuePlace(position=2, ahead=("r",))}, ("me",), id="another position"),
        pytest.param({"queue": QueuePlace(position=1, ahead=("gone",))}, ("me",), id="another runs"),
        pytest.param({"message": "Position 1; waiting for r"}, (), id="by an older operator, up to date"),
        pytest.param({"message": "Position 2; waiting for r"}, ("me",), id="by an older operator, outdated"),
    ],
)
def test_the_place_on_record_decides_what_is_outdated(
    make_sync: MakeSync, status: dict[str, Any], expected: tuple[str, ...]
) -> None:
    syncs = [make_sync("r", **RUNNING), make_sync("me", phase=Phase.QUEUED, **status)]

    assert list_outdated(syncs, max_active=1) == expected


def test_a_sync_that_may_start_is_outdated_whatever_its_place_on_record(make_sync: MakeSync) -> None:
    waiting = make_sync("me", phase=Phase.QUEUED, queue=QueuePlace(position=1, ahead=("r",)))

    assert list_outdated([waiting], max_active=1) == ("me",)


@pytest.mark.parametrize(
    ("reason", "seconds", "expected"),
    [
        pytest.param("JobSuspended", 600, True, id="its job is suspended"),
        pytest.param("SchedulingGated", 600, True, id="its pod is gated"),
        pytest.param("JobSuspended", 599, False, id="not for long"),
        pytest.param("Unschedulable", 6000, False, id="what nobody has set on purpose"),
        pytest.param("Running", 6000, False, id="at work"),
    ],
)
def test_a_sync_that_is_held_back_for_long_gives_its_slot_back(
    make_sync: MakeSync, reason: str, seconds: int, *, expected: bool
) -> None:
    stalled = Condition(
        type="Stalled",
        status=ConditionStatus.TRUE,
        observed_generation=1,
        last_transition_time=NOW - timedelta(seconds=seconds),
        reason=reason,
        message="",
    )
    sync = make_sync("a", phase=Phase.RUNNING, reason=reason, conditions=(stalled,))

    assert gives_slot_back(sync, now=NOW, patience=timedelta(minutes=10)) is expected
