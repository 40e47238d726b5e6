"""What to do next about a sync that has a place: the whole decision, from what is on record and what is seen.

Called by the follower of running syncs, which carries it out. When an obstacle began is read from the sync's own
Stalled condition, so the limit holds across restarts of the operator.

What a reconcile pass asks for next.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from estimatesync_contract.causes import OBSTACLES, Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import ConditionStatus, ConditionType

from estimatesync_operator.core.job_observation import JobObservation, JobState
from estimatesync_operator.core.outcomes import (
    CANCELLED,
    Outcome,
    compute_obstacle,
    compute_outcome,
    compute_surrender,
    fail,
)

_UNMADE = frozenset({Reason.STARTING, Reason.JOB_REFUSED})
"""While the status says so, the job has never been seen."""


class Step(StrEnum):
    """What the follower does."""

    CREATE = "create the job"
    SHOW = "show how far the sync is, or what keeps it"
    STOP = "delete the job"
    AWAIT_STOP = "wait until what is being stopped has ended"
    END = "record the outcome"


def is_unmade(sync: EstimateSync) -> bool:
    """Tell whether the job is still to be created, as far as the record goes."""
    return sync.status.reason in _UNMADE


def decide_step(sync: EstimateSync, seen: JobObservation, *, now: datetime, limit: timedelta) -> Step:
    """Decide; `limit` is how long an obstacle may stand, and how long a job may take to end."""
    if seen.state in {JobState.SUCCEEDED, JobState.FAILED, JobState.FOREIGN}:
        return Step.END
    if seen.state is JobState.ABSENT:
        return Step.CREATE if is_unmade(sync) and not sync.spec.cancel else Step.END
    if _is_overdue(seen, now=now, limit=limit):
        return Step.END
    is_doomed = sync.spec.cancel or is_exhausted(sync)
    is_over = is_doomed or is_given_up(sync, now=now, limit=limit)
    if seen.state is JobState.STOPPING:
        return Step.END if is_over and _is_node_lost(seen) else Step.AWAIT_STOP
    return Step.STOP if is_over and (is_doomed or compute_obstacle(seen)) else Step.SHOW


def compute_end(sync: EstimateSync, seen: JobObservation, *, now: datetime, limit: timedelta) -> Outcome:
    """How a sync ended that `decide_step` says has."""
    if seen.state in {JobState.SUCCEEDED, JobState.FAILED}:
        return compute_outcome(seen, sync)
    if sync.spec.cancel:
        return CANCELLED
    if seen.state is JobState.FOREIGN:
        return fail(Reason.JOB_CONFLICT)
    if surrender := _compute_surrender(sync, now=now, limit=limit):
        return surrender
    if seen.failure_reason:
        return compute_outcome(msgspec.structs.replace(seen, state=JobState.FAILED), sync)
    return fail(Reason.JOB_DELETED)


def _compute_surrender(sync: EstimateSync, *, now: datetime, limit: timedelta) -> Outcome | None:
    """The end that we have made of a sync, if we have: its status says why."""
    if is_exhausted(sync):
        return fail(Reason.EVICTED_TOO_OFTEN, message=sync.status.message or "")
    if is_given_up(sync, now=now, limit=limit):
        return compute_surrender(sync, seconds=int(limit.total_seconds()))
    return None


def is_given_up(sync: EstimateSync, *, now: datetime, limit: timedelta) -> bool:
    """Tell whether the obstacle on record has stood for the whole limit."""
    since = compute_stalled_since(sync)
    return since is not None and now >= since + limit


def is_exhausted(sync: EstimateSync) -> bool:
    """Tell whether it is on record that the cluster has taken the sync off its node too often."""
    return sync.status.reason == Reason.EVICTED_TOO_OFTEN


def compute_stalled_since(sync: EstimateSync) -> datetime | None:
    """When the obstacle on record began; None when there is none."""
    if sync.status.reason not in OBSTACLES:
        return None
    for condition in sync.status.conditions:
        if condition.type == ConditionType.STALLED and condition.status is ConditionStatus.TRUE:
            return condition.last_transition_time
    return None


def _is_overdue(seen: JobObservation, *, now: datetime, limit: timedelta) -> bool:
    return seen.ending_since is not None and now >= seen.ending_since + limit


def _is_node_lost(seen: JobObservation) -> bool:
    obstacle = compute_obstacle(seen)
    return obstacle is not None and obstacle[0] is Reason.NODE_LOST


class Agenda(msgspec.Struct, frozen=True, kw_only=True):
    """Come back to this sync after a while (None: only when something happens), and look at these others now."""

    again_after: timedelta | None = None
    wake: tuple[str, ...] = ()


NOTHING_MORE = Agenda()
AT_ONCE = Agenda(again_after=timedelta(0))
