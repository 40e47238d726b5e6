"""Connections to PostgreSQL, their transactions' settings, and psycopg's errors in our words.

`database` works on them. Everything is set for the transaction alone, so that a pooled connection is handed on as it
came.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, IsolationLevel, sql
from psycopg.conninfo import conninfo_to_dict

from estimatesync_job.database_faults import build_database_error
from estimatesync_job.errors import ConfigurationError, DatabaseUnavailableError
from estimatesync_job.settings import Settings
from estimatesync_job.sql_files import read_sql

_CONNECTION_DEFAULTS: Final[dict[str, Any]] = {
    "application_name": "estimatesync",
    "connect_timeout": 10,
    # A server that vanished without a word is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
"""What DATABASE_URL does not say otherwise; seconds, the last one in milliseconds."""

ANSWER_SECONDS: Final = 630.0
"""For one piece of work. Longer than the server lets a statement take (`configure_transaction`), so that its own rule
comes first: a server that is silent for so long has stopped, while its machine still keeps the connection open."""

_SECONDS_BETWEEN_CONNECTS: Final = 1.0

# What psycopg warns of, the error that it raises says as well; without a handler it would be written past our log.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


@asynccontextmanager
async def connected(settings: Settings, *, answer_seconds: float) -> AsyncIterator[AsyncConnection]:
    """Connect and begin a transaction."""
    connection = await _create_connection_in_time(settings)
    try:
        with answered(connection, within=answer_seconds):
            await begin(connection, settings.database_schema)
        yield connection
    finally:
        await connection.close()


async def _create_connection_in_time(settings: Settings) -> AsyncConnection:
    """Connect, again and again while a database that starts, fails over or is full may still become available."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.database_wait_seconds
    while True:
        try:
            with translated_errors(settings.database_schema):
                return await _create_connection(settings.database_url)
        except DatabaseUnavailableError:
            if loop.time() + _SECONDS_BETWEEN_CONNECTS > deadline:
                raise
        await asyncio.sleep(_SECONDS_BETWEEN_CONNECTS)


async def _create_connection(url: str) -> AsyncConnection:
    try:
        parameters = _CONNECTION_DEFAULTS | conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The error would repeat the URL, password and all.
        raise ConfigurationError("The sync cannot start: DATABASE_URL is not a valid connection URL.") from None
    try:
        connection = await AsyncConnection.connect(**parameters, prepare_threshold=None)
    except UnicodeError:
        # Where a host name is looked up, and has two dots side by side, or a part that is too long.
        raise ConfigurationError("The sync cannot start: DATABASE_URL names a host that can have no address.") from None
    await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
    return connection


async def begin(connection: AsyncConnection, schema: str) -> None:
    """Settle a new transaction: the schema to work in, and how long to wait for what."""
    search_path = sql.Identifier(schema).as_string(connection)
    await connection.execute(read_sql("configure_transaction"), {"search_path": search_path})


@contextmanager
def answered(connection: AsyncConnection, *, within: float) -> Iterator[None]:
    """Cut a connection whose server has not answered in so many seconds; what waits for it is told that it broke.

    Raises:
        psycopg.OperationalError: So it was.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    timer = loop.call_at(deadline, _cut, connection)
    try:
        yield
    except psycopg.OperationalError as error:
        if loop.time() < deadline:
            raise
        raise psycopg.OperationalError(f"no answer within {within:g} s") from error
    finally:
        timer.cancel()


def _cut(connection: AsyncConnection) -> None:
    """Shut the line down as if the other end had, and leave it to libpq, which is waiting on it, to find that out."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


@contextmanager
def translated_errors(schema: str) -> Iterator[None]:
    """Turn psycopg's errors into ours."""
    try:
        yield
    except psycopg.Error as error:
        text = error.diag.message_primary or str(error)
        raise build_database_error(sqlstate=error.sqlstate, text=text, schema=schema) from error
