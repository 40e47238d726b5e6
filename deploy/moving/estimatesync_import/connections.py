"""Connections to the two databases: the old one to read from, ours to work in; their errors in our words."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Any, Final

import psycopg
from estimatesync_contract.job_environment import DATABASE_URL
from estimatesync_job import sql_files as job_sql
from psycopg import AsyncConnection, IsolationLevel, sql
from psycopg.conninfo import conninfo_to_dict

from estimatesync_import.errors import DatabaseFault, build_database_fault
from estimatesync_import.settings import Settings

_CONNECT_SECONDS: Final = 10


def read_sql(name: str) -> bytes:
    """Read this package's statement of this name."""
    return (files(__package__) / "sql" / f"{name}.sql").read_bytes()


class OldDatabase:
    """The old database, open for reading: whoever reads from it does so under `translated`.

    Both databases are open at once, so that an error must be told where it happens whose it is.
    """

    def __init__(self, connection: AsyncConnection, variable: str) -> None:
        self.connection: Final = connection
        self._variable: Final = variable

    def translated(self) -> AbstractContextManager[None]:
        """Turn its errors into a DatabaseFault that names its variable."""
        return _translated(self._variable)


@asynccontextmanager
async def open_old_database(settings: Settings) -> AsyncIterator[OldDatabase]:
    """Connect for reading only, in one snapshot; times come in UTC and in ISO 8601.

    Raises:
        DatabaseFault: It refuses, or cannot answer.
    """
    with _translated(settings.old_variable):
        connection = await _connect(settings.old_database_url, settings.old_variable)
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        await connection.execute(read_sql("configure_reading"))
    try:
        yield OldDatabase(connection, settings.old_variable)
    finally:
        await connection.close()


@asynccontextmanager
async def open_our_database(settings: Settings) -> AsyncIterator[AsyncConnection]:
    """Connect and begin one transaction in our schema; whoever does not commit leaves everything as it was.

    Raises:
        DatabaseFault: It refuses, or cannot answer.
    """
    with _translated(DATABASE_URL):
        async with await _connect(settings.database_url, DATABASE_URL) as connection:
            search_path = sql.Identifier(settings.database_schema).as_string(connection)
            await connection.execute(job_sql.read_sql("configure_transaction"), {"search_path": search_path})
            yield connection
            # Leaving the connection would commit otherwise: what is to stay has been committed by then.
            await connection.rollback()


async def _connect(url: str, variable: str) -> AsyncConnection:
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The error would repeat the URL, password and all.
        raise DatabaseFault(f"{variable} is not a valid connection URL.") from None
    defaults: dict[str, Any] = {"application_name": "estimatesync-import", "connect_timeout": _CONNECT_SECONDS}
    try:
        return await AsyncConnection.connect(**(defaults | parameters), prepare_threshold=None)
    except UnicodeError:
        # Where a host name is looked up, and has two dots side by side, or a part that is too long.
        raise DatabaseFault(f"{variable} names a host that can have no address.") from None


@contextmanager
def _translated(variable: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise build_database_fault(error, variable=variable) from error
