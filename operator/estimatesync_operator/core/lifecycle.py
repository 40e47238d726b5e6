"""From one status to the next: one pure function for each step in a sync's life, and the conditions of every status.

Each function takes the sync as it was read and what was observed, and returns the status as it should be.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from estimatesync_contract.causes import BLOCKERS, HOLDS, Reason, format_cause
from estimatesync_contract.estimate_sync import EstimateSync, MalformedSyncError, to_status_object
from estimatesync_contract.log_lines import Trouble
from estimatesync_contract.names import build_callback_id, build_job_name
from estimatesync_contract.redelivery import compute_redelivery_token
from estimatesync_contract.spec import DateRange, Options, compute_default_range, resolve_options
from estimatesync_contract.specific_causes import find_specific_cause
from estimatesync_contract.status import (
    KEPT_LINE_MAX_LENGTH,
    KEPT_LOG_LINES,
    AlertStatus,
    CallbackState,
    CallbackStatus,
    Condition,
    ConditionStatus,
    ConditionType,
    EstimateSyncStatus,
    Phase,
    Progress,
    build_delivery_fields,
    build_progress,
    format_duration,
    truncate_message,
)

from estimatesync_operator.core.job_observation import JobObservation, JobState
from estimatesync_operator.core.outcomes import Outcome, find_error, may_follow
from estimatesync_operator.core.queue_order import QueueDecision
from estimatesync_operator.core.retention import build_details_url, is_named

NO_TARGET: Final = (
    "No webhook URL is configured; to receive callbacks, set callback.existingSecret or callback.url of the chart and "
    "run helm upgrade, or set MAKE_SYNC_CALLBACK_WEBHOOK_URL in .env and start again"
)
NOT_WANTED: Final = "The sync asked for no callback"

COMPANION_TIME: Final = timedelta(seconds=30)
"""In which the other containers of a pod may end after the sync's own; a sidecar that Kubernetes ends needs a part."""

_PHASES_BY_CONDITION: Final[dict[ConditionType, frozenset[Phase]]] = {
    ConditionType.FINISHED: frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}),
    ConditionType.COMPLETE: frozenset({Phase.SUCCEEDED}),
    ConditionType.FAILED: frozenset({Phase.FAILED, Phase.CANCELLED}),
}
"""The phases in which each condition is true."""

Raw = dict[str, Any]


def compute_queue_status(
    sync: EstimateSync, queue: QueueDecision, *, now: datetime, time_zone: ZoneInfo, default_options: Options
) -> EstimateSyncStatus:
    """Give a sync its slot, or say why it waits; its range and its options are fixed from the first time on.

    The job's name is on record before the job is.
    """
    date_range = sync.status.date_range or _resolve_range(sync, now=now, time_zone=time_zone)
    options = sync.status.options or resolve_options(sync.spec, default_options)
    if not queue.may_start:
        return _build_status(
            sync,
            now=now,
            phase=Phase.QUEUED,
            reason=queue.reason,
            message=queue.message,
            date_range=date_range,
            options=options,
            queue=queue.place,
        )
    return _build_status(
        sync,
        now=now,
        phase=Phase.RUNNING,
        reason=queue.reason,
        message=queue.message,
        date_range=date_range,
        options=options,
        queue=None,
        job_name=build_job_name(sync.uid),
        start_time=_compute_start(sync, now),
    )


def compute_created_status(sync: EstimateSync, *, now: datetime) -> EstimateSyncStatus:
    """Remember that the job exists: if it is absent later, it was deleted."""
    return _build_status(sync, now=now, reason=Reason.RUNNING, message=format_created(sync))


def compute_refused_status(sync: EstimateSync, why: str, *, now: datetime) -> EstimateSyncStatus:
    """The job was refused; it is requested again until the sync's time is over."""
    message = format_cause(Reason.JOB_REFUSED, quote=why)
    return _build_status(sync, now=now, reason=Reason.JOB_REFUSED, message=message)


def compute_running_status(
    sync: EstimateSync,
    job: JobObservation,
    progress: Progress | None,
    *,
    now: datetime,
    trouble: Trouble | None = None,
    known_pod: str | None = None,
    max_evictions: int,
) -> EstimateSyncStatus:
    """Show how far a running sync is, or what it waits for; without new progress, the last known.

    `known_pod` is the newest pod of an earlier pass, which may not be on record.
    """
    if job.failure_reason:
        # Its pods go before it does; what kept them from starting is the cause, and is judged at the end.
        return _build_status(sync, now=now)
    runs, shown = count_runs(sync, job, known_pod), progress or sync.status.progress
    read = None if progress is None and _has_read_nothing(sync, job) else shown
    reason, message = (
        _describe_evictions(runs - 1 - job.failed_runs, max_evictions)
        or _describe_blocker(job)
        or (Reason.RUNNING, format_run(sync, job, read, trouble))
    )
    cause = _find_running_cause(sync, job, read, trouble) if reason is Reason.RUNNING else None
    status = _build_status(sync, now=now, reason=reason, message=message, cause=cause, progress=shown)
    # The first pod alone is not worth a write.
    is_news = runs > max(sync.status.runs or 0, 1) or status != sync.status
    pod_name = job.pod_name or known_pod or sync.status.pod_name
    return msgspec.structs.replace(status, pod_name=pod_name, runs=runs) if is_news and pod_name else status


def _has_read_nothing(sync: EstimateSync, job: JobObservation) -> bool:
    """Whether the progress on record is that of a run which has failed, as far as is known: between two runs it is.

    The next one has read nothing as long as the cause of that failure is on record: its first page takes it away.
    """
    if not job.failed_runs:
        return False
    cause = _find_failure_cause(sync, job)
    return job.state is JobState.PENDING or (cause is not None and cause == sync.status.cause)


def _find_running_cause(
    sync: EstimateSync, job: JobObservation, progress: Progress | None, trouble: Trouble | None
) -> str | None:
    """Of what a run waits for, or else of the run before, as long as nothing has been read after it."""
    if trouble is not None:
        return trouble.cause.code if trouble.cause else None
    return _find_failure_cause(sync, job) if job.failed_runs and progress is None else None


def _find_failure_cause(sync: EstimateSync, job: JobObservation) -> str | None:
    error = find_error(job, sync)
    specific = find_specific_cause(error.cause) if error else None
    return specific.code if specific else None


def _describe_evictions(evictions: int, max_evictions: int) -> tuple[Reason, str] | None:
    """Why a sync that the cluster has taken off its node so often is not started once more."""
    reason = Reason.EVICTED_TOO_OFTEN
    return (reason, format_cause(reason, times=evictions)) if evictions > max_evictions else None


def _describe_blocker(job: JobObservation) -> tuple[Reason, str] | None:
    blocker = job.blocker
    return (blocker, format_cause(blocker, quote=job.waiting_message)) if blocker else None


def compute_kept_log_status(sync: EstimateSync, log: Sequence[str], *, now: datetime) -> EstimateSyncStatus:
    """Keep the log of a sync that has ended, before its pod is removed."""
    return _build_status(sync, now=now, log=_shorten_log(log))


def _shorten_log(log: Sequence[str]) -> tuple[str, ...]:
    return tuple(truncate_message(line, length=KEPT_LINE_MAX_LENGTH) for line in log[-KEPT_LOG_LINES:])


def compute_stopping_status(sync: EstimateSync, *, now: datetime) -> EstimateSyncStatus:
    """The job is being deleted, and what it runs has a moment to end; a blocker on record is the reason."""
    if (sync.status.stalled_since or sync.status.is_being_ended) and not sync.spec.cancel:
        return _build_status(sync, now=now)
    message = "Cancelling: the sync is being stopped" if sync.spec.cancel else "The job is being deleted"
    return _build_status(sync, now=now, reason=Reason.STOPPING, message=message)


def compute_final_status(
    sync: EstimateSync,
    outcome: Outcome,
    *,
    now: datetime,
    job: JobObservation | None,
    environment: str,
    public_url: str = "",
    has_target: bool,
    log: Sequence[str] = (),
) -> EstimateSyncStatus:
    """Record how a sync ended, together with the callback that is owed: one write, so neither can be lost alone.

    `job` is the last observation, if there was one: it names a pod that came and went in between. `log` is the end of
    one whose pod is about to be removed.
    """
    start = sync.status.start_time or now
    completion = max(_whole_second(_find_end_time(job, outcome, start, now)), start)
    seconds = int((completion - _whole_second(start)).total_seconds())
    status = _build_status(
        sync,
        now=now,
        phase=outcome.phase,
        reason=outcome.reason,
        message=outcome.message,
        cause=outcome.cause,
        queue=None,
        completion_time=completion,
        duration_seconds=seconds,
        duration=format_duration(seconds),
        progress=_complete_progress(sync, outcome),
        results=outcome.results,
        unshown=outcome.unshown,
        mode=outcome.mode,
        **build_delivery_fields(
            _begin_deliveries(sync, environment=environment, public_url=public_url, has_target=has_target)
        ),
        log=_shorten_log(log) or sync.status.log,
    )
    if job is None or job.pod_name is None:
        return status
    return msgspec.structs.replace(status, pod_name=job.pod_name, runs=count_runs(sync, job, None))


def _find_end_time(job: JobObservation | None, outcome: Outcome, start: datetime, now: datetime) -> datetime:
    """By the job's clock, else by that of the node where the sync succeeded, if it can be right, else now.

    An end in the future would be the newest success for as long, and the silence until then unnoticed.
    """
    if job is not None and job.finished_at is not None:
        return min(job.finished_at, now)
    if job is not None and job.ended_at is not None and outcome.phase is Phase.SUCCEEDED:
        return job.ended_at if _whole_second(start) <= job.ended_at <= now else now
    return now


def compute_delivery_status(
    sync: EstimateSync, *changed: CallbackStatus, now: datetime, alert: AlertStatus | None = None
) -> EstimateSyncStatus:
    """Record what has become of deliveries, and of the alert if it is given; the others stay as they are."""
    fresh = {each.target: each for each in changed}
    deliveries = tuple(fresh.get(each.target, each) for each in sync.status.deliveries)
    return _build_status(sync, now=now, alert=alert or sync.status.alert, **build_delivery_fields(deliveries))


def compute_alert_status(sync: EstimateSync, alert: AlertStatus, *, now: datetime) -> EstimateSyncStatus:
    """Record that an alert has begun, or what has become of it."""
    return _build_status(sync, now=now, alert=alert)


def compute_retained_status(sync: EstimateSync, *, now: datetime) -> EstimateSyncStatus:
    """Say that the sync stays though its time is over."""
    return _build_status(sync, now=now, retained=True)


def compute_acknowledged_status(sync: EstimateSync, *, now: datetime) -> EstimateSyncStatus:
    """Acknowledge a change of the spec that has no effect any more."""
    return _build_status(sync, now=now)


def compute_give_up_time(sync: EstimateSync) -> datetime:
    """When a sync whose job never came to be has used up its time; a job that exists minds its own deadline."""
    start = sync.status.start_time
    if start is None:
        raise ValueError("a running sync has a start time")
    return start + timedelta(seconds=sync.options.timeout_seconds)


def compute_stop_time(sync: EstimateSync) -> datetime | None:
    """When the job of a sync that has succeeded is stopped if it is at work yet; None for any other: at once.

    That time begins when the end was recorded: when the sync ended is said by a node, whose clock may be wrong.
    """
    if sync.status.phase is not Phase.SUCCEEDED:
        return None
    recorded = (each for each in sync.status.conditions if each.type == ConditionType.FINISHED)
    end = next((each.last_transition_time for each in recorded), sync.status.completion_time)
    return end + COMPANION_TIME if end else None


def get_date_range(sync: EstimateSync) -> DateRange:
    """The range fixed on the first pass."""
    if sync.status.date_range is None:
        raise ValueError("a sync that has been reconciled has a date range")
    return sync.status.date_range


def _build_status(sync: EstimateSync, *, now: datetime, **changes: object) -> EstimateSyncStatus:
    if isinstance(message := changes.get("message"), str):
        changes["message"] = truncate_message(message)
        changes.setdefault("cause", None)
    status = msgspec.structs.replace(sync.status, observed_generation=sync.metadata.generation, **changes)
    return apply_conditions(status, sync.status.conditions, now=_whole_second(now))


def _resolve_range(sync: EstimateSync, *, now: datetime, time_zone: ZoneInfo) -> DateRange:
    return sync.spec.date_range or compute_default_range(now.astimezone(time_zone).date())


def _begin_deliveries(
    sync: EstimateSync, *, environment: str, public_url: str, has_target: bool
) -> tuple[CallbackStatus, ...]:
    """A request to deliver again that came too early is served by the first delivery.

    `has_target` speaks of the webhook without a name; a name counts even if nothing is behind it now: that is a fault.
    """
    wanted, token = sync.spec.callback, compute_redelivery_token(sync)
    deliveries = []
    for target in wanted.targets or (None,):
        if not wanted.enabled or not (has_target or is_named(target)):
            why = NO_TARGET if wanted.enabled else NOT_WANTED
            disabled = CallbackStatus(state=CallbackState.DISABLED, target=target, last_error=why, redelivery=token)
            deliveries.append(disabled)
            continue
        pending = CallbackStatus(
            state=CallbackState.PENDING,
            target=target,
            id=build_callback_id(sync.uid, target),
            environment=environment,
            details_url=build_details_url(public_url, sync.name),
            redelivery=token,
        )
        deliveries.append(pending)
    return tuple(deliveries)


def _complete_progress(sync: EstimateSync, outcome: Outcome) -> Progress | None:
    """A finished sync shows all its pages: the log may have been read a moment too early."""
    if outcome.phase is not Phase.SUCCEEDED:
        return sync.status.progress
    pages = outcome.pages or (sync.status.progress.total_pages if sync.status.progress else 1)
    return build_progress(page=pages, total_pages=pages, fetched=outcome.results.total_fetched)


def _compute_start(sync: EstimateSync, now: datetime) -> datetime:
    """A sync does not start before it is created, even if our clock is behind, or whole seconds hide the difference."""
    start, created = _whole_second(now), sync.metadata.creation_timestamp
    return max(start, created) if created else start


def _whole_second(moment: datetime) -> datetime:
    """Kubernetes keeps whole seconds."""
    return moment.replace(microsecond=0)


def apply_conditions(status: EstimateSyncStatus, previous: Iterable[Condition], *, now: datetime) -> EstimateSyncStatus:
    """Set all conditions of a status; a transition time moves only when a condition turns over."""
    known = {condition.type: condition for condition in previous}
    fresh = (
        _build_condition(kind, status, now, is_true=status.phase in phases)
        for kind, phases in _PHASES_BY_CONDITION.items()
    )
    stalled = status.phase is Phase.RUNNING and status.reason in BLOCKERS
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
    callback = status.worst_delivery or CallbackStatus(state=CallbackState.PENDING)
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
    """A blocker after a hold, or the other way round, has another limit, and so its own beginning."""
    if before is None or before.status != condition.status:
        return condition
    if condition.type == ConditionType.STALLED and (before.reason in HOLDS) != (condition.reason in HOLDS):
        return condition
    return msgspec.structs.replace(condition, last_transition_time=before.last_transition_time)


def count_runs(sync: EstimateSync, job: JobObservation, known_pod: str | None) -> int:
    """Count the pods that were begun, as far as they were seen: one at a time, so a different one is one more.

    One that begins and is gone within the first moments of its job is not seen.
    """
    before = sync.status.pod_name or known_pod
    is_another = before is not None and job.pod_name not in {None, before}
    return max(max(sync.status.runs or 0, 1) + is_another, job.pods)


def format_created(sync: EstimateSync) -> str:
    """What is known when the job has just been created."""
    return f"Created job {sync.status.job_name}; waiting for its run to start"


def format_run(
    sync: EstimateSync, job: JobObservation, progress: Progress | None, trouble: Trouble | None = None
) -> str:
    """A job without a run is described as when it was created, so that nothing has to be written about it."""
    again = f" (run {job.failed_runs + 1})" if job.failed_runs else ""
    if job.companions and not may_follow(job, sync):
        return "The last run has failed; the end of its log is being read"
    if job.companions:
        return f"Run {job.failed_runs + 1} has failed; the next one follows once {', '.join(job.companions)} has ended"
    if trouble is not None:
        attempt = f"attempt {trouble.attempt} of {trouble.attempts} at {trouble.at} UTC"
        return f"Attic Tech is not available: {trouble.happened}; {attempt}{again}"
    if progress is None and job.state is JobState.PENDING:
        return (
            f"Waiting for its next run to start{again}{_format_failure(sync, job)}" if again else format_created(sync)
        )
    if progress is None:
        return f"Connecting{again}{_format_failure(sync, job)}"
    return f"Page {progress.text}, {progress.fetched} estimates so far{again}"


def _format_failure(sync: EstimateSync, job: JobObservation) -> str:
    """Why there is another run."""
    error = find_error(job, sync) if job.failed_runs else None
    return f". Run {job.failed_runs} failed: {error.message}" if error else ""


def compute_invalid_status(raw: Raw, error: MalformedSyncError, *, now: datetime) -> Raw | None:
    """Compute the object as it should be written; None when it must be left alone.

    One that has begun is left alone: an operator of another version can read it, and knows how it goes on.
    """
    if raw.get("status"):
        return None
    moment = now.replace(microsecond=0)
    status = EstimateSyncStatus(
        observed_generation=raw["metadata"].get("generation", 0),
        phase=Phase.FAILED,
        reason=Reason.MALFORMED,
        message=truncate_message(format_cause(Reason.MALFORMED, quote=str(error))),
        completion_time=moment,
    )
    return {**raw, "status": to_status_object(apply_conditions(status, (), now=moment))}
