"""How the sync program tells Kubernetes whether another try makes sense."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The job's podFailurePolicy fails at once on PERMANENT; any other failure counts against maxRetries."""

    DONE = 0
    RETRYABLE = 10
    PERMANENT = 20
