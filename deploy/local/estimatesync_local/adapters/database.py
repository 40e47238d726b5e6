"""The database of one machine: its migrations, a connection that returns when it does, and the lock of the one server.

Statements here take a millisecond, so one connection, used by one caller after another, is enough. Unlike a pool it
fails as soon as the database does, and works again as soon as the database is back.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from estimatesync_job.adapters.migrations import write_migrations
from estimatesync_postgres.connection import create_connection, read_fault
from estimatesync_postgres.faults import Fault
from estimatesync_postgres.session import configure_session
from psycopg.rows import DictRow, dict_row, tuple_row

from estimatesync_local.core.errors import AlreadyRunningError, DatabaseError

Connection = psycopg.AsyncConnection[DictRow]

_PACKAGE: Final = "estimatesync_local"
_SCHEMA: Final = "estimatesync_local"
_CONNECT_SECONDS: Final = 3
_ANSWER_SECONDS: Final = 10.0

_LIMIT_LOCK_WAIT: Final = "SET lock_timeout = '3s'"
"""A server that was killed a moment ago may still appear connected."""

_LOCK: Final = "SELECT pg_advisory_lock(7340190455122)"
"""Any number will do, as long as it stays and no other program uses it in the same database."""


async def migrate(database_url: str) -> None:
    """Bring the tables of one machine to this version; the sync program migrates its own.

    Called at each start, before anything else uses the database. Two starts at once are safe: the second waits for the
    first.

    Raises:
        psycopg.Error: The database cannot be reached, or refuses.
    """
    async with await open_session(database_url) as connection:
        await connection.set_autocommit(False)
        connection.row_factory = tuple_row
        await write_migrations(connection, schema=_SCHEMA, package=_PACKAGE)


async def open_session(
    database_url: str, *, connect_seconds: int | None = None, asks_why: bool = True
) -> psycopg.AsyncConnection[Any]:
    """Connect in autocommit mode, with rows as dictionaries, and set what a session relies on.

    Raises:
        psycopg.Error: The database cannot be reached, or refuses.
    """
    defaults = {"connect_timeout": connect_seconds} if connect_seconds else {}
    connection = await create_connection(
        database_url, defaults=defaults, asks_why=asks_why, autocommit=True, row_factory=dict_row
    )
    try:
        await configure_session(connection, {"search_path": _SCHEMA})
    except BaseException:
        await connection.close()
        raise
    return connection


class ReconnectingConnection:
    """A connection for one event loop, in autocommit mode, with rows as dictionaries."""

    def __init__(self, database_url: str) -> None:
        """Connect to nothing yet."""
        self._database_url = database_url
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Hold the connection exclusively; it is checked first, and replaced if it is broken.

        Raises:
            psycopg.Error: The database cannot be reached.
            TimeoutError: It does not answer, or earlier callers take too long.
        """
        async with asyncio.timeout(_ANSWER_SECONDS), self._lock:
            if self._connection is None or not await _is_usable(self._connection):
                self._connection = await self._reconnect()
            yield self._connection

    async def close(self) -> None:
        """Close the connection, if there is one."""
        async with self._lock:
            await self._disconnect()

    async def _reconnect(self) -> Connection:
        await self._disconnect()
        return await open_session(self._database_url, connect_seconds=_CONNECT_SECONDS, asks_why=False)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def _is_usable(connection: Connection) -> bool:
    """Send an empty statement: a restarted database is noticed now, and not in the middle of the caller's work."""
    try:
        await connection.execute("")
    except psycopg.Error:
        return False
    return True


@asynccontextmanager
async def single_instance(database_url: str) -> AsyncIterator[None]:
    """Let only one server work on the syncs of a database, for two would run each sync twice.

    An advisory lock of a session that lasts as long as the supervisor; PostgreSQL drops it with the connection.

    Raises:
        AlreadyRunningError: Another server works on them.
        DatabaseError: The database cannot be reached.
    """
    try:
        connection = await open_session(database_url)
    except psycopg.Error as error:
        raise DatabaseError(f"The database cannot be used: {read_database_fault(error).text}.") from error
    async with connection:
        await _take_lock(connection)
        yield


def read_database_fault(error: psycopg.Error) -> Fault:
    """Find what an error means, without anything of the URL."""
    return read_fault(error, schema=_SCHEMA)


async def _take_lock(connection: Connection) -> None:
    await connection.execute(_LIMIT_LOCK_WAIT)
    try:
        await connection.execute(_LOCK)
    except psycopg.errors.LockNotAvailable as error:
        raise AlreadyRunningError(
            "Another EstimateSync is using this database. Stop it, or set DATABASE_URL to another database."
        ) from error
    except psycopg.Error as error:
        raise DatabaseError(f"The database cannot be used: {read_database_fault(error).text}.") from error
