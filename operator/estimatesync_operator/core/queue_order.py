"""Who may run next: the oldest syncs first, as many at once as the settings allow.

What a waiting sync shows must change seldom, for each change is a write, and a queue of a thousand would rewrite itself
at every step: only the first few are shown exactly where they are and which syncs they wait for.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from typing import Final

import msgspec
from estimatesync_contract.causes import HOLDS, Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import QUEUE_NAMES_MAX, Phase, QueuePlace

EXACT_POSITIONS: Final = 20
_SUSPENDED: Final = "Suspended; set spec.suspend to false to let it wait for its turn"


class QueueDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a waiting sync may start now, and if not, why; suspended syncs have no place."""

    may_start: bool
    reason: Reason
    message: str
    place: QueuePlace | None = None


_MAY_START: Final = QueueDecision(may_start=True, reason=Reason.STARTING, message="It is this sync's turn")


def decide_start(
    sync: EstimateSync, unfinished: Collection[EstimateSync], *, max_active: int, holds_slot: bool = False
) -> QueueDecision:
    """Decide whether `sync` may start, given every unfinished sync (itself included or not).

    One that holds a slot already, which was given to it and may not have been recorded, needs no other.
    """
    if sync.spec.suspend:
        return QueueDecision(may_start=False, reason=Reason.SUSPENDED, message=_SUSPENDED)
    if holds_slot or len(unfinished) < max_active:
        # There is room for all: nobody has to be counted.
        return _MAY_START
    others, key = [other for other in unfinished if other.uid != sync.uid], _age_key(sync)
    ahead = sum(1 for other in others if is_waiting(other) and _age_key(other) < key)
    return _decide(ahead, _list_running(others), max_active=max_active)


def gives_slot_back(sync: EstimateSync, *, now: datetime, patience: timedelta) -> bool:
    """Return whether a running sync has been held back, on purpose, for so long that others take its turn.

    Once it is let go it runs beside them, for nobody asks us then.
    """
    if sync.status.reason not in HOLDS:
        return False
    since = sync.status.stalled_since
    return since is not None and now >= since + patience


def list_outdated(unfinished: Iterable[EstimateSync], *, max_active: int) -> tuple[str, ...]:
    """Name the waiting syncs that may start now, or whose status shows a place that is not theirs any more.

    Those without a phase are left out: their own first pass is still to come.
    """
    syncs = tuple(unfinished)
    if not any(sync.status.phase is Phase.QUEUED for sync in syncs):
        # As in a burst without a bound: a thousand passes over a thousand syncs would cost more than all the rest.
        return ()
    running = _list_running(syncs)
    waiting = sorted(filter(is_waiting, syncs), key=_age_key)
    decisions = ((sync, _decide(ahead, running, max_active=max_active)) for ahead, sync in enumerate(waiting))
    return tuple(sync.name for sync, decision in decisions if sync.status.phase and _is_outdated(sync, decision))


def _is_outdated(sync: EstimateSync, decision: QueueDecision) -> bool:
    """Compare the places; a status that an older operator wrote has only the message."""
    if sync.status.queue is None:
        return decision.message != sync.status.message
    return decision.place != sync.status.queue


def _list_running(syncs: Iterable[EstimateSync]) -> Sequence[EstimateSync]:
    return [sync for sync in syncs if sync.status.phase is Phase.RUNNING]


def _decide(ahead: int, running: Sequence[EstimateSync], *, max_active: int) -> QueueDecision:
    if len(running) + ahead < max_active:
        return _MAY_START
    place = _build_place(ahead + 1, running)
    return QueueDecision(may_start=False, reason=Reason.QUEUED, message=_format_place(place), place=place)


def _build_place(position: int, running: Sequence[EstimateSync]) -> QueuePlace:
    if position > EXACT_POSITIONS:
        return QueuePlace(position=_round_down(position), exact=False)
    names = tuple(other.name for other in nsmallest(QUEUE_NAMES_MAX, running, key=_age_key))
    return QueuePlace(position=position, ahead=names, more_ahead=len(running) - len(names))


def _round_down(position: int) -> int:
    """Keep the first digit: 137 becomes 100."""
    unit: int = 10 ** (len(str(position)) - 1)
    return position // unit * unit


def _format_place(place: QueuePlace) -> str:
    if not place.exact:
        return f"Position {place.position} or later"
    more = f" and {place.more_ahead} more" if place.more_ahead else ""
    waiting_for = f"; waiting for {', '.join(place.ahead)}{more}" if place.ahead else ""
    return f"Position {place.position}{waiting_for}"


def is_waiting(sync: EstimateSync) -> bool:
    """Return whether a sync waits for a slot."""
    phase = sync.status.phase
    return (phase is None or phase is Phase.QUEUED) and not sync.spec.suspend and not sync.spec.cancel


def _age_key(sync: EstimateSync) -> tuple[datetime, str]:
    return sync.metadata.creation_timestamp or datetime.max.replace(tzinfo=UTC), sync.name
