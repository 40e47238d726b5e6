"""What is known of a job and its runs: plain values, read from the job's directory, that every decision starts from.

Nothing here is concluded; `job_decisions.py` does that, and `job_directory.py` reads and writes them.

What a job does next and what it looks like from outside: pure, with the semantics of a Kubernetes Job.

https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy. Two things differ, because a
person stops one machine more often than a cluster: a run that ended with the server is not counted as a failure, and
the job's time limit begins anew when the server is back.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec
from estimatesync_contract.result import BrokenResultError, ExitCode, parse_result
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobObservation, JobState


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job as it was asked for; written once. The environment holds no secret, because this is kept on disk."""

    sync_name: str
    sync_uid: str
    created_at: datetime
    timeout_seconds: int
    max_retries: int
    environment: dict[str, str]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the sync program, as its directory shows it. Times are aware."""

    number: int
    prepared_at: datetime
    started_at: datetime | None = None
    """None while the program has not begun."""
    is_alive: bool = False
    is_interrupted: bool = False
    """The server was stopped while it ran: not the run's own failure."""
    exit_code: int | None = None
    """None while it runs, and for a run whose end nobody saw."""
    finished_at: datetime | None = None
    termination_message: str = ""


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A job and its runs, the oldest first."""

    record: JobRecord
    runs: tuple[RunFacts, ...] = ()
    is_removed: bool = False
    deadline_hit_at: datetime | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job waits between two runs: as a Kubernetes Job does, 10 s doubling to 6 min."""

    first_delay: timedelta = timedelta(seconds=10)
    longest_delay: timedelta = timedelta(minutes=6)


BACKOFF_LIMIT_EXCEEDED: Final = "BackoffLimitExceeded"
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
POD_FAILURE_POLICY: Final = "PodFailurePolicy"

_MESSAGES: Final = {
    BACKOFF_LIMIT_EXCEEDED: "Every run failed, and no more are allowed",
    DEADLINE_EXCEEDED: "The job was active longer than its time limit",
    POD_FAILURE_POLICY: "The run failed in a way that another run cannot cure",
}


class Step(StrEnum):
    """What is to be done about a job now."""

    WAIT = "wait"
    BEGIN_RUN = "begin a run"
    HIT_DEADLINE = "record that the deadline has passed, then end the run"
    END_RUN = "end the run"
    REST = "nothing, ever again"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended. `failure_reason` is None for success."""

    failure_reason: str | None = None
    finished_at: datetime | None = None


def decide_step(job: JobFacts, *, now: datetime, pace: Pace) -> Step:
    """Decide from what is true now, whatever was done before."""
    newest = job.runs[-1] if job.runs else None
    is_alive = newest is not None and newest.is_alive
    if job.is_removed or job.deadline_hit_at is not None:
        return Step.END_RUN if is_alive else Step.REST
    if compute_verdict(job) is not None:
        return Step.REST
    deadline = compute_deadline(job)
    if deadline is not None and now >= deadline:
        return Step.HIT_DEADLINE
    if is_alive or now < compute_begin_time(job, pace=pace):
        return Step.WAIT
    return Step.BEGIN_RUN


def compute_verdict(job: JobFacts) -> Verdict | None:
    """Judge a job; None while it is not over. A run that succeeded counts, even one that met the deadline."""
    newest = job.runs[-1] if job.runs else None
    if newest is not None and newest.is_alive:
        return None
    finished_at = newest.finished_at if newest else None
    if newest is not None and _is_done(newest, job):
        return Verdict(finished_at=finished_at)
    if job.deadline_hit_at is not None:
        return Verdict(failure_reason=DEADLINE_EXCEEDED, finished_at=job.deadline_hit_at)
    failed = _list_failed(job)
    if failed and compute_exit_code(failed[-1], job.record.sync_uid) == ExitCode.PERMANENT:
        return Verdict(failure_reason=POD_FAILURE_POLICY, finished_at=finished_at)
    if len(failed) > job.record.max_retries:
        return Verdict(failure_reason=BACKOFF_LIMIT_EXCEEDED, finished_at=finished_at)
    return None


def compute_exit_code(run: RunFacts, sync_uid: str) -> int | None:
    """The exit code of a run that has ended; one that nobody recorded is read from the result it left."""
    if run.exit_code is not None:
        return run.exit_code
    try:
        error = parse_result(run.termination_message, sync_uid=sync_uid).error
    except BrokenResultError:
        return None
    if error is None:
        return ExitCode.DONE
    return ExitCode.RETRYABLE if error.retryable else ExitCode.PERMANENT


def compute_deadline(job: JobFacts) -> datetime | None:
    """When the job's time is over; None while it waits for its first run since the server was stopped."""
    since: datetime | None = job.record.created_at
    for run in job.runs:
        if run.is_interrupted and not run.is_alive:
            since = None
        elif since is None:
            since = run.started_at
    return None if since is None else since + timedelta(seconds=job.record.timeout_seconds)


def compute_begin_time(job: JobFacts, *, pace: Pace) -> datetime:
    """When the next run may begin."""
    if not job.runs:
        return job.record.created_at
    newest = job.runs[-1]
    if newest.started_at is None:
        return newest.prepared_at + pace.first_delay
    if newest.is_interrupted or newest.finished_at is None:
        return newest.started_at
    return newest.finished_at + compute_delay(len(_list_failed(job)), pace=pace)


def compute_delay(failures: int, *, pace: Pace) -> timedelta:
    """The pause after so many failed runs (from 1)."""
    return min(pace.first_delay * (1 << min(failures - 1, 16)), pace.longest_delay)


def next_run_number(job: JobFacts) -> int:
    """A run that was prepared but never began keeps its number: it is not a failure."""
    if not job.runs:
        return 1
    newest = job.runs[-1]
    return newest.number if newest.started_at is None else newest.number + 1


def map_observation(job: JobFacts) -> JobObservation:
    """Show the job as a Kubernetes Job with its pods would look."""
    if job.is_removed:
        return ABSENT_JOB
    verdict = compute_verdict(job)
    observation = JobObservation(state=_map_state(job, verdict), failed_runs=len(_list_failed(job)))
    if verdict is not None:
        reason = verdict.failure_reason
        observation = msgspec.structs.replace(
            observation,
            failure_reason=reason,
            failure_message=_MESSAGES[reason] if reason else None,
            finished_at=verdict.finished_at,
        )
        if reason == DEADLINE_EXCEEDED:
            # A deadline takes the pod, and with it everything the run had to say.
            return observation
    return _add_end(observation, job)


def _add_end(observation: JobObservation, job: JobFacts) -> JobObservation:
    counted = _list_counted(job)
    if not counted:
        return observation
    exit_code = compute_exit_code(counted[-1], job.record.sync_uid)
    return msgspec.structs.replace(
        observation,
        termination_message=counted[-1].termination_message,
        exit_code=exit_code,
        container_reason="Completed" if exit_code == ExitCode.DONE else "Error",
    )


def _map_state(job: JobFacts, verdict: Verdict | None) -> JobState:
    if verdict is not None:
        return JobState.FAILED if verdict.failure_reason else JobState.SUCCEEDED
    return JobState.ACTIVE if any(run.is_alive for run in job.runs) else JobState.PENDING


def _list_failed(job: JobFacts) -> list[RunFacts]:
    return [run for run in _list_counted(job) if not _is_done(run, job)]


def _list_counted(job: JobFacts) -> list[RunFacts]:
    """Runs that have ended, but for those that the server took down with it before they were done."""
    ended = [run for run in job.runs if run.started_at is not None and not run.is_alive]
    return [run for run in ended if not run.is_interrupted or _is_done(run, job)]


def _is_done(run: RunFacts, job: JobFacts) -> bool:
    return compute_exit_code(run, job.record.sync_uid) == ExitCode.DONE
