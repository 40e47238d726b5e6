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
from estimatesync_contract.specific_causes import SpecificCause


class Kind(Enum):
    """Whether another try makes sense, and whose fault it is."""

    SETTING = auto()
    """The variable with the URL is to be corrected; nothing was asked of a server, or it cannot help."""
    REFUSED = auto()
    UNAVAILABLE = auto()


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error, for a person: `text` completes a sentence such as `PostgreSQL refuses: …`.

    Attributes:
        cause: what it is, for programs and other languages.
        happened: the same with the details of the single case.
        quote: what the server says, in its language; blank where that is not repeated.
    """

    kind: Kind
    cause: SpecificCause
    happened: str
    cure: str
    quote: str = ""

    @property
    def text(self) -> str:
        """What happened and what to do, then what the server says."""
        return f"{self.happened}. {self.cure}" + (f" ({self.quote})" if self.quote else "")


def build_fault(
    kind: Kind, cause: SpecificCause, *, quote: str = "", variable: str = DATABASE_URL, **details: object
) -> Fault:
    """Fill in the details of the single case."""
    happened = cause.format_happened(variable=variable, **details)
    return Fault(kind=kind, cause=cause, happened=happened, cure=cause.format_cure(variable=variable), quote=quote)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What a server or a pooler has answered to an attempt to connect.

    Attributes:
        sqlstate: the code.
        routine: of the server's source, which raised it; empty where a pooler speaks.
    """

    sqlstate: str
    routine: str = ""


_WORK_ROUTINES: Final[Mapping[str, tuple[Kind, SpecificCause]]] = {
    # An exceeded quota has the code of an internal error; a full disk has a code of its own.
    **dict.fromkeys(
        ("mdextend", "mdzeroextend", "FileFallocate", "FileZero"), (Kind.UNAVAILABLE, SpecificCause.DATABASE_FULL)
    ),
    # RAISE in PL/pgSQL, which may choose any code.
    "exec_stmt_raise": (Kind.REFUSED, SpecificCause.TRIGGER_REFUSES),
    "ExecWithCheckOptions": (Kind.REFUSED, SpecificCause.POLICY_REFUSES),
    # BEGIN READ WRITE at a standby: a feature that is not supported, as all that this routine refuses.
    "call_bool_check_hook": (Kind.REFUSED, SpecificCause.DATABASE_READ_ONLY),
}
"""By the routine that raises the error: its code means other things, too."""

_SPOKEN: Final = re.compile(r"failed: [^:\n]{1,40}:  ")
"""libpq puts two spaces between the server's severity, in the server's language, and its text."""

_REFUSALS: Final[Mapping[str, tuple[Kind, SpecificCause]]] = {
    "0A": (Kind.REFUSED, SpecificCause.DATABASE_REFUSES_WORK),
    "22": (Kind.SETTING, SpecificCause.DATABASE_PARAMETER_REFUSED),
    "28": (Kind.REFUSED, SpecificCause.DATABASE_HOST_NOT_ADMITTED),
    "28P01": (Kind.REFUSED, SpecificCause.DATABASE_PASSWORD_WRONG),
    "3D": (Kind.REFUSED, SpecificCause.DATABASE_MISSING),
    "42": (Kind.SETTING, SpecificCause.DATABASE_PARAMETER_REFUSED),
    "42501": (Kind.REFUSED, SpecificCause.RIGHT_MISSING),
    "53": (Kind.UNAVAILABLE, SpecificCause.DATABASE_FULL),
    "53300": (Kind.UNAVAILABLE, SpecificCause.DATABASE_BUSY),
    "55000": (Kind.REFUSED, SpecificCause.DATABASE_CLOSED),
    "57": (Kind.UNAVAILABLE, SpecificCause.DATABASE_STOPPING),
}
"""By code, or its class, of an attempt to connect; others are unavailable, which is retried."""

_ROUTINES: Final[Mapping[str, tuple[Kind, SpecificCause]]] = {
    "InitializeSessionUserId": (Kind.REFUSED, SpecificCause.DATABASE_USER_UNKNOWN)
}
"""Of the code 28000, which is otherwise about pg_hba.conf."""

_POOLER_CODES: Final = ("08", "XX")
_POOLER_PHRASES: Final = (
    ("Tenant or user not found", Kind.REFUSED, SpecificCause.POOLER_TENANT_UNKNOWN),
    ("no such database", Kind.REFUSED, SpecificCause.POOLER_TENANT_UNKNOWN),
    ("no such user", Kind.REFUSED, SpecificCause.POOLER_TENANT_UNKNOWN),
    ("is not currently accepting connections", Kind.REFUSED, SpecificCause.DATABASE_CLOSED),
    ('role "', Kind.REFUSED, SpecificCause.DATABASE_USER_UNKNOWN),
    ('" does not exist', Kind.REFUSED, SpecificCause.DATABASE_MISSING),
    ("connect failed", Kind.UNAVAILABLE, SpecificCause.POOLER_EXHAUSTED),
    ("connect timeout", Kind.UNAVAILABLE, SpecificCause.POOLER_EXHAUSTED),
    ("login has been failing", Kind.UNAVAILABLE, SpecificCause.POOLER_LOGIN_FAILED),
    ("server login", Kind.REFUSED, SpecificCause.POOLER_LOGIN_FAILED),
    ("authentication failed", Kind.REFUSED, SpecificCause.DATABASE_PASSWORD_WRONG),
    ("auth failed", Kind.REFUSED, SpecificCause.DATABASE_PASSWORD_WRONG),
    ("unsupported startup parameter", Kind.SETTING, SpecificCause.DATABASE_PARAMETER_REFUSED),
    ("SSL required", Kind.REFUSED, SpecificCause.DATABASE_HOST_NOT_ADMITTED),
    ("SSL connection is required", Kind.REFUSED, SpecificCause.DATABASE_HOST_NOT_ADMITTED),
    ("allow_list", Kind.REFUSED, SpecificCause.DATABASE_HOST_NOT_ADMITTED),
    ("login rejected", Kind.REFUSED, SpecificCause.DATABASE_HOST_NOT_ADMITTED),
    ("is disabled", Kind.UNAVAILABLE, SpecificCause.POOLER_CLOSED),
    ("statement pooling mode", Kind.REFUSED, SpecificCause.POOLER_OF_STATEMENTS),
    ("invalid command", Kind.REFUSED, SpecificCause.POOLER_CONSOLE),
    (":  not allowed", Kind.REFUSED, SpecificCause.POOLER_CONSOLE),
    ("query timeout", Kind.UNAVAILABLE, SpecificCause.POOLER_LIMIT),
    ("idle transaction timeout", Kind.UNAVAILABLE, SpecificCause.POOLER_LIMIT),
    ("idle_timeout", Kind.UNAVAILABLE, SpecificCause.POOLER_LIMIT),
    ("Endpoint ID is not specified", Kind.SETTING, SpecificCause.DATABASE_TLS_FAILED),
    ("max client", Kind.UNAVAILABLE, SpecificCause.DATABASE_BUSY),
    ("max_client_conn", Kind.UNAVAILABLE, SpecificCause.DATABASE_BUSY),
    ("no more connections", Kind.UNAVAILABLE, SpecificCause.DATABASE_BUSY),
    ("wait_timeout", Kind.UNAVAILABLE, SpecificCause.POOLER_EXHAUSTED),
)
"""PgBouncer's, Supavisor's and Neon's."""

_BEHIND_POOLER: Final = (
    ("authentication failed for user", Kind.REFUSED, SpecificCause.POOLER_LOGIN_FAILED),
    ('role "', Kind.REFUSED, SpecificCause.POOLER_LOGIN_FAILED),
)
"""What a server says to a pooler, which passes it on with a code of its own; without that code a server may speak."""

_LIBPQ_PHRASES: Final = (
    ("root certificate file", Kind.REFUSED, SpecificCause.DATABASE_AUTHORITY_MISSING),
    ("certificate verify failed", Kind.REFUSED, SpecificCause.DATABASE_CERTIFICATE_UNTRUSTED),
    ("does not match host name", Kind.REFUSED, SpecificCause.DATABASE_CERTIFICATE_MISNAMED),
    ("does not support SSL", Kind.REFUSED, SpecificCause.DATABASE_HOST_NOT_ADMITTED),
    ("no password supplied", Kind.REFUSED, SpecificCause.DATABASE_PASSWORD_WRONG),
    ("authentication method requirement", Kind.REFUSED, SpecificCause.DATABASE_HOST_NOT_ADMITTED),
    ("channel binding", Kind.REFUSED, SpecificCause.DATABASE_HOST_NOT_ADMITTED),
    ("invalid response", Kind.UNAVAILABLE, SpecificCause.NOT_POSTGRESQL),
    ("expected authentication request", Kind.UNAVAILABLE, SpecificCause.NOT_POSTGRESQL),
    ("session is", Kind.UNAVAILABLE, SpecificCause.DATABASE_STATE_OTHER),
    ("hot standby mode", Kind.UNAVAILABLE, SpecificCause.DATABASE_STATE_OTHER),
    ("server closed the connection", Kind.UNAVAILABLE, SpecificCause.DATABASE_BROKE),
    ("certificate", Kind.REFUSED, SpecificCause.DATABASE_TLS_FAILED),
    ("private key", Kind.REFUSED, SpecificCause.DATABASE_TLS_FAILED),
    ("failed to resolve host", Kind.UNAVAILABLE, SpecificCause.DATABASE_NAME_UNKNOWN),
    ("could not translate host name", Kind.UNAVAILABLE, SpecificCause.DATABASE_NAME_UNKNOWN),
)
"""In order: what follows may be part of an earlier one's text."""

_CONSTRAINTS: Final = "23"
"""The class of violated constraints: those of tables elsewhere are met by triggers only."""

_NO_ACCESS: Final = "28000"
_BAD: Final = "connection is bad: "
"""psycopg's prefix, where libpq has not begun to wait for a server."""

_TRIED: Final = ("connection to server", "could not translate host name", "out of memory", "could not create")
"""How libpq begins once its settings are usable; before that, it says what is wrong with one."""

_STATES: Final[Mapping[str, tuple[Kind, SpecificCause]]] = {
    "08": (Kind.UNAVAILABLE, SpecificCause.DATABASE_BROKE),
    "22P05": (Kind.REFUSED, SpecificCause.ENCODING_LACKS_TEXT),
    "0LP01": (Kind.REFUSED, SpecificCause.RIGHT_MISSING),
    "23505": (Kind.UNAVAILABLE, SpecificCause.DATABASE_CONTENDED),
    "25006": (Kind.REFUSED, SpecificCause.DATABASE_READ_ONLY),
    "25P": (Kind.UNAVAILABLE, SpecificCause.DATABASE_BROKE),
    "28": (Kind.REFUSED, SpecificCause.DATABASE_PASSWORD_WRONG),
    "3D": (Kind.REFUSED, SpecificCause.DATABASE_MISSING),
    "3F": (Kind.REFUSED, SpecificCause.SCHEMA_FOREIGN),
    "44": (Kind.REFUSED, SpecificCause.SCHEMA_FOREIGN),
    "40": (Kind.UNAVAILABLE, SpecificCause.DATABASE_CONTENDED),
    "42": (Kind.REFUSED, SpecificCause.SCHEMA_FOREIGN),
    "42501": (Kind.REFUSED, SpecificCause.RIGHT_MISSING),
    "53": (Kind.UNAVAILABLE, SpecificCause.DATABASE_FULL),
    "53300": (Kind.UNAVAILABLE, SpecificCause.DATABASE_BUSY),
    "55P03": (Kind.UNAVAILABLE, SpecificCause.DATABASE_CONTENDED),
    "57": (Kind.UNAVAILABLE, SpecificCause.DATABASE_STOPPING),
    "57014": (Kind.UNAVAILABLE, SpecificCause.DATABASE_CONTENDED),
    "58": (Kind.UNAVAILABLE, SpecificCause.DATABASE_BROKE),
    "P0": (Kind.REFUSED, SpecificCause.TRIGGER_REFUSES),
    "XX": (Kind.UNAVAILABLE, SpecificCause.DATABASE_BROKE),
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
        kind, cause = _find_phrase(text, _POOLER_PHRASES) or (Kind.UNAVAILABLE, SpecificCause.DATABASE_NOT_LET_THROUGH)
    elif is_unusable_setting(text):
        kind, cause = Kind.SETTING, SpecificCause.DATABASE_PARAMETER_UNUSABLE
    else:
        kind, cause = _find_phrase(text, _LIBPQ_PHRASES) or (Kind.UNAVAILABLE, SpecificCause.DATABASE_UNREACHABLE)
    return build_fault(kind, cause, variable=variable, parameters=_format_parameters(text))


def is_unusable_setting(text: str) -> bool:
    """Return whether libpq has given up before it tried to reach anything."""
    told = text.removeprefix(_BAD)
    return (told != text and not told.startswith(_TRIED)) or "invalid integer value" in text


def _format_parameters(text: str) -> str:
    """Name the parameters that libpq mentions, and none of their values."""
    words = re.findall(r"\w+", text.rpartition("failed: ")[2])
    return " or ".join(dict.fromkeys(word for word in words if word in LIBPQ_PARAMETERS)) or "a parameter"


def _decide_refusal(text: str, refusal: Refusal) -> tuple[Kind, SpecificCause]:
    code = refusal.sqlstate
    if code[:2] in _POOLER_CODES:
        return _find_phrase(text, (*_BEHIND_POOLER, *_POOLER_PHRASES)) or (
            Kind.UNAVAILABLE,
            SpecificCause.DATABASE_BROKE,
        )
    if code == _NO_ACCESS and refusal.routine in _ROUTINES:
        return _ROUTINES[refusal.routine]
    return _REFUSALS.get(code) or _REFUSALS.get(code[:2]) or (Kind.UNAVAILABLE, SpecificCause.DATABASE_NOT_LET_THROUGH)


def _find_phrase(text: str, phrases: Sequence[tuple[str, Kind, SpecificCause]]) -> tuple[Kind, SpecificCause] | None:
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
        return build_fault(Kind.UNAVAILABLE, SpecificCause.DATABASE_BROKE, variable=variable)
    is_elsewhere = place is not None and place != schema and not place.startswith("pg_")
    is_of_a_trigger = is_elsewhere and sqlstate.startswith(_CONSTRAINTS)
    kind, cause = (
        (Kind.REFUSED, SpecificCause.TRIGGER_REFUSES) if is_of_a_trigger else _decide_state(sqlstate, routine, text)
    )
    return build_fault(kind, cause, quote=text, schema=schema, variable=variable)


def _decide_state(sqlstate: str, routine: str, text: str) -> tuple[Kind, SpecificCause]:
    if decided := _WORK_ROUTINES.get(routine):
        return decided
    # A pooler in transaction mode looks for a server only when there is work.
    is_pooler = not routine and sqlstate[:2] in _POOLER_CODES
    if is_pooler and (decided := _find_phrase(text, (*_BEHIND_POOLER, *_POOLER_PHRASES))):
        return decided
    for prefix in (sqlstate, sqlstate[:3], sqlstate[:2]):
        if decided := _STATES.get(prefix):
            return decided
    return Kind.REFUSED, SpecificCause.DATABASE_REFUSES_WORK


def build_incomplete_encoding(encoding: str, *, variable: str = DATABASE_URL) -> Fault:
    """Say that no new tables are made in a database that cannot hold every text."""
    return build_fault(Kind.REFUSED, SpecificCause.ENCODING_INCOMPLETE, encoding=encoding, variable=variable)


def build_view(table: str, *, schema: str) -> Fault:
    """Say that a view is where a table should be."""
    return build_fault(Kind.REFUSED, SpecificCause.VIEW_IN_PLACE, table=table, schema=schema)


def build_hidden_rows(table: str, *, schema: str, variable: str = DATABASE_URL) -> Fault:
    """Say that a table shows only some of its rows."""
    return build_fault(Kind.REFUSED, SpecificCause.ROWS_HIDDEN, table=table, schema=schema, variable=variable)


def build_kept_out(count: int, *, schema: str) -> Fault:
    """Say that rows are not there although the server has taken them."""
    return build_fault(Kind.REFUSED, SpecificCause.ROWS_KEPT_OUT, count=count, schema=schema)


SILENCE: Final = build_fault(Kind.UNAVAILABLE, SpecificCause.DATABASE_SILENT)
"""A server has accepted work, and does not answer."""
