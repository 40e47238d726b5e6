"""The two databases: connections to read from the old one and to work in ours, the old one's catalog, and errors."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from itertools import groupby
from typing import Any, Final

import psycopg
from estimatesync_job.adapters.database import begin, refuse_hindrances
from estimatesync_job.adapters.migrations import read_sql as read_sync_sql
from estimatesync_postgres.connection import FaultError, create_connection
from estimatesync_postgres.session import configure_transaction, say_how_to_begin
from psycopg import AsyncConnection, IsolationLevel

from estimatesync_import.core.errors import DatabaseFault
from estimatesync_import.core.old_schema import OldColumn, OldForeignKey, OldSchema, OldTable
from estimatesync_import.settings import DATABASE_URL, Databases

_VALUE_FAULTS: Final = frozenset({"22", "23"})
"""Classes of codes whose texts repeat values: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_HINTS: Final = {
    "42501": "grant USAGE on the schema and SELECT on the tables that the mapping names",
    "55P03": "another session holds a lock: try again",
    "57014": "it was cancelled or took too long: try again",
    "25006": "it is read-only: name the primary server",
    "53": "it lacks disk space, memory or connections",
}

_KEY_FIELDS: Final = OldForeignKey.__struct_fields__
"""In the order in which the statement names them."""


def read_sql(name: str) -> bytes:
    """Read this package's statement of this name."""
    return read_sync_sql(name, package="estimatesync_import")


class OldDatabase:
    """The old database, open for reading; every read from it belongs under `translated`.

    Both databases are open at once, so an error must be assigned to one of them where it happens.
    """

    def __init__(self, connection: AsyncConnection, variable: str) -> None:
        self.connection: Final = connection
        self._variable: Final = variable

    def translated(self) -> AbstractContextManager[None]:
        """Turn its errors into a DatabaseFault that names its variable."""
        return _translated(self._variable)


@asynccontextmanager
async def open_old_database(databases: Databases) -> AsyncIterator[OldDatabase]:
    """Connect for reading only, in one snapshot; times are returned in UTC and in ISO 8601.

    Raises:
        DatabaseFault: It refuses, or cannot answer.
    """
    with _translated(databases.old_variable):
        connection = await _connect(databases.old_url, databases.old_variable)
        await say_how_to_begin(connection, isolation=IsolationLevel.REPEATABLE_READ, is_read_only=True)
        await configure_transaction(connection, {})
    try:
        yield OldDatabase(connection, databases.old_variable)
    finally:
        await connection.close()


@asynccontextmanager
async def open_our_database(databases: Databases) -> AsyncIterator[AsyncConnection]:
    """Connect and begin one transaction in our schema; without a commit everything stays as it was.

    Raises:
        DatabaseFault: It refuses, or cannot answer.
    """
    with _translated(DATABASE_URL.name):
        async with await _connect(databases.url, DATABASE_URL.name) as connection:
            await say_how_to_begin(connection)
            await begin(connection, databases.schema)
            await refuse_hindrances(connection, databases.schema)
            yield connection
            # Leaving the connection would commit otherwise: what should stay has been committed by now.
            await connection.rollback()


async def _connect(url: str, variable: str) -> AsyncConnection:
    defaults: dict[str, Any] = {"application_name": "estimatesync-import"}
    return await create_connection(url, variable=variable, defaults=defaults, prepare_threshold=None)


@contextmanager
def _translated(variable: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise build_database_fault(error, variable=variable) from error


async def fetch_schema(database: OldDatabase) -> OldSchema:
    """Read every table and view but PostgreSQL's own, and the foreign keys of one column.

    Raises:
        DatabaseFault: It refuses, or cannot answer.
    """
    with database.translated():
        tables = await (await database.connection.execute(read_sql("read_columns"))).fetchall()
        keys = await (await database.connection.execute(read_sql("read_foreign_keys"))).fetchall()
    return OldSchema(
        tables=tuple(
            OldTable(
                schema=schema,
                name=name,
                is_readable=is_readable,
                is_ours=is_ours,
                primary_key=primary_key,
                columns=tuple(_build_column(*row[5:]) for row in rows),
            )
            for (schema, name, is_readable, is_ours, primary_key), rows in groupby(tables, key=lambda row: row[:5])
        ),
        foreign_keys=tuple(OldForeignKey(**dict(zip(_KEY_FIELDS, row, strict=True))) for row in keys),
    )


def _build_column(name: str, type_name: str, category: str, max_length: int | None, scale: int | None) -> OldColumn:
    return OldColumn(name=name, type=type_name, category=category, max_length=max_length, scale=scale)


def build_database_fault(error: psycopg.Error, *, variable: str) -> DatabaseFault:
    """Build the error, which names the database by its variable. A text without a code may hold a user's name."""
    if isinstance(error, FaultError):
        return DatabaseFault(f"The database in {variable} cannot be used: {error.fault.text}.")
    if error.sqlstate is None:
        return DatabaseFault(f"The database in {variable} broke the connection: try again.")
    hint = _HINTS.get(error.sqlstate) or _HINTS.get(error.sqlstate[:2])
    text = error.diag.message_primary or "no text"
    if error.sqlstate[:2] in _VALUE_FAULTS:
        place = [name for name in (error.diag.table_name, error.diag.column_name, error.diag.constraint_name) if name]
        text = f"a value in it cannot be used, code {error.sqlstate}" + (f" ({', '.join(place)})" if place else "")
    return DatabaseFault(f"The database in {variable} refuses: {text}" + (f" ({hint})." if hint else "."))
