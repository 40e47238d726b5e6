"""Every cause has one reason and one exit code, and database errors have the right cause."""

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.result import ExitCode, ResultError
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
    ("sqlstate", "kind", "cure"),
    [
        pytest.param("57P01", DatabaseUnavailableError, "stopping", id="admin-shutdown"),
        pytest.param("57014", DatabaseUnavailableError, "in the way", id="statement-timeout"),
        pytest.param("53300", DatabaseUnavailableError, "no free connection", id="too-many-connections"),
        pytest.param("53100", DatabaseUnavailableError, "disk space", id="disk-full"),
        pytest.param("40P01", DatabaseUnavailableError, "in the way", id="deadlock"),
        pytest.param("55P03", DatabaseUnavailableError, "in the way", id="lock-timeout"),
        pytest.param("23505", DatabaseUnavailableError, "in the way", id="written-by-another"),
        pytest.param("08006", DatabaseUnavailableError, "connection broke", id="connection-failure"),
        pytest.param("25P03", DatabaseUnavailableError, "connection broke", id="idle-in-transaction"),
        pytest.param("28P01", DatabaseRefusedError, "Correct DATABASE_URL", id="wrong-password"),
        pytest.param("3D000", DatabaseRefusedError, "Create it", id="missing-database"),
        pytest.param("42501", DatabaseRefusedError, "lacks a right", id="missing-right"),
        pytest.param("42703", DatabaseRefusedError, "botzilla are not this program's", id="foreign-table"),
        pytest.param("25006", DatabaseRefusedError, "primary server", id="read-only"),
        pytest.param("22003", DatabaseRefusedError, "refuses the work", id="anything-else"),
    ],
)
def test_a_server_error_is_classified_by_its_code(sqlstate: str, kind: type[SyncError], cure: str) -> None:
    error = build_database_error(sqlstate=sqlstate, text="what the server says", schema="botzilla")

    assert type(error) is kind
    assert cure in str(error)
    assert "(what the server says)" in str(error)


def test_a_quota_is_distinguished_from_a_defect_of_the_server() -> None:
    text = 'could not extend file "base/5/1249": Disk quota exceeded'

    error = build_database_error(sqlstate="XX000", text=text, schema="botzilla")

    assert type(error) is DatabaseUnavailableError
    assert "lacks disk space" in str(error)


@pytest.mark.parametrize(
    ("text", "kind", "cure"),
    [
        pytest.param("Connection refused", DatabaseUnavailableError, "host and port", id="refused"),
        pytest.param("failed to resolve host 'database'", DatabaseUnavailableError, "host and port", id="dns"),
        pytest.param("connection timeout expired", DatabaseUnavailableError, "host and port", id="timeout"),
        pytest.param("no answer within 630 s", DatabaseUnavailableError, "never answered", id="silent"),
        pytest.param("FATAL: sorry, too many clients already", DatabaseUnavailableError, "no free", id="full"),
        pytest.param("FATAL: the database system is starting up", DatabaseUnavailableError, "starting", id="starting"),
        pytest.param("server closed the connection unexpectedly", DatabaseUnavailableError, "broke", id="broken"),
        pytest.param("sending copy data failed: SSL error", DatabaseUnavailableError, "broke", id="broken-copy"),
        pytest.param('FATAL: password authentication failed for user "sync"', DatabaseRefusedError, "user or", id="pw"),
        pytest.param('FATAL: database "estimates" does not exist', DatabaseRefusedError, "Create it", id="no-database"),
        pytest.param('FATAL: no pg_hba.conf entry for host "10.0.0.7"', DatabaseRefusedError, "pg_hba", id="hba"),
        pytest.param('FATAL: pg_hba.conf rejects host "10.0.0.7"', DatabaseRefusedError, "sslmode", id="reject"),
        pytest.param("server does not support SSL", DatabaseRefusedError, "sslmode", id="no-tls"),
        pytest.param("SSL error: certificate verify failed", DatabaseRefusedError, "caConfigMap", id="authority"),
        pytest.param('root certificate file "/x" does not exist', DatabaseRefusedError, "sslrootcert", id="no-file"),
        pytest.param('certificate for "a" does not match host name "b"', DatabaseRefusedError, "host", id="other-host"),
    ],
)  # fmt: skip
def test_a_failed_connection_is_classified_by_its_words(text: str, kind: type[SyncError], cure: str) -> None:
    error = build_database_error(sqlstate=None, text=text, schema="botzilla")

    assert type(error) is kind
    assert cure in str(error)
    assert not {secret for secret in ("sync", "estimates", "10.0.0.7") if f'"{secret}"' in str(error)}
