"""Connects to PostgreSQL, and turns whatever prevents it into a fault in our own words.

Every connection of every part is made here. psycopg and libpq repeat in their errors what they took for a host, a name
or a parameter, so these errors end here; and libpq passes on no SQLSTATE of a server that refuses a connection, so that
one is read from its trace of a second attempt (`refusals`).
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from estimatesync_contract.job_environment import DATABASE_URL
from estimatesync_contract.specific_causes import SpecificCause
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from estimatesync_postgres.faults import (
    SILENCE,
    Fault,
    Kind,
    build_fault,
    decide_connection_fault,
    decide_work_fault,
    has_answered,
)
from estimatesync_postgres.refusals import read_refusals

_DEFAULTS: Final[Mapping[str, Any]] = {
    "application_name": "estimatesync",
    "connect_timeout": 10,
    # A server that vanished without a word is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
"""Used unless the URL says otherwise; in seconds, the last one in milliseconds."""

_FIXED: Final[Mapping[str, Any]] = {"client_encoding": "UTF8"}
"""Whatever the URL, the environment, the role or the database say."""


class FaultError(psycopg.Error):
    """What we have found ourselves, among psycopg's errors; its text is for a person, and holds nothing of the URL."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault: Final = fault


class ConnectionFaultError(FaultError, psycopg.OperationalError):
    """There is no connection."""


class SilenceError(FaultError, psycopg.OperationalError):
    """A server has accepted work, and does not answer."""

    def __init__(self) -> None:
        super().__init__(SILENCE)


async def create_connection(
    url: str,
    *,
    variable: str = DATABASE_URL,
    defaults: Mapping[str, Any] | None = None,
    asks_why: bool = True,
    **options: Any,  # noqa: ANN401 - psycopg's own
) -> AsyncConnection[Any]:
    """Connect.

    Args:
        url: the connection URL.
        variable: the one that holds it, for the text of an error.
        defaults: libpq's parameters where the URL is silent, in addition to ours.
        asks_why: try once more to learn with which code a server refuses, where somebody will read about it.
        options: passed on to psycopg.

    Raises:
        ConnectionFaultError: There is no connection.
    """
    try:
        parameters = {**_DEFAULTS, **(defaults or {}), **conninfo_to_dict(url), **_FIXED}
    except psycopg.ProgrammingError:
        # The error would repeat the URL, password and all.
        raise ConnectionFaultError(_build_unusable(variable)) from None
    try:
        return await AsyncConnection.connect(**parameters, **options)
    except UnicodeError:
        # From the lookup of a host name that has two dots in a row, or a part that is too long.
        raise ConnectionFaultError(_build_unusable(variable)) from None
    except psycopg.Error as error:
        text = str(error)
    refusals = await asyncio.to_thread(read_refusals, parameters) if asks_why and has_answered(text) else ()
    raise ConnectionFaultError(decide_connection_fault(text, refusals, variable=variable))


def read_encoding(connection: AsyncConnection[Any]) -> str:
    """Read the encoding of the database, such as `UTF8`, from what the server says of itself on connecting."""
    return connection.info.parameter_status("server_encoding") or "UTF8"


def _build_unusable(variable: str) -> Fault:
    return build_fault(Kind.SETTING, SpecificCause.DATABASE_URL_UNUSABLE, variable=variable)


def read_fault(error: psycopg.Error, *, schema: str, variable: str = DATABASE_URL) -> Fault:
    """Say what an error of psycopg means, whether it is about the connection or the work."""
    if isinstance(error, FaultError):
        return error.fault
    return decide_work_fault(
        error.sqlstate,
        error.diag.message_primary or "no text",
        routine=error.diag.source_function or "",
        place=error.diag.schema_name,
        schema=schema,
        variable=variable,
    )
