"""What can be seen of a sync's job, whoever runs it: a Kubernetes Job with its pods, or a child process."""

from datetime import datetime
from enum import StrEnum

import msgspec


class JobState(StrEnum):
    """How far a job is.

    FOREIGN means that its name is taken by a job that is not ours, STOPPING that it is being deleted and what it runs
    may not have ended yet.
    """

    ABSENT = "absent"
    FOREIGN = "foreign"
    PENDING = "pending"
    ACTIVE = "active"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class JobObservation(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a job. The fields about a run describe the newest one that has ended, or is stuck."""

    state: JobState
    failure_reason: str | None = None
    """BackoffLimitExceeded, DeadlineExceeded or PodFailurePolicy: the Job's own, known before its pods are gone."""
    failure_message: str | None = None
    termination_message: str | None = None
    """None when no run has ended, or its pod is gone; empty when the run left no word."""
    exit_code: int | None = None
    container_reason: str | None = None
    """What the node says of the ended run: Completed, Error, OOMKilled; or why it was ended or refused: Evicted."""
    node_message: str | None = None
    """The node's own sentence about a run that it ended or refused."""
    waiting_reason: str | None = None
    """Why no run can start or go on: ErrImagePull, Unschedulable, FailedCreate, NodeLost."""
    waiting_message: str | None = None
    ending_since: datetime | None = None
    """When the job was deleted, or failed, although its pods have not ended yet."""
    finished_at: datetime | None = None
    failed_runs: int = 0
    """Runs that counted as failures; those that the cluster ended do not."""
    pod_name: str | None = None
    """The newest pod; None when there is none, or when nobody has looked."""


ABSENT_JOB = JobObservation(state=JobState.ABSENT)
