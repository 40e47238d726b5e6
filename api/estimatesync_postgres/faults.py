"""What an error of PostgreSQL means: a setting to correct, refused or unavailable; and what to do about it.

Decided by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html) and, where one code has several
meanings, by the name of the routine in the server that raised it: texts come in the server's language. Where the server
has not spoken, libpq's own words say at which stage it failed; they are English, since no part of ours asks for another
language. A pooler's codes say little, so that its words count, too; it speaks nothing but English.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

import msgspec
from estimatesync_contract.database_url import LIBPQ_PARAMETERS
from estimatesync_contract.job_environment import DATABASE_URL


class Kind(Enum):
    """Whether another try makes sense, and whose fault it is."""

    SETTING = auto()
    """The variable with the URL is to be corrected; nothing was asked of a server, or it cannot help."""
    REFUSED = auto()
    UNAVAILABLE = auto()


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error, for a person: `text` completes a sentence such as `PostgreSQL refuses: …`."""

    kind: Kind
    text: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What a server or a pooler has answered to an attempt to connect.

    Attributes:
        sqlstate: the code.
        routine: of the server's source, which raised it; empty where a pooler speaks.
    """

    sqlstate: str
    routine: str = ""


_UNREACHABLE: Final = "it cannot be reached. Check that it runs, and the host and port in {variable}"
_UNRESOLVED: Final = "its host has no address. Check the host in {variable}, and the DNS"
_WRONG_PASSWORD: Final = "it refuses the user or password. Correct {variable}"  # noqa: S105 - a sentence
_MISSING: Final = "the database in {variable} does not exist. Create it, or correct {variable}"
_NO_USER: Final = (
    "the user in {variable} does not exist or may not log in. Create it, grant LOGIN, or correct {variable}"
)
_NO_ENTRY: Final = "it does not admit this user from this host, or only with TLS. Correct pg_hba.conf or sslmode"
_CLOSED: Final = "the database in {variable} accepts no connections. Let it (ALTER DATABASE … ALLOW_CONNECTIONS)"
_UNTRUSTED: Final = (
    "its certificate is not from an authority that is trusted here, or one of the two has expired. Trust that authority"
    " as it is now: network.caConfigMap in the chart, sslrootcert in {variable} elsewhere"
)
_MISNAMED: Final = "its certificate is for another host name. Correct the host in {variable}, or the certificate"
_NO_AUTHORITY: Final = (
    "the file of authorities to check its certificate against is missing. Correct sslrootcert in {variable}"
    " (sslrootcert=system: the system's own)"
)
_STRANGER: Final = "what answers there is not PostgreSQL. Correct host and port in {variable}"
_TLS: Final = "TLS with it fails. Correct sslmode and the certificates that {variable} names"
_OTHER_STATE: Final = "no server in {variable} has the state that target_session_attrs asks for"
_PARAMETER: Final = "it refuses a parameter that {variable} passes on, such as options. Correct it"
_NO_TENANT: Final = (
    "its pooler knows no such user, project or database. Write the user in {variable} as the pooler wants it, often"
    " with the project's name after a dot, and its host and port"
)
_POOLER_LOGIN: Final = "its pooler cannot log in to the server behind it. Correct the pooler's settings"
_POOLER_WAIT: Final = (
    "its pooler has no connection to the server behind it, or none that is free. See whether that server runs, and the"
    " pooler's log and pool size"
)
_POOLER_CLOSED: Final = "its pooler lets nobody in to the database in {variable} at present. Enable or resume it there"
_POOLER_LIMIT: Final = (
    "its pooler has ended the connection after a time that is shorter than a sync. Raise its query_timeout,"
    " idle_transaction_timeout or client_idle_timeout"
)
_STATEMENTS: Final = "its pooler has no transactions. Give it pool_mode = transaction or session"
_CONSOLE: Final = "{variable} leads to the console of a pooler, not to a database. Name the database of the estimates"
_SPOKE: Final = "it answers, but does not let the connection through. Check user, password and database in {variable}"
_BUSY: Final = "it has no free connection"
_STOPPING: Final = "it is starting, stopping or recovering"
_RIGHTS: Final = "the user in {variable} lacks a right. Grant it"
_FOREIGN: Final = "the tables in schema {schema} are not this program's. Choose another DATABASE_SCHEMA"
_POLICY: Final = (
    "a policy of row-level security, or a view's check, refuses a row. Give the user in {variable} a policy FOR ALL"
    " USING (true), or BYPASSRLS"
)
_TRIGGER: Final = "a trigger of the tables in schema {schema} refuses. Correct or remove it"
_ENCODING: Final = (
    "the encoding of the database cannot hold a text. Move to a database with ENCODING 'UTF8' TEMPLATE template0"
)
_READ_ONLY: Final = "it is read-only. Let {variable} name the primary server"
_CONTENDED: Final = "another session was in the way"
_FULL: Final = "it lacks disk space or memory"
_BROKEN: Final = "the connection broke, or the server failed"
_UNKNOWN: Final = "it refuses the work"

_WORK_ROUTINES: Final[Mapping[str, tuple[Kind, str]]] = {
    # An exceeded quota has the code of an internal error; a full disk has a code of its own.
    **dict.fromkeys(("mdextend", "mdzeroextend", "FileFallocate", "FileZero"), (Kind.UNAVAILABLE, _FULL)),
    # RAISE in PL/pgSQL, which may choose any code.
    "exec_stmt_raise": (Kind.REFUSED, _TRIGGER),
    "ExecWithCheckOptions": (Kind.REFUSED, _POLICY),
    # BEGIN READ WRITE at a standby: a feature that is not supported, as all that this routine refuses.
    "call_bool_check_hook": (Kind.REFUSED, _READ_ONLY),
}
"""By the routine that raises the error: its code means other things, too."""

_SPOKEN: Final = re.compile(r"failed: [^:\n]{1,40}:  ")
"""libpq puts two spaces between the server's severity, in the server's language, and its text."""

_REFUSALS: Final[Mapping[str, tuple[Kind, str]]] = {
    "0A": (Kind.REFUSED, _UNKNOWN),
    "22": (Kind.SETTING, _PARAMETER),
    "28": (Kind.REFUSED, _NO_ENTRY),
    "28P01": (Kind.REFUSED, _WRONG_PASSWORD),
    "3D": (Kind.REFUSED, _MISSING),
    "42": (Kind.SETTING, _PARAMETER),
    "42501": (Kind.REFUSED, _RIGHTS),
    "53": (Kind.UNAVAILABLE, _FULL),
    "53300": (Kind.UNAVAILABLE, _BUSY),
    "55000": (Kind.REFUSED, _CLOSED),
    "57": (Kind.UNAVAILABLE, _STOPPING),
}
"""By code, or its class, of an attempt to connect; others are unavailable, which is retried."""

_ROUTINES: Final[Mapping[str, tuple[Kind, str]]] = {"InitializeSessionUserId": (Kind.REFUSED, _NO_USER)}
"""Of the code 28000, which is otherwise about pg_hba.conf."""

_POOLER_CODES: Final = ("08", "XX")
_POOLER_PHRASES: Final = (
    ("Tenant or user not found", Kind.REFUSED, _NO_TENANT),
    ("no such database", Kind.REFUSED, _NO_TENANT),
    ("no such user", Kind.REFUSED, _NO_TENANT),
    ("is not currently accepting connections", Kind.REFUSED, _CLOSED),
    ('role "', Kind.REFUSED, _NO_USER),
    ('" does not exist', Kind.REFUSED, _MISSING),
    ("connect failed", Kind.UNAVAILABLE, _POOLER_WAIT),
    ("connect timeout", Kind.UNAVAILABLE, _POOLER_WAIT),
    ("login has been failing", Kind.UNAVAILABLE, _POOLER_LOGIN),
    ("server login", Kind.REFUSED, _POOLER_LOGIN),
    ("authentication failed", Kind.REFUSED, _WRONG_PASSWORD),
    ("auth failed", Kind.REFUSED, _WRONG_PASSWORD),
    ("unsupported startup parameter", Kind.SETTING, _PARAMETER),
    ("SSL required", Kind.REFUSED, _NO_ENTRY),
    ("SSL connection is required", Kind.REFUSED, _NO_ENTRY),
    ("allow_list", Kind.REFUSED, _NO_ENTRY),
    ("login rejected", Kind.REFUSED, _NO_ENTRY),
    ("is disabled", Kind.UNAVAILABLE, _POOLER_CLOSED),
    ("statement pooling mode", Kind.REFUSED, _STATEMENTS),
    ("invalid command", Kind.REFUSED, _CONSOLE),
    (":  not allowed", Kind.REFUSED, _CONSOLE),
    ("query timeout", Kind.UNAVAILABLE, _POOLER_LIMIT),
    ("idle transaction timeout", Kind.UNAVAILABLE, _POOLER_LIMIT),
    ("idle_timeout", Kind.UNAVAILABLE, _POOLER_LIMIT),
    ("Endpoint ID is not specified", Kind.SETTING, _TLS),
    ("max client", Kind.UNAVAILABLE, _BUSY),
    ("max_client_conn", Kind.UNAVAILABLE, _BUSY),
    ("no more connections", Kind.UNAVAILABLE, _BUSY),
    ("wait_timeout", Kind.UNAVAILABLE, _POOLER_WAIT),
)
"""PgBouncer's, Supavisor's and Neon's."""

_BEHIND_POOLER: Final = (
    ("authentication failed for user", Kind.REFUSED, _POOLER_LOGIN),
    ('role "', Kind.REFUSED, _POOLER_LOGIN),
)
"""What a server says to a pooler, which passes it on with a code of its own; without that code a server may speak."""

_LIBPQ_PHRASES: Final = (
    ("root certificate file", Kind.REFUSED, _NO_AUTHORITY),
    ("certificate verify failed", Kind.REFUSED, _UNTRUSTED),
    ("does not match host name", Kind.REFUSED, _MISNAMED),
    ("does not support SSL", Kind.REFUSED, _NO_ENTRY),
    ("no password supplied", Kind.REFUSED, _WRONG_PASSWORD),
    ("authentication method requirement", Kind.REFUSED, _NO_ENTRY),
    ("channel binding", Kind.REFUSED, _NO_ENTRY),
    ("invalid response", Kind.UNAVAILABLE, _STRANGER),
    ("expected authentication request", Kind.UNAVAILABLE, _STRANGER),
    ("session is", Kind.UNAVAILABLE, _OTHER_STATE),
    ("hot standby mode", Kind.UNAVAILABLE, _OTHER_STATE),
    ("server closed the connection", Kind.UNAVAILABLE, _BROKEN),
    ("certificate", Kind.REFUSED, _TLS),
    ("private key", Kind.REFUSED, _TLS),
    ("failed to resolve host", Kind.UNAVAILABLE, _UNRESOLVED),
    ("could not translate host name", Kind.UNAVAILABLE, _UNRESOLVED),
)
"""In order: what follows may be part of an earlier one's text."""

_CONSTRAINTS: Final = "23"
"""The class of violated constraints: those of tables elsewhere are met by triggers only."""

_NO_ACCESS: Final = "28000"
_BAD: Final = "connection is bad: "
"""psycopg's prefix, where libpq has not begun to wait for a server."""

_TRIED: Final = ("connection to server", "could not translate host name", "out of memory", "could not create")
"""How libpq begins once its settings are usable; before that, it says what is wrong with one."""

_STATES: Final[Mapping[str, tuple[Kind, str]]] = {
    "08": (Kind.UNAVAILABLE, _BROKEN),
    "22P05": (Kind.REFUSED, _ENCODING),
    "0LP01": (Kind.REFUSED, _RIGHTS),
    "23505": (Kind.UNAVAILABLE, _CONTENDED),
    "25006": (Kind.REFUSED, _READ_ONLY),
    "25P": (Kind.UNAVAILABLE, _BROKEN),
    "28": (Kind.REFUSED, _WRONG_PASSWORD),
    "3D": (Kind.REFUSED, _MISSING),
    "3F": (Kind.REFUSED, _FOREIGN),
    "44": (Kind.REFUSED, _FOREIGN),
    "40": (Kind.UNAVAILABLE, _CONTENDED),
    "42": (Kind.REFUSED, _FOREIGN),
    "42501": (Kind.REFUSED, _RIGHTS),
    "53": (Kind.UNAVAILABLE, _FULL),
    "53300": (Kind.UNAVAILABLE, _BUSY),
    "55P03": (Kind.UNAVAILABLE, _CONTENDED),
    "57": (Kind.UNAVAILABLE, _STOPPING),
    "57014": (Kind.UNAVAILABLE, _CONTENDED),
    "58": (Kind.UNAVAILABLE, _BROKEN),
    "P0": (Kind.REFUSED, _TRIGGER),
    "XX": (Kind.UNAVAILABLE, _BROKEN),
}
"""By code, its first three characters, or its class, of a statement; others are refused."""


def has_answered(text: str) -> bool:
    """Return whether an error about a connection, as psycopg words it, quotes a server or a pooler."""
    return _SPOKEN.search(text) is not None


def decide_connection_fault(text: str, refusals: Sequence[Refusal] = (), *, variable: str) -> Fault:
    """Decide what it means that there is no connection.

    Args:
        text: what psycopg and libpq say; only searched, because it can hold parts of the URL.
        refusals: what servers have answered, as far as that could be read.
        variable: the one with the URL.
    """
    if refusals:
        decided = [_decide_refusal(text, refusal) for refusal in refusals]
        # Of several hosts, one that may soon be available decides.
        kind, cause = min(decided, key=lambda each: each[0] is not Kind.UNAVAILABLE)
    elif has_answered(text):
        kind, cause = _find_phrase(text, _POOLER_PHRASES) or (Kind.UNAVAILABLE, _SPOKE)
    elif is_unusable_setting(text):
        kind, cause = Kind.SETTING, _build_setting_cause(text)
    else:
        kind, cause = _find_phrase(text, _LIBPQ_PHRASES) or (Kind.UNAVAILABLE, _UNREACHABLE)
    return Fault(kind=kind, text=cause.format(variable=variable))


def is_unusable_setting(text: str) -> bool:
    """Return whether libpq has given up before it tried to reach anything."""
    told = text.removeprefix(_BAD)
    return (told != text and not told.startswith(_TRIED)) or "invalid integer value" in text


def _build_setting_cause(text: str) -> str:
    """Name the parameters that libpq mentions, and none of their values."""
    words = re.findall(r"\w+", text.rpartition("failed: ")[2])
    what = " or ".join(dict.fromkeys(word for word in words if word in LIBPQ_PARAMETERS)) or "a parameter"
    return f"{what} cannot be used as it is. Correct {{variable}}"


def _decide_refusal(text: str, refusal: Refusal) -> tuple[Kind, str]:
    code = refusal.sqlstate
    if code[:2] in _POOLER_CODES:
        return _find_phrase(text, (*_BEHIND_POOLER, *_POOLER_PHRASES)) or (Kind.UNAVAILABLE, _BROKEN)
    if code == _NO_ACCESS and refusal.routine in _ROUTINES:
        return _ROUTINES[refusal.routine]
    return _REFUSALS.get(code) or _REFUSALS.get(code[:2]) or (Kind.UNAVAILABLE, _SPOKE)


def _find_phrase(text: str, phrases: Sequence[tuple[str, Kind, str]]) -> tuple[Kind, str] | None:
    return next(((kind, cause) for phrase, kind, cause in phrases if phrase in text), None)


def decide_work_fault(
    sqlstate: str | None, text: str, *, routine: str = "", place: str | None = None, schema: str, variable: str
) -> Fault:
    """Decide what an error within a connection means.

    Args:
        sqlstate: PostgreSQL's code; None when the connection broke.
        text: the server's primary message, which is repeated; without a code it is not.
        routine: of the server's source, which raised the error.
        place: the schema of the table that the error is about, where it says so.
        schema: the schema that was worked in.
        variable: the one with the URL.
    """
    if sqlstate is None:
        return Fault(kind=Kind.UNAVAILABLE, text=_BROKEN)
    is_elsewhere = place is not None and place != schema and not place.startswith("pg_")
    is_of_a_trigger = is_elsewhere and sqlstate.startswith(_CONSTRAINTS)
    kind, cause = (Kind.REFUSED, _TRIGGER) if is_of_a_trigger else _decide_state(sqlstate, routine, text)
    return Fault(kind=kind, text=f"{cause.format(schema=schema, variable=variable)} ({text})")


def _decide_state(sqlstate: str, routine: str, text: str) -> tuple[Kind, str]:
    if decided := _WORK_ROUTINES.get(routine):
        return decided
    # A pooler in transaction mode looks for a server only when there is work.
    is_pooler = not routine and sqlstate[:2] in _POOLER_CODES
    if is_pooler and (decided := _find_phrase(text, (*_BEHIND_POOLER, *_POOLER_PHRASES))):
        return decided
    for prefix in (sqlstate, sqlstate[:3], sqlstate[:2]):
        if decided := _STATES.get(prefix):
            return decided
    return Kind.REFUSED, _UNKNOWN


def build_incomplete_encoding(encoding: str, *, variable: str = DATABASE_URL) -> Fault:
    """Say that no new tables are made in a database that cannot hold every text."""
    text = (
        f"the encoding of the database, {encoding}, cannot hold every text, and no new tables are made in it. Create "
        f"one with ENCODING 'UTF8' TEMPLATE template0, and name it in {variable}"
    )
    return Fault(kind=Kind.REFUSED, text=text)


def build_view(table: str, *, schema: str) -> Fault:
    """Say that a view is where a table should be."""
    text = f"{table} in schema {schema} is a view, not a table. Rename it, or choose another DATABASE_SCHEMA"
    return Fault(kind=Kind.REFUSED, text=text)


def build_hidden_rows(table: str, *, schema: str, variable: str = DATABASE_URL) -> Fault:
    """Say that a table shows only some of its rows."""
    text = (
        f"row-level security may hide rows of {table} in schema {schema} from the user in {variable}. Give this user a "
        "policy FOR ALL USING (true), or BYPASSRLS"
    )
    return Fault(kind=Kind.REFUSED, text=text)


def build_kept_out(count: int, *, schema: str) -> Fault:
    """Say that rows are not there although the server has taken them."""
    text = (
        f"{count} of the estimates or names are not in the tables as they were written: a trigger, a rule or a "
        f"view in schema {schema} keeps them out. Remove it"
    )
    return Fault(kind=Kind.REFUSED, text=text)


SILENCE: Final = Fault(
    kind=Kind.UNAVAILABLE, text="it took the work and never answered. See what the server is waiting for"
)
"""A server has accepted work, and does not answer."""
