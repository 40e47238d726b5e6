"""A job and its runs as plain values, what the job does next, and how it looks from outside: a Kubernetes Job's rules.

https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy. Two rules differ, because one
machine is stopped more often than a cluster: a run that ended with the server does not count as a failure, and the
job's time limit starts again when the server is back. `adapters/job_files.py` reads and writes the values.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec
from estimatesync_contract.backoff import compute_backoff
from estimatesync_contract.result import BrokenResultError, ExitCode, find_committed, parse_result
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobObservation, JobState

BACKOFF_LIMIT_EXCEEDED: Final = "BackoffLimitExceeded"
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
POD_FAILURE_POLICY: Final = "PodFailurePolicy"

_MESSAGES: Final = {
    BACKOFF_LIMIT_EXCEEDED: "Every run failed, and no more are allowed",
    DEADLINE_EXCEEDED: "The job was active longer than its time limit",
    POD_FAILURE_POLICY: "The run failed in a way that another run cannot fix",
}


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job as it was requested; written once. The environment holds no secret, because this is kept on disk."""

    sync_name: str
    sync_uid: str
    created_at: datetime
    timeout_seconds: int
    max_retries: int
    environment: dict[str, str]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the sync program, as its directory shows it. Times are aware."""

    number: int
    prepared_at: datetime
    started_at: datetime | None = None
    """None before the program has started."""
    is_alive: bool = False
    is_interrupted: bool = False
    """The server was stopped while it ran, which is not a failure of the run."""
    exit_code: int | None = None
    """None while it runs, and for a run whose end was not recorded."""
    finished_at: datetime | None = None
    termination_message: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job and its runs, the oldest first."""

    record: JobRecord
    runs: tuple[Run, ...] = ()
    is_removed: bool = False
    deadline_exceeded_at: datetime | None = None


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job waits between two runs: like a Kubernetes Job, 10 s doubling to 6 min."""

    first_delay: timedelta = timedelta(seconds=10)
    longest_delay: timedelta = timedelta(minutes=6)

    def compute_delay(self, failures: int) -> timedelta:
        """Compute the pause after this many failed runs."""
        first, longest = self.first_delay.total_seconds(), self.longest_delay.total_seconds()
        return timedelta(seconds=compute_backoff(failures, first=first, longest=longest))


class Step(StrEnum):
    """What to do about a job now."""

    WAIT = "wait"
    START_RUN = "start a run"
    DEADLINE_EXCEEDED = "record that the deadline has passed, then end the run"
    END_RUN = "end the run"
    DONE = "nothing, and nothing later"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended. `failure_reason` is None for success."""

    failure_reason: str | None = None
    finished_at: datetime | None = None


def decide_step(job: Job, *, now: datetime, backoff: Backoff) -> Step:
    """Decide from the present state alone, whatever was done before."""
    newest = job.runs[-1] if job.runs else None
    is_alive = newest is not None and newest.is_alive
    if job.is_removed or job.deadline_exceeded_at is not None:
        return Step.END_RUN if is_alive else Step.DONE
    if compute_verdict(job) is not None:
        return Step.DONE
    deadline = compute_deadline(job)
    if deadline is not None and now >= deadline:
        return Step.DEADLINE_EXCEEDED
    if is_alive or now < compute_start_time(job, backoff=backoff):
        return Step.WAIT
    return Step.START_RUN


def compute_verdict(job: Job) -> Verdict | None:
    """Compute how a job ended; None while it has not. A run that succeeded counts, even one that met the deadline."""
    newest = job.runs[-1] if job.runs else None
    if newest is not None and newest.is_alive:
        return None
    finished_at = newest.finished_at if newest else None
    if newest is not None and _has_succeeded(newest, job):
        return Verdict(finished_at=finished_at)
    if job.deadline_exceeded_at is not None:
        return Verdict(failure_reason=DEADLINE_EXCEEDED, finished_at=job.deadline_exceeded_at)
    failed = _list_failed(job)
    if failed and compute_exit_code(failed[-1], job.record.sync_uid) == ExitCode.PERMANENT:
        return Verdict(failure_reason=POD_FAILURE_POLICY, finished_at=finished_at)
    if len(failed) > job.record.max_retries:
        return Verdict(failure_reason=BACKOFF_LIMIT_EXCEEDED, finished_at=finished_at)
    return None


def compute_exit_code(run: Run, sync_uid: str) -> int | None:
    """The exit code of a run that has ended; if it was not recorded, it follows from the result the run left.

    A run that says that it has stored everything is done, whatever ended its process afterwards.
    """
    if find_committed(run.termination_message, sync_uid=sync_uid):
        return ExitCode.DONE
    if run.exit_code is not None:
        return run.exit_code
    try:
        error = parse_result(run.termination_message, sync_uid=sync_uid).error
    except BrokenResultError:
        return None
    return ExitCode.RETRYABLE if error is None or error.retryable else ExitCode.PERMANENT


def compute_deadline(job: Job) -> datetime | None:
    """When the job's time runs out; None while it waits for its first run since the server was stopped."""
    since: datetime | None = job.record.created_at
    for run in job.runs:
        if run.is_interrupted and not run.is_alive:
            since = None
        elif since is None:
            since = run.started_at
    return None if since is None else since + timedelta(seconds=job.record.timeout_seconds)


def compute_start_time(job: Job, *, backoff: Backoff) -> datetime:
    """When the next run may start."""
    if not job.runs:
        return job.record.created_at
    newest = job.runs[-1]
    if newest.started_at is None:
        return newest.prepared_at + backoff.first_delay
    if newest.is_interrupted or newest.finished_at is None:
        return newest.started_at
    return newest.finished_at + backoff.compute_delay(len(_list_failed(job)))


def next_run_number(job: Job) -> int:
    """A run that was prepared but never started keeps its number: it is not a failure."""
    if not job.runs:
        return 1
    newest = job.runs[-1]
    return newest.number if newest.started_at is None else newest.number + 1


def map_observation(job: Job) -> JobObservation:
    """Show the job as a Kubernetes Job with its pods would look."""
    verdict = compute_verdict(job)
    if job.is_removed and (verdict is None or verdict.failure_reason):
        return ABSENT_JOB
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
            # A deadline takes the pod, and with it whatever the run reported.
            return observation
    return _add_end(observation, job)


def _add_end(observation: JobObservation, job: Job) -> JobObservation:
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


def _map_state(job: Job, verdict: Verdict | None) -> JobState:
    if verdict is not None:
        return JobState.FAILED if verdict.failure_reason else JobState.SUCCEEDED
    return JobState.ACTIVE if any(run.is_alive for run in job.runs) else JobState.PENDING


def _list_failed(job: Job) -> list[Run]:
    return [run for run in _list_counted(job) if not _has_succeeded(run, job)]


def _list_counted(job: Job) -> list[Run]:
    """Runs that have ended, except those that the server interrupted before they succeeded."""
    ended = [run for run in job.runs if run.started_at is not None and not run.is_alive]
    return [run for run in ended if not run.is_interrupted or _has_succeeded(run, job)]


def _has_succeeded(run: Run, job: Job) -> bool:
    return compute_exit_code(run, job.record.sync_uid) == ExitCode.DONE
