"""Why a sync can fail, whose fault each cause is, and whether another try makes sense.

SyncError
├── ConfigurationError        ours     permanent  the environment is not usable
├── LoginFailedError          account  permanent  Attic Tech does not accept the credentials
│   └── CredentialsRefused…   account  permanent  it says that mail or password is wrong
├── SourceInvalidError        source   permanent  Attic Tech answers, but not what was asked for
├── SourceUnavailableError    source   retryable  Attic Tech cannot answer now
│   └── TransientSourceError  source   retryable  one request failed; the next may not
├── SourceChangingError       source   retryable  ids that are no numbers change faster than they can be read
├── SourceEmptyError          account  permanent  Attic Tech shows fewer estimates than there must be
├── FieldsUnshownError        account  permanent  Attic Tech does not show what the rows need
├── RecordInvalidError        record   permanent  a record cannot become a row
├── DatabaseRefusedError      database permanent  PostgreSQL refuses
├── DatabaseUnavailableError  database retryable  PostgreSQL cannot answer now
└── InterruptedSyncError      caller   retryable  we were asked to stop

Every message is for a person, says what to do where that is not obvious, and never contains a secret.
"""

from typing import Final

import msgspec
from estimatesync_contract.causes import Reason
from estimatesync_contract.result import ExitCode, ResultError
from estimatesync_contract.specific_causes import SpecificCause


class SyncError(Exception):
    """A cause that the result names; anything else that is raised is a defect of this program."""

    def __init__(self, message: str = "", *, cause: SpecificCause | None = None) -> None:
        """Keep what it is more exactly, where one cure fits."""
        super().__init__(message)
        self.cause: Final = cause


class ConfigurationError(SyncError):
    """The environment is not usable; the message lists every fault."""


class LoginFailedError(SyncError):
    """Attic Tech does not accept the credentials."""


class CredentialsRefusedError(LoginFailedError):
    """Attic Tech says that mail or password is wrong, which counts towards locking the account."""


class SourceInvalidError(SyncError):
    """Attic Tech answers, but not what was asked for, and would do so again."""


class SourceUnavailableError(SyncError):
    """Attic Tech gave no usable response to any attempt."""


class SourceChangingError(SyncError):
    """Until its time was over, each closing pass over ids that are no numbers found more changes."""


class SourceEmptyError(SyncError):
    """Attic Tech shows fewer estimates than there must be; the message says how many."""


class TransientSourceError(SourceUnavailableError):
    """One request failed in a way that the next may not."""

    def __init__(self, message: str, *, cause: SpecificCause | None = None, retry_after: str | None = None) -> None:
        """Keep the response's Retry-After header, unparsed."""
        super().__init__(message, cause=cause)
        self.retry_after = retry_after


class FieldsUnshownError(SyncError):
    """Attic Tech shows too many estimates without fields that a row needs; the message names them."""


class RecordInvalidError(SyncError):
    """A record cannot become a row; the message names the page, the position, the id and the field."""


class DatabaseRefusedError(SyncError):
    """PostgreSQL answers but refuses, and would do so again."""


class DatabaseUnavailableError(SyncError):
    """PostgreSQL cannot answer now, or stopped during the work."""


class InterruptedSyncError(SyncError):
    """The sync received a signal to stop before it could finish."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What a failed run reports."""

    error: ResultError
    exit_code: ExitCode


_OUTCOMES: Final[tuple[tuple[type[SyncError], Reason, ExitCode], ...]] = (
    (ConfigurationError, Reason.CONFIGURATION_INVALID, ExitCode.PERMANENT),
    (LoginFailedError, Reason.LOGIN_FAILED, ExitCode.PERMANENT),
    (SourceInvalidError, Reason.SOURCE_INVALID, ExitCode.PERMANENT),
    (SourceUnavailableError, Reason.SOURCE_UNAVAILABLE, ExitCode.RETRYABLE),
    (SourceChangingError, Reason.SOURCE_CHANGING, ExitCode.RETRYABLE),
    (SourceEmptyError, Reason.SOURCE_EMPTY, ExitCode.PERMANENT),
    (FieldsUnshownError, Reason.FIELDS_UNSHOWN, ExitCode.PERMANENT),
    (RecordInvalidError, Reason.RECORD_INVALID, ExitCode.PERMANENT),
    (DatabaseRefusedError, Reason.DATABASE_REFUSED, ExitCode.PERMANENT),
    (DatabaseUnavailableError, Reason.DATABASE_UNAVAILABLE, ExitCode.RETRYABLE),
    (InterruptedSyncError, Reason.INTERRUPTED, ExitCode.RETRYABLE),
)


def build_failure(error: BaseException) -> Failure:
    """Turn the error that ended the sync into what it reports; an unknown error is named by its type alone.

    The text of an unknown error may hold a record or a secret, so it stays out of the result.
    """
    for kind, reason, exit_code in _OUTCOMES:
        if isinstance(error, kind):
            return _build_failure(reason, exit_code, str(error), error.cause)
    message = f"The sync program met an error it does not know ({type(error).__name__}); its log says where."
    return _build_failure(Reason.INTERNAL_ERROR, ExitCode.RETRYABLE, message)


def _build_failure(reason: Reason, exit_code: ExitCode, message: str, cause: SpecificCause | None = None) -> Failure:
    error = ResultError(
        reason=reason,
        message=message,
        retryable=exit_code is ExitCode.RETRYABLE,
        cause=cause.code if cause else None,
    )
    return Failure(error=error, exit_code=exit_code)
