"""A fault of PostgreSQL as the sync's own error, which decides whether it is retried and who is told to do what."""

from collections.abc import Mapping
from typing import Final

from estimatesync_postgres.faults import Fault, Kind

from estimatesync_job.core.errors import (
    ConfigurationError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    SyncError,
)

_ERRORS: Final[Mapping[Kind, tuple[type[SyncError], str]]] = {
    Kind.SETTING: (ConfigurationError, "The sync cannot start: {}."),
    Kind.REFUSED: (DatabaseRefusedError, "PostgreSQL refuses the sync: {}."),
    Kind.UNAVAILABLE: (DatabaseUnavailableError, "PostgreSQL is not available: {}."),
}


def build_database_error(fault: Fault) -> SyncError:
    """Build the error of a fault."""
    error, sentence = _ERRORS[fault.kind]
    return error(sentence.format(fault.text), cause=fault.cause)
