"""What an error of PostgreSQL means: refused or unavailable, and what a person should do about it.

SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html. A failure to connect has no code, only
libpq's text, so that one is searched for the server's words; unknown words count as unavailable, which is retried.
"""

from typing import Final

from estimatesync_job.core.errors import DatabaseRefusedError, DatabaseUnavailableError

_UNREACHABLE: Final = "it cannot be reached. Check that it runs, and the host and port in DATABASE_URL"
_WRONG_PASSWORD: Final = "it refuses the user or password. Correct DATABASE_URL"  # noqa: S105 - a sentence
_MISSING: Final = "the database or the user in DATABASE_URL does not exist. Create it, or correct DATABASE_URL"
_NO_ENTRY: Final = "it does not admit this user from this host, or only with TLS. Correct pg_hba.conf or sslmode"
_UNTRUSTED: Final = (
    "its certificate is not from an authority that is trusted here, or one of the two has expired. Trust that authority"
    " as it is now: network.caConfigMap in the chart, sslrootcert in DATABASE_URL elsewhere"
)
_MISNAMED: Final = "its certificate is for another host name. Correct the host in DATABASE_URL, or the certificate"
_NO_AUTHORITY: Final = (
    "the file of authorities to check its certificate against is missing. Correct sslrootcert in DATABASE_URL"
    " (sslrootcert=system: the system's own)"
)
_BUSY: Final = "it has no free connection"
_STOPPING: Final = "it is starting, stopping or recovering"
_RIGHTS: Final = "the user in DATABASE_URL lacks a right. Grant it"
_FOREIGN: Final = "the tables in schema {schema} are not this program's. Choose another DATABASE_SCHEMA"
_READ_ONLY: Final = "it is read-only. Let DATABASE_URL name the primary server"
_CONTENDED: Final = "another session was in the way"
_FULL: Final = "it lacks disk space or memory"
_BROKEN: Final = "the connection broke, or the server failed"
_SILENT: Final = "it took the work and never answered. See what the server is waiting for"
_UNKNOWN: Final = "it refuses the work"

_CANNOT_GROW: Final = "could not extend file"
"""An exceeded quota is reported like this, with the code of an internal error; a full disk has a code of its own."""

_REFUSED_PHRASES: Final = (
    ("root certificate file", _NO_AUTHORITY),
    ("certificate verify failed", _UNTRUSTED),
    ("does not match host name", _MISNAMED),
    ("password authentication failed", _WRONG_PASSWORD),
    ("no password supplied", _WRONG_PASSWORD),
    ("does not exist", _MISSING),
    ("no pg_hba.conf entry", _NO_ENTRY),
    ("pg_hba.conf rejects", _NO_ENTRY),
    ("not permitted to log in", _RIGHTS),
    ("permission denied for database", _RIGHTS),
    ("does not support SSL", _NO_ENTRY),
    ("certificate", _NO_ENTRY),
)
_UNAVAILABLE_PHRASES: Final = (
    ("no answer within", _SILENT),
    ("too many", _BUSY),
    ("remaining connection slots", _BUSY),
    ("starting up", _STOPPING),
    ("shutting down", _STOPPING),
    ("recovery mode", _STOPPING),
    ("not yet accepting connections", _STOPPING),
    ("server closed the connection", _BROKEN),
    ("connection is", _BROKEN),
    ("consuming input failed", _BROKEN),
    ("sending query", _BROKEN),
    ("sending copy", _BROKEN),
    ("flushing failed", _BROKEN),
)
_REFUSED_STATES: Final = {
    "0LP01": _RIGHTS,
    "25006": _READ_ONLY,
    "28": _WRONG_PASSWORD,
    "3D": _MISSING,
    "3F": _FOREIGN,
    "42501": _RIGHTS,
    "42": _FOREIGN,
}
_UNAVAILABLE_STATES: Final = {
    "08": _BROKEN,
    "23505": _CONTENDED,
    "25P": _BROKEN,
    "40": _CONTENDED,
    "53300": _BUSY,
    "53": _FULL,
    "55P03": _CONTENDED,
    "57": _STOPPING,
    "57014": _CONTENDED,
    "58": _BROKEN,
    "XX": _BROKEN,
}


def build_database_error(
    *, sqlstate: str | None, text: str, schema: str
) -> DatabaseRefusedError | DatabaseUnavailableError:
    """Classify an error.

    Args:
        sqlstate: PostgreSQL's code; None when the connection failed or broke.
        text: the server's primary message, repeated in the error; without a code libpq's text, which is only searched,
            because it can name users and addresses.
        schema: the schema the sync works in.
    """
    if sqlstate is None:
        return _build_connection_error(text)
    if _CANNOT_GROW in text:
        return DatabaseUnavailableError(f"PostgreSQL is not available: {_FULL} ({text}).")
    for prefix in (sqlstate, sqlstate[:3], sqlstate[:2]):
        if cause := _UNAVAILABLE_STATES.get(prefix):
            return DatabaseUnavailableError(f"PostgreSQL is not available: {cause} ({text}).")
        if cause := _REFUSED_STATES.get(prefix):
            return DatabaseRefusedError(f"PostgreSQL refuses the sync: {cause.format(schema=schema)} ({text}).")
    return DatabaseRefusedError(f"PostgreSQL refuses the sync: {_UNKNOWN} ({text}).")


def _build_connection_error(text: str) -> DatabaseRefusedError | DatabaseUnavailableError:
    for phrase, cause in _UNAVAILABLE_PHRASES:
        if phrase in text:
            return DatabaseUnavailableError(f"PostgreSQL is not available: {cause}.")
    for phrase, cause in _REFUSED_PHRASES:
        if phrase in text:
            return DatabaseRefusedError(f"PostgreSQL refuses the sync: {cause}.")
    return DatabaseUnavailableError(f"PostgreSQL is not available: {_UNREACHABLE}.")
