from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from estimatesync_contract.status import (
    CallbackState,
    CallbackStatus,
    ConditionStatus,
    ConditionType,
    EstimateSyncStatus,
    Phase,
    build_delivery_fields,
)
from estimatesync_operator.core.lifecycle import apply_conditions

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def _values(status: EstimateSyncStatus) -> dict[str, str]:
    return {condition.type: condition.status.value for condition in apply_conditions(status, (), now=NOW).conditions}


@pytest.mark.parametrize(
    ("phase", "finished", "complete", "failed"),
    [
        pytest.param(Phase.QUEUED, "False", "False", "False", id="queued"),
        pytest.param(Phase.RUNNING, "False", "False", "False", id="running"),
        pytest.param(Phase.SUCCEEDED, "True", "True", "False", id="succeeded"),
        pytest.param(Phase.FAILED, "True", "False", "True", id="failed"),
        pytest.param(Phase.CANCELLED, "True", "False", "True", id="cancelled"),
    ],
)
def test_every_condition_is_set_in_every_phase(phase: Phase, finished: str, complete: str, failed: str) -> None:
    values = _values(EstimateSyncStatus(phase=phase, reason=phase.value))

    assert values == {
        ConditionType.FINISHED: finished,
        ConditionType.COMPLETE: complete,
        ConditionType.FAILED: failed,
        ConditionType.STALLED: "False",
        ConditionType.CALLBACK_DELIVERED: "Unknown",
    }


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(CallbackState.PENDING, "Unknown", id="pending"),
        pytest.param(CallbackState.RETRYING, "Unknown", id="retrying"),
        pytest.param(CallbackState.DELIVERED, "True", id="delivered"),
        pytest.param(CallbackState.FAILED, "False", id="failed"),
        pytest.param(CallbackState.DISABLED, "False", id="disabled"),
    ],
)
def test_the_callback_condition_is_unknown_until_it_is_decided(state: CallbackState, expected: str) -> None:
    status = EstimateSyncStatus(phase=Phase.SUCCEEDED, reason="Succeeded", callback=CallbackStatus(state=state))

    assert _values(status)[ConditionType.CALLBACK_DELIVERED] == expected


def test_a_callback_that_is_disabled_keeps_no_other_from_being_delivered() -> None:
    both = (
        CallbackStatus(state=CallbackState.DISABLED, target="default"),
        CallbackStatus(state=CallbackState.DELIVERED, target="billing"),
    )
    status = EstimateSyncStatus(phase=Phase.SUCCEEDED, reason="Succeeded", **build_delivery_fields(both))

    assert _values(status)[ConditionType.CALLBACK_DELIVERED] == "True"


def test_a_transition_time_moves_only_when_the_condition_turns_over() -> None:
    running = EstimateSyncStatus(phase=Phase.RUNNING, reason="Running", message="Page 1/17")
    before = apply_conditions(running, (), now=NOW)
    done = msgspec.structs.replace(before, phase=Phase.SUCCEEDED, reason="Succeeded")

    after = apply_conditions(done, before.conditions, now=LATER)

    times = {condition.type: condition.last_transition_time for condition in after.conditions}
    assert times[ConditionType.FINISHED] == times[ConditionType.COMPLETE] == LATER
    assert times[ConditionType.FAILED] == times[ConditionType.CALLBACK_DELIVERED] == NOW


def test_conditions_do_not_change_by_themselves() -> None:
    first = apply_conditions(EstimateSyncStatus(phase=Phase.RUNNING, reason="Running"), (), now=NOW)

    assert apply_conditions(first, first.conditions, now=LATER) == first


def test_conditions_carry_the_cause_and_the_generation() -> None:
    status = EstimateSyncStatus(
        phase=Phase.FAILED, reason="LoginFailed", message="wrong password", observed_generation=3
    )

    failed = apply_conditions(status, (), now=NOW).conditions[2]

    assert failed.status is ConditionStatus.TRUE
    assert (failed.reason, failed.message, failed.observed_generation) == ("LoginFailed", "wrong password", 3)


@pytest.mark.parametrize(
    ("phase", "reason", "expected"),
    [
        pytest.param(Phase.RUNNING, "ImagePullFailed", "True", id="a blocker"),
        pytest.param(Phase.RUNNING, "Running", "False", id="at work"),
        pytest.param(Phase.FAILED, "ImagePullFailed", "False", id="ended by a blocker"),
    ],
)
def test_a_running_sync_with_a_blocker_is_stalled(phase: Phase, reason: str, expected: str) -> None:
    assert _values(EstimateSyncStatus(phase=phase, reason=reason))[ConditionType.STALLED] == expected


def test_the_stall_began_with_the_first_blocker_whatever_follows_it() -> None:
    stalled = EstimateSyncStatus(phase=Phase.RUNNING, reason="Unschedulable")
    before = apply_conditions(stalled, (), now=NOW)

    after = apply_conditions(msgspec.structs.replace(before, reason="NodeLost"), before.conditions, now=LATER)

    times = {condition.type: condition.last_transition_time for condition in after.conditions}
    assert times[ConditionType.STALLED] == NOW
