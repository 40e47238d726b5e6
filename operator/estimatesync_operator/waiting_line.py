"""Who may run next: the oldest syncs first, as many at once as the settings allow."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.reasons import Reason
from estimatesync_contract.status import Phase

_NAMED_AT_MOST: Final = 3
_SUSPENDED: Final = "Suspended; set spec.suspend to false to let it wait for its turn"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a waiting sync may start now, and if not, why."""

    may_start: bool
    reason: Reason
    message: str


def compute_turn(sync: EstimateSync, unfinished: Iterable[EstimateSync], *, max_active: int) -> Turn:
    """Decide whether `sync` may start, given every unfinished sync (itself included or not)."""
    if sync.spec.suspend:
        return Turn(may_start=False, reason=Reason.SUSPENDED, message=_SUSPENDED)
    others = [other for other in unfinished if other.uid != sync.uid]
    running = [other for other in others if other.status.phase is Phase.RUNNING]
    ahead = [other for other in others if _is_waiting(other) and _age_key(other) < _age_key(sync)]
    if len(running) + len(ahead) < max_active:
        return Turn(may_start=True, reason=Reason.STARTING, message="It is this sync's turn")
    return _build_wait(position=len(ahead) + 1, running=sorted(running, key=_age_key))


def list_waiting(unfinished: Iterable[EstimateSync]) -> tuple[str, ...]:
    """Names of the syncs that wait for a place, the next one first."""
    return tuple(sync.name for sync in sorted(filter(_is_waiting, unfinished), key=_age_key))


def _is_waiting(sync: EstimateSync) -> bool:
    return sync.status.phase in {None, Phase.QUEUED} and not sync.spec.suspend and not sync.spec.cancel


def _age_key(sync: EstimateSync) -> tuple[datetime, str]:
    return sync.metadata.creation_timestamp or datetime.max.replace(tzinfo=UTC), sync.name


def _build_wait(*, position: int, running: Sequence[EstimateSync]) -> Turn:
    names = ", ".join(other.name for other in running[:_NAMED_AT_MOST])
    more = f" and {len(running) - _NAMED_AT_MOST} more" if len(running) > _NAMED_AT_MOST else ""
    waiting_for = f"; waiting for {names}{more}" if names else ""
    return Turn(may_start=False, reason=Reason.QUEUED, message=f"Position {position}{waiting_for}")
