"""What a job's state means for its sync: the outcome, once it has ended.

The words are those of the table of causes.
"""

from datetime import timedelta
from typing import Final

import msgspec
from estimatesync_contract.causes import Reason, format_cause
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.result import (
    BrokenResultError,
    ExitCode,
    ResultError,
    SyncResult,
    find_committed,
    parse_result,
)
from estimatesync_contract.spec import Mode
from estimatesync_contract.specific_causes import find_specific_cause
from estimatesync_contract.status import Phase, Results, UnshownFields

from estimatesync_operator.core.job_observation import JobObservation, JobState

_DEADLINE: Final = "DeadlineExceeded"
_RETRIES_EXHAUSTED: Final = "BackoffLimitExceeded"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a sync ended. A failed one has zero results, because it left the tables as they were.

    Attributes:
        cause: the code of what it is more exactly, as far as the table knows it.
        pages: of the range, as the run that stored it has read them; None where another run reports it.
    """

    phase: Phase
    reason: Reason
    message: str
    cause: str | None = None
    results: Results = Results()
    pages: int | None = None
    unshown: UnshownFields | None = None
    mode: Mode | None = None


CANCELLED: Final = Outcome(phase=Phase.CANCELLED, reason=Reason.CANCELLED, message=format_cause(Reason.CANCELLED))


def fail(reason: Reason, *, message: str = "", quote: str | None = None, **details: object) -> Outcome:
    """A failure with the more precise message given, or else with that of the table; never without words."""
    words = message or format_cause(reason, quote=quote, **details)
    return Outcome(phase=Phase.FAILED, reason=reason, message=words)


def compute_give_up(sync: EstimateSync, *, after: timedelta) -> Outcome:
    """End a sync whose blocker stood for too long; its status still says which."""
    return fail(
        Reason(str(sync.status.reason)),
        message=f"Gave up after {int(after.total_seconds())} seconds. {sync.status.message}",
    )


def compute_end(sync: EstimateSync, job: JobObservation, *, given_up_after: timedelta | None) -> Outcome:
    """How a sync ended whose job has ended, or is not going to report its end.

    `given_up_after` is how long its blocker has stood, when that was too long. Whatever led to it, a run that says
    that it has stored everything has.
    """
    if success := find_success(job, sync):
        return success
    if job.state in {JobState.SUCCEEDED, JobState.FAILED}:
        return compute_outcome(job, sync)
    if sync.spec.cancel:
        return CANCELLED
    if job.state is JobState.FOREIGN:
        return fail(Reason.JOB_CONFLICT)
    return _judge_own_end(sync, given_up_after) or _judge_unfinished(job, sync)


def find_success(job: JobObservation, sync: EstimateSync) -> Outcome | None:
    """The success that a run reports, whatever became of its container, its pod and its job afterwards."""
    result = find_committed(job.termination_message, sync_uid=sync.uid)
    return _succeed(result) if result else None


def judge_unnoticed_failure(job: JobObservation, sync: EstimateSync) -> Outcome:
    """Judge a run that has failed beside containers that go on, as its job will once they have ended."""
    counted = msgspec.structs.replace(
        job,
        state=JobState.FAILED,
        failed_runs=job.failed_runs + 1,
        failure_reason=_RETRIES_EXHAUSTED if _is_retryable(job) else None,
    )
    return compute_outcome(counted, sync)


def may_follow(job: JobObservation, sync: EstimateSync) -> bool:
    """Return whether another run may follow the one that has failed, once its pod has ended."""
    return _is_retryable(job) and job.failed_runs < sync.options.max_retries


def _is_retryable(job: JobObservation) -> bool:
    return job.exit_code not in {ExitCode.PERMANENT, ExitCode.DONE}


def _judge_own_end(sync: EstimateSync, given_up_after: timedelta | None) -> Outcome | None:
    """The end that the operator has made of a sync, if it has: the status says why."""
    if sync.status.is_being_ended:
        return fail(Reason(str(sync.status.reason)), message=sync.status.message or "")
    return None if given_up_after is None else compute_give_up(sync, after=given_up_after)


def _judge_unfinished(job: JobObservation, sync: EstimateSync) -> Outcome:
    """Judge a job whose end is not reported although its outcome is known, or one that was deleted."""
    if job.failure_reason:
        return compute_outcome(msgspec.structs.replace(job, state=JobState.FAILED), sync)
    if job.exit_code == ExitCode.DONE:
        return compute_outcome(msgspec.structs.replace(job, state=JobState.SUCCEEDED), sync)
    return fail(Reason.JOB_DELETED)


def compute_outcome(job: JobObservation, sync: EstimateSync) -> Outcome:
    """Judge a job that has ended (SUCCEEDED or FAILED). A run that was done counts, even one that met the deadline."""
    is_done = job.exit_code == ExitCode.DONE or find_success(job, sync) is not None
    if job.failure_reason == _DEADLINE and not is_done:
        return _judge_deadline(sync)
    if job.termination_message:
        return _judge_result(job, sync.uid)
    return _judge_missing_result(job)


def _judge_deadline(sync: EstimateSync) -> Outcome:
    """A deadline deletes the pod and its message: the cause is the job's, or the blocker that stood until then."""
    if sync.status.stalled_since:
        return fail(Reason(str(sync.status.reason)), message=sync.status.message or "")
    return fail(Reason.DEADLINE_EXCEEDED, seconds=sync.options.timeout_seconds)


def _judge_result(job: JobObservation, sync_uid: str) -> Outcome:
    try:
        result = parse_result(job.termination_message or "", sync_uid=sync_uid)
    except BrokenResultError:
        return fail(Reason.RESULT_BROKEN)
    if result.error is None:
        return _succeed(result)
    return _judge_error(job, result.error)


def find_error(job: JobObservation, sync: EstimateSync) -> ResultError | None:
    """Why the newest run that has ended says that it failed; None where it does not."""
    try:
        return parse_result(job.termination_message or "", sync_uid=sync.uid).error
    except BrokenResultError:
        return None


def _judge_error(job: JobObservation, error: ResultError) -> Outcome:
    """The program only knows that it was stopped; the node may know why."""
    if error.reason is Reason.INTERRUPTED and job.node_reason is not None:
        return fail(job.node_reason, quote=job.node_message)
    specific = find_specific_cause(error.cause)
    outcome = msgspec.structs.replace(
        fail(error.reason, message=error.message), cause=specific.code if specific else None
    )
    if job.failure_reason != _RETRIES_EXHAUSTED or job.failed_runs <= 1:
        return outcome
    tried = f"{outcome.message} (gave up after {job.failed_runs} runs)"
    return msgspec.structs.replace(outcome, message=tried)


def _succeed(result: SyncResult) -> Outcome:
    counts = result.results
    message = f"New: {counts.new_estimates}, Updated: {counts.updated_estimates}"
    if counts.skipped_estimates:
        message += f", Skipped: {counts.skipped_estimates}"
    if counts.deleted_estimates:
        message += f", Deleted: {counts.deleted_estimates}"
    if result.unmarked_because:
        message += f". No estimate was marked as deleted: {result.unmarked_because}"
    if (before := counts.previous_total_fetched) and counts.total_fetched < before / 2:
        message += f". Attic Tech has shown {counts.total_fetched} estimates, and {before} the time before"
    if result.mode is Mode.CHANGES:
        message += ". Only what had changed was read"
    elif result.whole_because:
        message += f". The whole range was read: {result.whole_because}"
    if (unshown := result.unshown) is not None:
        fields = ", ".join(unshown.fields)
        message += f". Attic Tech does not show {fields} of {unshown.estimates}: what is stored of these is kept"
    return Outcome(
        phase=Phase.SUCCEEDED,
        reason=Reason.SUCCEEDED,
        message=message,
        results=counts,
        pages=result.pages,
        unshown=unshown,
        # A program of an earlier version does not say, and knows nothing else.
        mode=result.mode or Mode.WHOLE,
    )


def count_deletions(outcome: Outcome) -> Outcome:
    """Count none where nobody has counted: what a callback holds must not depend on how a sync has ended."""
    if outcome.results.deleted_estimates is not msgspec.UNSET:
        return outcome
    return msgspec.structs.replace(outcome, results=msgspec.structs.replace(outcome.results, deleted_estimates=0))


def _judge_missing_result(job: JobObservation) -> Outcome:
    """The program could not say anything: the node may know why."""
    if job.node_reason is not None:
        return fail(job.node_reason, quote=job.node_message)
    if job.exit_code is None and job.container_reason:
        return fail(Reason.NODE_REFUSED, sign=job.container_reason, quote=job.node_message)
    if job.exit_code is None or job.exit_code == ExitCode.DONE:
        return fail(Reason.RESULT_MISSING)
    return fail(Reason.POD_FAILED, exit_code=job.exit_code)
