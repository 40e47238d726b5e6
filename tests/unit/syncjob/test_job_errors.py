"""Every cause has one reason and one exit code, and database errors have the right cause."""

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.result import ExitCode, ResultError
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_job.core.database_errors import build_database_error
from estimatesync_job.core.errors import (
    ConfigurationError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    InterruptedSyncError,
    LoginFailedError,
    RecordInvalidError,
    SourceInvalidError,
    SourceUnavailableError,
    SyncError,
    TransientSourceError,
    build_failure,
)
from estimatesync_postgres.faults import Fault, Kind


@pytest.mark.parametrize(
    ("error", "reason", "exit_code"),
    [
        pytest.param(ConfigurationError("x"), Reason.CONFIGURATION_INVALID, ExitCode.PERMANENT, id="configuration"),
        pytest.param(LoginFailedError("x"), Reason.LOGIN_FAILED, ExitCode.PERMANENT, id="login"),
        pytest.param(SourceInvalidError("x"), Reason.SOURCE_INVALID, ExitCode.PERMANENT, id="source-invalid"),
        pytest.param(SourceUnavailableError("x"), Reason.SOURCE_UNAVAILABLE, ExitCode.RETRYABLE, id="source-away"),
        pytest.param(TransientSourceError("x"), Reason.SOURCE_UNAVAILABLE, ExitCode.RETRYABLE, id="one-request"),
        pytest.param(RecordInvalidError("x"), Reason.RECORD_INVALID, ExitCode.PERMANENT, id="record"),
        pytest.param(DatabaseRefusedError("x"), Reason.DATABASE_REFUSED, ExitCode.PERMANENT, id="database-refused"),
        pytest.param(
            DatabaseUnavailableError("x"), Reason.DATABASE_UNAVAILABLE, ExitCode.RETRYABLE, id="database-away"
        ),
        pytest.param(InterruptedSyncError("x"), Reason.INTERRUPTED, ExitCode.RETRYABLE, id="interrupted"),
    ],
)
def test_each_cause_has_its_reason_and_exit_code(error: SyncError, reason: Reason, exit_code: ExitCode) -> None:
    failure = build_failure(error)

    retryable = exit_code is ExitCode.RETRYABLE
    assert failure.error == ResultError(reason=reason, message="x", retryable=retryable)
    assert failure.exit_code is exit_code


def test_the_text_of_an_unknown_error_stays_out_of_the_result() -> None:
    failure = build_failure(KeyError("a customer's name"))

    assert failure.error.reason is Reason.INTERNAL_ERROR
    assert "KeyError" in failure.error.message
    assert "customer" not in failure.error.message


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        pytest.param(Kind.SETTING, ConfigurationError, "The sync cannot start: why. Do that (words).", id="setting"),
        pytest.param(
            Kind.REFUSED, DatabaseRefusedError, "PostgreSQL refuses the sync: why. Do that (words).", id="refused"
        ),
        pytest.param(
            Kind.UNAVAILABLE, DatabaseUnavailableError, "PostgreSQL is not available: why. Do that (words).", id="away"
        ),
    ],
)
def test_a_fault_of_the_database_is_an_error_of_the_sync(kind: Kind, error: type[SyncError], message: str) -> None:
    fault = Fault(kind=kind, cause=SpecificCause.SCHEMA_FOREIGN, happened="why", cure="Do that", quote="words")

    built = build_database_error(fault)

    assert type(built) is error
    assert str(built) == message
    assert build_failure(built).error.cause == "SchemaForeign"
