"""How the sync program tells Kubernetes whether another try makes sense."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """The job's podFailurePolicy fails at once on PERMANENT; any other failure counts against maxRetries."""

    DONE = 0
    RETRYABLE = 10
    PERMANENT = 20


MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.DONE: "the estimates are stored, and the result says how many",
    ExitCode.RETRYABLE: "failed; another run may succeed, and the job starts one, up to `spec.maxRetries` times",
    ExitCode.PERMANENT: "failed, and would fail again: a login, a right, a setting or a record must be put right",
}
"""What each says to a person."""
