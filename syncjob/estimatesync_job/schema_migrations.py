"""Brings the schema up to date; safe to run from two processes at once, and without rights where nothing is missing.

`database` calls it once per process. A database that is newer than this program is left alone: migrations only add.
"""

from typing import Final

from psycopg import AsyncConnection, sql

from estimatesync_job.sql_files import Migration, read_migrations, read_sql

_CREATE_SCHEMA: Final = sql.SQL("CREATE SCHEMA {}")


async def write_migrations(connection: AsyncConnection, *, schema: str, commit: bool = True) -> None:
    """Apply what is missing, in one transaction; `search_path` of each transaction must be the schema already.

    Without `commit` the transaction goes on, and what was applied is undone with it.

    Raises:
        psycopg.Error: Something is missing and this user may not create it.
    """
    if await _fetch_missing(connection):
        await connection.execute(read_sql("lock_migrations"), {"schema": schema})
        # PostgreSQL asks for the right to create a schema even where IF NOT EXISTS would do nothing.
        if not await _fetch_flag(connection, "find_schema", schema=schema):
            await connection.execute(_CREATE_SCHEMA.format(sql.Identifier(schema)))
        if not await _fetch_flag(connection, "find_version_table"):
            await connection.execute(read_sql("create_version_table"))
        for migration in await _fetch_missing(connection):
            await _apply(connection, migration)
    if commit:
        await connection.commit()


async def _fetch_missing(connection: AsyncConnection) -> tuple[Migration, ...]:
    applied: set[int] = set()
    if await _fetch_flag(connection, "find_version_table"):
        cursor = await connection.execute(read_sql("read_applied_versions"))
        applied = {version for (version,) in await cursor.fetchall()}
    return tuple(migration for migration in read_migrations() if migration.version not in applied)


async def _apply(connection: AsyncConnection, migration: Migration) -> None:
    await connection.execute(migration.sql)
    await connection.execute(read_sql("insert_version"), {"version": migration.version, "name": migration.name})


async def _fetch_flag(connection: AsyncConnection, statement: str, **parameters: str) -> bool:
    cursor = await connection.execute(read_sql(statement), parameters or None)
    row = await cursor.fetchone()
    return bool(row and row[0])
