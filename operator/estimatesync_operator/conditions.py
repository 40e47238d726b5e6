"""The conditions of a sync, derived from its phase and callback: for `kubectl wait` and for dashboards."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
from estimatesync_contract.causes import OBSTACLES
from estimatesync_contract.status import (
    CallbackState,
    CallbackStatus,
    Condition,
    ConditionStatus,
    ConditionType,
    EstimateSyncStatus,
    Phase,
)

_FINISHED: Final[dict[ConditionType, frozenset[Phase]]] = {
    ConditionType.FINISHED: frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}),
    ConditionType.COMPLETE: frozenset({Phase.SUCCEEDED}),
    ConditionType.FAILED: frozenset({Phase.FAILED, Phase.CANCELLED}),
}
"""The phases in which each condition is true."""


def apply_conditions(status: EstimateSyncStatus, previous: Iterable[Condition], *, now: datetime) -> EstimateSyncStatus:
    """Set all conditions of a status; a transition time moves only when a condition turns over."""
    known = {condition.type: condition for condition in previous}
    fresh = (_build_condition(kind, status, now, is_true=status.phase in phases) for kind, phases in _FINISHED.items())
    stalled = status.phase is Phase.RUNNING and status.reason in OBSTACLES
    conditions = (
        *fresh,
        _build_condition(ConditionType.STALLED, status, now, is_true=stalled),
        _build_callback_condition(status, now),
    )
    return msgspec.structs.replace(
        status, conditions=tuple(_keep_time(condition, known.get(condition.type)) for condition in conditions)
    )


def _build_condition(kind: ConditionType, status: EstimateSyncStatus, now: datetime, *, is_true: bool) -> Condition:
    return Condition(
        type=kind,
        status=ConditionStatus.TRUE if is_true else ConditionStatus.FALSE,
        observed_generation=status.observed_generation or 0,
        last_transition_time=now,
        reason=status.reason or Phase.QUEUED,
        message=status.message or "",
    )


def _build_callback_condition(status: EstimateSyncStatus, now: datetime) -> Condition:
    callback = status.callback or CallbackStatus(state=CallbackState.PENDING)
    return Condition(
        type=ConditionType.CALLBACK_DELIVERED,
        status=_judge_callback(callback.state),
        observed_generation=status.observed_generation or 0,
        last_transition_time=now,
        reason=callback.state,
        message=callback.last_error or "",
    )


def _judge_callback(state: CallbackState) -> ConditionStatus:
    if state is CallbackState.DELIVERED:
        return ConditionStatus.TRUE
    return ConditionStatus.FALSE if state.is_final else ConditionStatus.UNKNOWN


def _keep_time(condition: Condition, before: Condition | None) -> Condition:
    if before is None or before.status != condition.status:
        return condition
    return msgspec.structs.replace(condition, last_transition_time=before.last_transition_time)
