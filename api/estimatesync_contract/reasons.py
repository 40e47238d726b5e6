"""The CamelCase reason of every state a sync can be in, used alike in results, status, conditions and events."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a sync is where it is. What a person should do about it is said in the message beside it."""

    QUEUED = "Queued"
    SUSPENDED = "Suspended"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    CANCELLED = "Cancelled"

    # Reported by the sync program in its result.
    LOGIN_FAILED = "LoginFailed"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    SOURCE_INVALID = "SourceInvalid"
    SOURCE_CHANGING = "SourceChanging"
    RECORD_INVALID = "RecordInvalid"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    DATABASE_REFUSED = "DatabaseRefused"
    CONFIGURATION_INVALID = "ConfigurationInvalid"
    INTERRUPTED = "Interrupted"
    INTERNAL_ERROR = "InternalError"

    # What keeps a sync from running, for now: it goes on by itself once a person has acted.
    JOB_REFUSED = "JobRefused"
    POD_REFUSED = "PodRefused"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a password
    CONTAINER_REFUSED = "ContainerRefused"
    NODE_LOST = "NodeLost"

    # Seen from outside, when the sync program had no chance to say anything.
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    OUT_OF_MEMORY = "OutOfMemory"
    EVICTED = "Evicted"
    EVICTED_TOO_OFTEN = "EvictedTooOften"
    NODE_REFUSED = "NodeRefused"
    POD_FAILED = "PodFailed"
    MALFORMED = "Malformed"
    JOB_DELETED = "JobDeleted"
    JOB_CONFLICT = "JobConflict"
    RESULT_MISSING = "ResultMissing"
    RESULT_BROKEN = "ResultBroken"


OBSTACLES: Final = frozenset(
    {
        Reason.JOB_REFUSED,
        Reason.POD_REFUSED,
        Reason.UNSCHEDULABLE,
        Reason.IMAGE_PULL_FAILED,
        Reason.SECRET_MISSING,
        Reason.CONTAINER_REFUSED,
        Reason.NODE_LOST,
    }
)
"""A running sync with one of these is stalled."""
