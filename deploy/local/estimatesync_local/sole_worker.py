"""Makes sure that only one machine works on the syncs of a database: two would run each sync twice.

An advisory lock of a session that lasts as long as the supervisor; PostgreSQL drops it with the connection.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg

from estimatesync_local.errors import AlreadyRunningError, DatabaseError

# Any number will do, as long as it stays and no other program uses it in the same database.
_LOCK_KEY: Final = 7_340_190_455_122
_PATIENCE: Final = "3s"
"""A server that was killed a moment ago may still seem to be connected."""


@asynccontextmanager
async def being_sole_worker(database_url: str) -> AsyncIterator[None]:
    """Be the only one for the time of the context.

    Raises:
        AlreadyRunningError: Somebody else is.
        DatabaseError: The database cannot be reached.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    except psycopg.Error as error:
        raise DatabaseError(f"The database cannot be used: {error}") from error
    async with connection:
        await _take_lock(connection)
        yield


async def _take_lock(connection: psycopg.AsyncConnection) -> None:
    await connection.execute("SELECT set_config('lock_timeout', %s, false)", (_PATIENCE,))
    try:
        await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
    except psycopg.errors.LockNotAvailable as error:
        raise AlreadyRunningError(
            "Another EstimateSync works on this database. Stop it, or set DATABASE_URL to another database."
        ) from error
