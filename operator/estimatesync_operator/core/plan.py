"""What one reconcile pass does: the whole decision, from the sync on record and from what the pass has seen.

The reconciler carries a plan out. There is one for each part of a sync's life: waiting, running, finished. When a
blocker began is read from the sync's own Stalled condition, so the limit holds across restarts of the operator.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from estimatesync_contract.causes import ENDS, HOLDS, Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.log_lines import Trouble
from estimatesync_contract.redelivery import is_redelivery_requested
from estimatesync_contract.spec import DEFAULT_OPTIONS, NO_METADATA, Options
from estimatesync_contract.status import EstimateSyncStatus, Phase, Progress
from msgspec import UNSET, UnsetType

from estimatesync_operator.core import lifecycle
from estimatesync_operator.core.job_observation import JobObservation, JobState, PodIdentity
from estimatesync_operator.core.outcomes import (
    CANCELLED,
    Outcome,
    compute_end,
    compute_give_up,
    count_deletions,
    fail,
    find_success,
    judge_unnoticed_failure,
    may_follow,
)
from estimatesync_operator.core.queue_order import QueueDecision, gives_slot_back
from estimatesync_operator.core.retention import (
    compute_alert_redelivery,
    compute_expiry,
    compute_redelivery,
    compute_wait,
)
from estimatesync_operator.core.silence import Silence, decide_alert, has_silence

AT_ONCE: Final = timedelta(0)
_QUEUE_TICK: Final = timedelta(seconds=30)
"""A waiting sync is requeued when a slot becomes free; this is for the case that this got lost."""
_FAR_TICK: Final = timedelta(minutes=5)
"""The same for a sync further back, or suspended: the loss does little harm there."""
_STALLED_TICK: Final = timedelta(seconds=15)
_BEGINNING: Final = JobObservation(state=JobState.PENDING)
"""A job of which nothing is known yet."""
FIRST_LOOK: Final = timedelta(seconds=5)
"""A job whose pod begins to work says so; this is for one whose pod cannot, and does not say so.

Until then no log is read, and no pod looked at."""
_STOPPING_TICK: Final = timedelta(seconds=1)
_RETAINED_TICK: Final = timedelta(hours=1)
"""A sync that stays until a newer one has succeeded may stay a little longer."""
_KEPT: Final = " (no other run followed: the operator's Role does not let it delete the pod of this one)"


class ReconcilerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may configure about reconciling."""

    max_active_syncs: int
    time_zone: ZoneInfo
    environment: str
    public_url: str = ""
    """Where the status page is; empty: callbacks and alerts name no page."""
    has_metadata: bool = False
    """Whether each callback has metadata, null where none were sent."""
    marks_deletions: bool = False
    """Whether each callback says how many estimates were marked as deleted."""
    progress_interval: timedelta
    stuck_limit: timedelta
    """How long a blocker may stand, and how long a job may take to end."""
    suspended_limit: timedelta | None = None
    """How long a sync may be held back by a suspended job or a gate; None: as long as it may run, 0: for ever."""
    max_evictions: int
    default_ttl: timedelta
    """How long a finished sync stays that names no ttlSecondsAfterFinished."""
    stale_after: timedelta | None = None
    """How long no sync need have succeeded before an alert is sent; None: for ever."""
    default_options: Options = DEFAULT_OPTIONS
    """How a sync runs whose spec leaves it open."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass has found outside the sync itself."""

    has_target: bool = True
    """There is a webhook that a callback could go to for which the sync names no target."""
    queue: QueueDecision | None = None
    """Whether the sync may start, if it waits."""
    job: JobObservation | None = None
    """None while it was not looked up: a job that was never seen is created first."""
    created_at: datetime | None = None
    """When this process created the job; None if another one did, or none has."""
    has_stray: bool = False
    """The sync has ended, and its job is at work."""
    refusal: str | None = None
    """Why the job was just refused."""
    progress: Progress | None = None
    """None when the log was not read, or says nothing about it."""
    trouble: Trouble | None = None
    """Attic Tech is waited for, as the log has it."""
    log: tuple[str, ...] = ()
    """The end of the log, if it may have to be kept; empty, too, when it cannot be read."""
    next_reading: timedelta = AT_ONCE
    """How long the log need not be read."""
    known_pod: str | None = None
    """The newest pod of an earlier pass, which may not be on record."""
    companions_since: datetime | None = None
    """Since when the job's companions have been seen, by the clock of the pass; None while there are none."""
    silence: Silence | UnsetType | None = UNSET
    """Since when no sync has succeeded; absent while it was not looked up."""
    has_alert_target: bool = False
    """There is a webhook for alerts."""
    may_stop_run: bool = True
    """False where the operator was just not allowed to delete a pod."""


class Action(StrEnum):
    """What a pass does besides writing the status."""

    CREATE_JOB = "create the job"
    STOP_JOB = "delete the job"
    STOP_RUN = "delete the pod of the run that has failed, so that another may follow"
    SEND_CALLBACK = "send the callback that is due, and record the attempt"
    SEND_ALERT = "send the alert, and record the attempt"
    DELETE_SYNC = "delete the sync"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The action first, then the status; None leaves it as it is."""

    action: Action | None = None
    pod: PodIdentity | None = None
    """The one to delete, where the action is STOP_RUN."""
    status: EstimateSyncStatus | None = None
    requeue_after: timedelta | None = None
    moves_queue: bool = False
    """The waiting syncs whose place has changed are requeued."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Reconcile this sync again after a while (None: only when something happens), and these others now."""

    requeue_after: timedelta | None = None
    requeue: tuple[str, ...] = ()


def build_plan(sync: EstimateSync, seen: Seen, *, now: datetime, settings: ReconcilerSettings) -> Plan:
    """Decide everything about one pass."""
    if sync.is_finished:
        return _plan_finished(sync, seen, now, settings)
    is_running = sync.status.phase is Phase.RUNNING
    plan = (_plan_running if is_running else _plan_waiting)(sync, seen, now, settings)
    return _record_metadata(sync, plan) if settings.has_metadata else plan


def _record_metadata(sync: EstimateSync, plan: Plan) -> Plan:
    """With the end at the latest: what a callback says does not change with the settings."""
    if plan.status is None:
        return plan
    metadata = plan.status.metadata or sync.spec.metadata or NO_METADATA
    return msgspec.structs.replace(plan, status=msgspec.structs.replace(plan.status, metadata=metadata))


def _plan_waiting(sync: EstimateSync, seen: Seen, now: datetime, settings: ReconcilerSettings) -> Plan:
    queue = seen.queue
    if sync.spec.cancel:
        return _plan_end(sync, CANCELLED, seen, now, settings)
    if queue is None:
        raise ValueError("a waiting sync is planned with a queue decision")
    status = lifecycle.compute_queue_status(
        sync, queue, now=now, time_zone=settings.time_zone, default_options=settings.default_options
    )
    if queue.may_start:
        return Plan(status=status, requeue_after=AT_ONCE, moves_queue=True)
    is_near = queue.place is not None and queue.place.exact
    return Plan(status=status, requeue_after=_QUEUE_TICK if is_near else _FAR_TICK)


def _plan_running(sync: EstimateSync, seen: Seen, now: datetime, settings: ReconcilerSettings) -> Plan:
    if seen.refusal is not None:
        return _plan_refused(sync, seen, seen.refusal, now, settings)
    if seen.job is None:
        # A refusal is over; else the first news of the job says as well that it exists.
        status = lifecycle.compute_created_status(sync, now=now) if sync.status.reason != Reason.STARTING else None
        return Plan(action=Action.CREATE_JOB, status=status, requeue_after=FIRST_LOOK)
    is_unmade = sync.status.is_job_pending and seen.created_at is None
    if seen.job.state is JobState.ABSENT and is_unmade and not sync.spec.cancel:
        return Plan(requeue_after=AT_ONCE)
    return _plan_job(sync, seen, seen.job, now, settings)


def _plan_job(sync: EstimateSync, seen: Seen, job: JobObservation, now: datetime, settings: ReconcilerSettings) -> Plan:
    is_given_up = _is_given_up(sync, now, settings)
    must_stop = sync.spec.cancel or sync.status.is_being_ended
    is_ending = must_stop or is_given_up
    if (is_ending or job.is_unnoticed) and (success := find_success(job, sync)):
        return _plan_end(sync, success, seen, now, settings)
    if _has_ended(job, is_ending=is_ending, now=now, limit=settings.stuck_limit):
        outcome = compute_end(sync, job, given_up_after=_compute_limit(sync, settings) if is_given_up else None)
        return _plan_end(sync, outcome, seen, now, settings)
    if job.state is JobState.STOPPING:
        return Plan(status=lifecycle.compute_stopping_status(sync, now=now), requeue_after=_STOPPING_TICK)
    if is_ending and (must_stop or job.blocker):
        return Plan(action=Action.STOP_JOB, requeue_after=AT_ONCE)
    if job.companions and (plan := _plan_unnoticed_failure(sync, seen, job, now, settings)):
        return plan
    return _plan_going_on(sync, seen, job, now, settings)


def _plan_unnoticed_failure(
    sync: EstimateSync, seen: Seen, job: JobObservation, now: datetime, settings: ReconcilerSettings
) -> Plan | None:
    """Do what the job would do about a run that has failed, if its pod ended with it.

    The last run ends the sync at once, as soon as its log is kept; before another one the pod has a moment to end by
    itself. Where the pod may not be deleted, no other can follow. A run that a lost node has ended says nothing yet:
    that blocks the sync.
    """
    outcome = judge_unnoticed_failure(job, sync)
    if outcome.reason not in ENDS:
        return None
    has_had_time = _has_had_time(seen, now)
    if not may_follow(job, sync):
        return _plan_end(sync, outcome, seen, now, settings) if seen.log or has_had_time else None
    if not seen.may_stop_run:
        return _plan_end(sync, msgspec.structs.replace(outcome, message=outcome.message + _KEPT), seen, now, settings)
    return Plan(action=Action.STOP_RUN, pod=job.ended_pod, requeue_after=_STOPPING_TICK) if has_had_time else None


def _has_ended(job: JobObservation, *, is_ending: bool, now: datetime, limit: timedelta) -> bool:
    """Return whether the outcome can be recorded: nothing runs any more, or nothing is going to report it."""
    if job.state in {JobState.SUCCEEDED, JobState.FAILED, JobState.FOREIGN, JobState.ABSENT}:
        return True
    if job.ending_since is not None and now >= job.ending_since + limit:
        return True
    return job.state is JobState.STOPPING and is_ending and job.blocker is Reason.NODE_LOST


def _has_had_time(seen: Seen, now: datetime) -> bool:
    """Return whether the other containers of a pod whose sync has ended have had the time to end, too.

    A node's clock may be wrong by more than that time, so when the run ended has no say.
    """
    return seen.companions_since is not None and now >= seen.companions_since + lifecycle.COMPANION_TIME


def _is_given_up(sync: EstimateSync, now: datetime, settings: ReconcilerSettings) -> bool:
    """Return whether the blocker on record has stood for the whole limit."""
    since, limit = sync.status.stalled_since, _compute_limit(sync, settings)
    return since is not None and limit is not None and now >= since + limit


def _compute_limit(sync: EstimateSync, settings: ReconcilerSettings) -> timedelta | None:
    """How long the blocker on record may stand; None for ever."""
    if sync.status.reason not in HOLDS:
        return settings.stuck_limit
    if settings.suspended_limit is None:
        return timedelta(seconds=sync.options.timeout_seconds)
    return settings.suspended_limit or None


def _plan_going_on(
    sync: EstimateSync, seen: Seen, job: JobObservation, now: datetime, settings: ReconcilerSettings
) -> Plan:
    status = lifecycle.compute_running_status(
        sync,
        job,
        seen.progress,
        now=now,
        trouble=seen.trouble,
        known_pod=seen.known_pod,
        max_evictions=settings.max_evictions,
    )
    if status.is_being_ended:
        return Plan(status=status, requeue_after=AT_ONCE)
    if job.blocker:
        gives_way = gives_slot_back(sync, now=now, patience=settings.stuck_limit)
        return Plan(status=status, requeue_after=_compute_blocked_tick(sync, now, settings), moves_queue=gives_way)
    tick = min(seen.next_reading, settings.progress_interval)
    if job.ending_since is not None and find_success(job, sync):
        # Its end follows in a moment, with all that there is to say.
        return Plan(requeue_after=tick)
    if seen.created_at is not None and _has_no_news(sync, status, seen, now):
        return Plan(requeue_after=min(tick, seen.created_at + FIRST_LOOK - now))
    if job == _BEGINNING:
        tick = max(tick, FIRST_LOOK)
    if seen.companions_since is not None and not _has_had_time(seen, now):
        tick = min(tick, seen.companions_since + lifecycle.COMPANION_TIME - now)
    return Plan(status=status, requeue_after=tick)


def _has_no_news(sync: EstimateSync, status: EstimateSyncStatus, seen: Seen, now: datetime) -> bool:
    """Return whether a job does in its first moments what every job does: that alone is not worth a write.

    Not by a clock that has been set back: it would take an hour for a moment.
    """
    is_new = seen.created_at is not None and seen.created_at <= now < seen.created_at + FIRST_LOOK
    is_ordinary = status.reason == Reason.RUNNING and seen.progress is None and (status.runs or 1) == 1
    return is_new and is_ordinary and sync.status.reason == Reason.STARTING


def _plan_refused(sync: EstimateSync, seen: Seen, why: str, now: datetime, settings: ReconcilerSettings) -> Plan:
    if _is_given_up(sync, now, settings):
        return _plan_end(sync, compute_give_up(sync, after=settings.stuck_limit), seen, now, settings)
    if now >= lifecycle.compute_give_up_time(sync):
        return _plan_end(sync, fail(Reason.JOB_REFUSED, quote=why), seen, now, settings)
    status = lifecycle.compute_refused_status(sync, why, now=now)
    return Plan(status=status, requeue_after=_compute_blocked_tick(sync, now, settings))


def _compute_blocked_tick(sync: EstimateSync, now: datetime, settings: ReconcilerSettings) -> timedelta:
    """Seldom, for a change of the job requeues the sync anyway; but in time to give up."""
    limit = _compute_limit(sync, settings)
    left = _FAR_TICK if limit is None else (sync.status.stalled_since or now) + limit - now
    gives_way = gives_slot_back(sync, now=now, patience=settings.stuck_limit)
    return max(min(left, _FAR_TICK if gives_way else _STALLED_TICK), _STOPPING_TICK)


def _plan_end(sync: EstimateSync, outcome: Outcome, seen: Seen, now: datetime, settings: ReconcilerSettings) -> Plan:
    if settings.marks_deletions:
        outcome = count_deletions(outcome)
    status = lifecycle.compute_final_status(
        sync,
        outcome,
        now=now,
        job=seen.job,
        environment=settings.environment,
        public_url=settings.public_url,
        has_target=seen.has_target,
        log=seen.log,
    )
    return Plan(status=status, requeue_after=AT_ONCE, moves_queue=True)


def _plan_finished(sync: EstimateSync, seen: Seen, now: datetime, settings: ReconcilerSettings) -> Plan:
    if not seen.has_stray:
        return _plan_delivery(sync, seen, now, settings)
    return _plan_stray(sync, seen, now, settings)


def _plan_stray(sync: EstimateSync, seen: Seen, now: datetime, settings: ReconcilerSettings) -> Plan:
    """Stop a job that is at work for a sync that has ended.

    If it ended well, its pod has only to end yet: that may take a moment, and its log goes with it.
    """
    stop = Plan(action=Action.STOP_JOB, requeue_after=AT_ONCE)
    due = lifecycle.compute_stop_time(sync)
    if due is None:
        return stop
    if now >= due and seen.log:
        return Plan(status=lifecycle.compute_kept_log_status(sync, seen.log, now=now), requeue_after=_STOPPING_TICK)
    if now >= (due if sync.status.log else due + settings.stuck_limit):
        return stop
    plan = _plan_delivery(sync, seen, now, settings)
    tick = _STALLED_TICK if now >= due else max(min(due - now, _STALLED_TICK), _STOPPING_TICK)
    later = plan.requeue_after
    return msgspec.structs.replace(plan, requeue_after=tick if later is None else min(later, tick))


def _plan_delivery(sync: EstimateSync, seen: Seen, now: datetime, settings: ReconcilerSettings) -> Plan:
    if sync.status.observed_generation != sync.metadata.generation:
        return Plan(status=lifecycle.compute_acknowledged_status(sync, now=now), requeue_after=AT_ONCE)
    if is_redelivery_requested(sync):
        deliveries = compute_redelivery(
            sync, environment=settings.environment, public_url=settings.public_url, has_target=seen.has_target
        )
        status = lifecycle.compute_delivery_status(sync, *deliveries, now=now, alert=compute_alert_redelivery(sync))
        return Plan(status=status, requeue_after=AT_ONCE)
    delivery, waits = sync.status.next_delivery, []
    if delivery is not None:
        wait = compute_wait(delivery, now=now)
        if not wait:
            return Plan(action=Action.SEND_CALLBACK, requeue_after=AT_ONCE)
        waits.append(wait)
    if (alert := _plan_alert(sync, seen, now, settings)) is not None:
        if alert.action or alert.status:
            return alert
        waits.append(alert.requeue_after or AT_ONCE)
    expiry = compute_expiry(sync, default_ttl=settings.default_ttl)
    if waits or expiry is None:
        return Plan(requeue_after=min(waits, default=None))
    return Plan(requeue_after=expiry - now) if now < expiry else _plan_removal(sync, seen, now)


def _plan_alert(sync: EstimateSync, seen: Seen, now: datetime, settings: ReconcilerSettings) -> Plan | None:
    """Begin, send or end the alert that no sync has succeeded for long; None where there is nothing to do about it.

    It is on record before its first attempt, with all that it says.
    """
    alert = sync.status.alert
    if seen.silence is UNSET:
        return Plan(requeue_after=AT_ONCE) if sync.status.owes_alert else None
    stale_after = settings.stale_after if seen.has_alert_target else None
    decided = decide_alert(
        sync,
        seen.silence,
        now=now,
        stale_after=stale_after,
        environment=settings.environment,
        public_url=settings.public_url,
    )
    if decided is not None and decided != alert:
        return Plan(status=lifecycle.compute_alert_status(sync, decided, now=now), requeue_after=AT_ONCE)
    if alert is None or alert.delivery.state.is_final:
        return None
    wait = compute_wait(alert.delivery, now=now)
    return Plan(requeue_after=wait) if wait else Plan(action=Action.SEND_ALERT, requeue_after=AT_ONCE)


def _plan_removal(sync: EstimateSync, seen: Seen, now: datetime) -> Plan:
    """Remove a sync whose time is over, unless the silence is on record on it."""
    if seen.silence is UNSET:
        return Plan(requeue_after=AT_ONCE)
    if not has_silence(sync, seen.silence):
        return Plan(action=Action.DELETE_SYNC)
    status = None if sync.status.retained else lifecycle.compute_retained_status(sync, now=now)
    return Plan(status=status, requeue_after=_RETAINED_TICK)
