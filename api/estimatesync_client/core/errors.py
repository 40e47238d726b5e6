"""The errors that a person at a terminal sees, and the exit code of each.

ClientError
├── UsageError              a setting or an argument is wrong; nothing was sent
├── RefusedError            the server refuses the request as it is
│   ├── NotAllowedError         because of the key
│   ├── NotFoundError           there is no such sync
│   └── ConflictError           the sync is in another state
├── UnavailableError        the server is down or busy: a retry may help
├── NotEstimateSyncError    something answers, but it is not an EstimateSync API
├── StillRunningError       the time to wait is over
└── InterruptedWaitError    Ctrl-C

Messages are whole sentences, `cure` says what to do, and neither ever holds the API key.
"""

from enum import Enum
from typing import Any, ClassVar


class Exit(Enum):
    """The exit code, and what it means to a script; docs/client.md shows this table."""

    DONE = (0, "done; with `--wait`: the sync succeeded")
    REFUSED = (1, "the request was refused as it is, or something unexpected happened: the message says what")
    USAGE = (2, "the command line or a setting is wrong; nothing was sent")
    SYNC_FAILED = (3, "`--wait`: the sync failed")
    SYNC_CANCELLED = (4, "`--wait`: the sync was cancelled")
    UNAVAILABLE = (5, "the server cannot be reached, cannot answer now, or is not an EstimateSync API")
    NOT_ALLOWED = (6, "the API key is wrong, or may not do this (HTTP 401, 403)")
    NOT_FOUND = (7, "there is no such sync, or no longer")
    STILL_RUNNING = (8, "`--timeout` is over and the sync continues")
    CONFLICT = (9, "the state of the sync does not allow this (HTTP 409)")
    FAULT_FOUND = (10, "`doctor` found a fault")
    INTERRUPTED = (130, "Ctrl-C; a sync that was started continues")

    def __init__(self, code: int, meaning: str) -> None:
        self.code = code
        self.meaning = meaning


class ClientError(Exception):
    """An error that a person can act on."""

    exit: ClassVar[Exit] = Exit.REFUSED
    default_code: ClassVar[str] = "error"

    def __init__(
        self, message: str, *, cure: str = "", code: str = "", faults: tuple[str, ...] = (), sync_id: str = ""
    ) -> None:
        """Create the error.

        Args:
            message: what happened.
            cure: what to do about it.
            code: the server's own error code, if it sent one.
            faults: everything that is wrong with a request, when it is more than one thing.
            sync_id: the sync that continues all the same.
        """
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.code = code or self.default_code
        self.faults = faults
        self.sync_id = sync_id


class UsageError(ClientError):
    """The command line or a setting is wrong; nothing was sent."""

    exit = Exit.USAGE
    default_code = "usage"


class RefusedError(ClientError):
    """The server refuses the request, and would refuse it again."""

    default_code = "refused"


class NotAllowedError(RefusedError):
    """The key is not valid, or does not allow this."""

    exit = Exit.NOT_ALLOWED


class NotFoundError(RefusedError):
    """There is no such sync."""

    exit = Exit.NOT_FOUND
    default_code = "sync_not_found"


class ConflictError(RefusedError):
    """The state of the sync does not allow this."""

    exit = Exit.CONFLICT


class UnavailableError(ClientError):
    """There was no usable response, but the same request may succeed later."""

    exit = Exit.UNAVAILABLE
    default_code = "unavailable"

    def __init__(
        self,
        message: str,
        *,
        cure: str = "",
        code: str = "",
        retry_after: float | None = None,
        is_lasting: bool = False,
        is_absent: bool = False,
        sync_id: str = "",
    ) -> None:
        """Create the error.

        Args:
            message: what happened.
            cure: what to do about it.
            code: the server's own error code, if it sent one.
            retry_after: seconds that the server asks to wait.
            is_lasting: a retry only helps after a person has acted.
            is_absent: there is no server; nothing was sent.
            sync_id: the sync that may continue all the same.
        """
        super().__init__(message, cure=cure, code=code, sync_id=sync_id)
        self.retry_after = retry_after
        self.is_lasting = is_lasting
        self.is_absent = is_absent


class NotEstimateSyncError(ClientError):
    """What answers at this address is not an EstimateSync API, or not a version that this program knows."""

    exit = Exit.UNAVAILABLE
    default_code = "not_estimatesync"


class StillRunningError(ClientError):
    """The sync has not ended within the timeout."""

    exit = Exit.STILL_RUNNING
    default_code = "still_running"


class InterruptedWaitError(ClientError):
    """A person pressed Ctrl-C."""

    exit = Exit.INTERRUPTED
    default_code = "interrupted"


def to_error_object(error: ClientError) -> dict[str, Any]:
    """Convert an error to JSON, in the shape of the API's own errors and with the exit code."""
    body: dict[str, Any] = {"success": False, "message": error.message, "code": error.code}
    if error.cure:
        body["cure"] = error.cure
    if error.faults:
        body["errors"] = list(error.faults)
    if error.sync_id:
        body["sync_id"] = error.sync_id
    return {**body, "exit_code": error.exit.code}
