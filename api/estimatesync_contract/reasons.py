"""The CamelCase reason of every state a sync can be in, used alike in results, status, conditions and events."""

from enum import StrEnum


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

    # Seen from outside, when the sync program had no chance to say anything.
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    OUT_OF_MEMORY = "OutOfMemory"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a password
    UNSCHEDULABLE = "Unschedulable"
    EVICTED = "Evicted"
    POD_FAILED = "PodFailed"
    JOB_DELETED = "JobDeleted"
    JOB_REFUSED = "JobRefused"
    JOB_CONFLICT = "JobConflict"
    RESULT_MISSING = "ResultMissing"
    RESULT_BROKEN = "ResultBroken"
