"""Who may run next: the oldest syncs first, as many at once as the settings allow.

What a waiting sync shows must change seldom, for each change is a write, and a line of a thousand would rewrite itself
at every step: only the first few are told exactly where they are and whom they wait for.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from heapq import nsmallest
from typing import Final

import msgspec
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase

EXACT_POSITIONS: Final = 20
_NAMED_AT_MOST: Final = 3
_SUSPENDED: Final = "Suspended; set spec.suspend to false to let it wait for its turn"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a waiting sync may start now, and if not, why. `position` counts from 1; None for a suspended one."""

    may_start: bool
    reason: Reason
    message: str
    position: int | None = None


def compute_turn(sync: EstimateSync, unfinished: Iterable[EstimateSync], *, max_active: int) -> Turn:
    """Decide whether `sync` may start, given every unfinished sync (itself included or not)."""
    if sync.spec.suspend:
        return Turn(may_start=False, reason=Reason.SUSPENDED, message=_SUSPENDED)
    others, key = [other for other in unfinished if other.uid != sync.uid], _age_key(sync)
    ahead = sum(1 for other in others if _is_waiting(other) and _age_key(other) < key)
    return _compute_turn(ahead, _list_running(others), max_active=max_active)


def list_outdated(unfinished: Iterable[EstimateSync], *, max_active: int) -> tuple[str, ...]:
    """Name the waiting syncs that may start now, or whose status tells a turn that is not theirs any more.

    Those that have not been greeted yet are left out: their own first visit is still to come.
    """
    syncs = tuple(unfinished)
    if not any(sync.status.phase is Phase.QUEUED for sync in syncs):
        # As in a burst without a bound: a thousand passes over a thousand syncs would cost more than all the rest.
        return ()
    running = _list_running(syncs)
    waiting = sorted(filter(_is_waiting, syncs), key=_age_key)
    turns = ((sync, _compute_turn(ahead, running, max_active=max_active)) for ahead, sync in enumerate(waiting))
    return tuple(sync.name for sync, turn in turns if sync.status.phase and turn.message != sync.status.message)


def _list_running(syncs: Iterable[EstimateSync]) -> Sequence[EstimateSync]:
    return [sync for sync in syncs if sync.status.phase is Phase.RUNNING]


def _compute_turn(ahead: int, running: Sequence[EstimateSync], *, max_active: int) -> Turn:
    position = ahead + 1
    if len(running) + ahead < max_active:
        return Turn(may_start=True, reason=Reason.STARTING, message="It is this sync's turn", position=position)
    exact = position <= EXACT_POSITIONS
    message = _describe_place(position, running) if exact else f"Position {_round_down(position)} or later"
    return Turn(may_start=False, reason=Reason.QUEUED, message=message, position=position)


def _round_down(position: int) -> int:
    """Keep the first digit: 137 becomes 100."""
    unit: int = 10 ** (len(str(position)) - 1)
    return position // unit * unit


def _describe_place(position: int, running: Sequence[EstimateSync]) -> str:
    names = ", ".join(other.name for other in nsmallest(_NAMED_AT_MOST, running, key=_age_key))
    more = f" and {len(running) - _NAMED_AT_MOST} more" if len(running) > _NAMED_AT_MOST else ""
    waiting_for = f"; waiting for {names}{more}" if names else ""
    return f"Position {position}{waiting_for}"


def _is_waiting(sync: EstimateSync) -> bool:
    phase = sync.status.phase
    return (phase is None or phase is Phase.QUEUED) and not sync.spec.suspend and not sync.spec.cancel


def _age_key(sync: EstimateSync) -> tuple[datetime, str]:
    return sync.metadata.creation_timestamp or datetime.max.replace(tzinfo=UTC), sync.name
