"""The Events of a sync, derived from two versions of its status: what changed happened, what did not, did not."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, CallbackStatus, EstimateSyncStatus, Phase

from estimatesync_operator.core.lifecycle import format_created
from estimatesync_operator.core.ports import EventType, SyncEvent

_GOOD_PHASES: Final = frozenset({Phase.QUEUED, Phase.RUNNING, Phase.SUCCEEDED})
_ORDINARY_REASONS: Final = frozenset({Reason.QUEUED, Reason.SUSPENDED, Reason.STARTING, Reason.STOPPING})


def build_events(before: EstimateSyncStatus, after: EstimateSyncStatus) -> tuple[SyncEvent, ...]:
    """Every transition between two statuses, oldest first; nothing when only progress or a queue position moved.

    Nor when a sync has got a slot: its job follows at once, and that is the event.
    """
    known = {each.target: each for each in before.deliveries}
    pairs = [("Callback", known.get(each.target), each) for each in after.deliveries]
    if after.alert:
        pairs.append(("Alert", before.alert.delivery if before.alert else None, after.alert.delivery))
    deliveries = (_build_delivery_events(*pair) for pair in pairs)
    return (*_build_phase_events(before, after), *chain.from_iterable(deliveries))


def build_created_event(sync: EstimateSync) -> SyncEvent:
    """The only one that no change of the status tells: the job has just been created."""
    return SyncEvent(type=EventType.NORMAL, reason="JobCreated", message=format_created(sync))


def _build_phase_events(before: EstimateSyncStatus, after: EstimateSyncStatus) -> Iterator[SyncEvent]:
    if after.phase != before.phase and after.phase is not Phase.RUNNING:
        kind = EventType.NORMAL if after.phase in _GOOD_PHASES else EventType.WARNING
        yield SyncEvent(type=kind, reason=after.reason or "", message=after.message or "")
    elif after.reason != before.reason and after.reason == Reason.RUNNING:
        if not before.is_job_pending:
            yield SyncEvent(type=EventType.NORMAL, reason="Running", message=after.message or "")
    elif after.reason != before.reason and after.reason not in _ORDINARY_REASONS:
        yield SyncEvent(type=EventType.WARNING, reason=after.reason or "", message=after.message or "")


def _build_delivery_events(what: str, before: CallbackStatus | None, after: CallbackStatus) -> Iterator[SyncEvent]:
    if after.state is CallbackState.PENDING:
        return
    if before is not None and (before.attempts, before.state) == (after.attempts, after.state):
        return
    good = after.state in {CallbackState.DELIVERED, CallbackState.DISABLED}
    yield SyncEvent(
        type=EventType.NORMAL if good else EventType.WARNING,
        reason=f"{what}{after.state}",
        message=_describe(after),
    )


def _describe(callback: CallbackStatus) -> str:
    if callback.state is CallbackState.DISABLED:
        return callback.last_error or ""
    to = f" to {callback.target}" if callback.target else ""
    outcome = callback.last_error or f"HTTP {callback.last_status_code}"
    again = f"; next attempt at {callback.next_attempt_time:%H:%M:%S} UTC" if callback.next_attempt_time else ""
    return f"Attempt {callback.attempts}{to}: {outcome}{again}"
