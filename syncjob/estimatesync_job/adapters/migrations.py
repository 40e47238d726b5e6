"""The SQL of a package, kept in .sql files: statements that are read by name, and migrations that are applied in order.

Any package may bring its tables up to date with `write_migrations`. It needs, next to its code:

- `migrations/<version>_<name>.sql`, such as `0001_estimates.sql`: applied once each, lowest version first. A migration
  that has been released is never edited or renamed.
- `sql/lock_migrations.sql`, which takes an advisory lock of the transaction, and may use `%(schema)s`. It never
  changes, so that two versions of a program exclude each other;
- `sql/find_version_table.sql`, which returns whether the table of applied versions exists in the search path;
  `sql/create_version_table.sql`; `sql/read_applied_versions.sql`, which returns one version a row; and
  `sql/insert_version.sql`, which gets `%(version)s` and `%(name)s`. So each package keeps the table that it has.
"""

from collections.abc import Collection
from importlib.resources import files
from typing import Final

import msgspec
from estimatesync_postgres.connection import FaultError, read_encoding
from estimatesync_postgres.faults import build_incomplete_encoding
from estimatesync_postgres.text_encodings import COMPLETE
from psycopg import AsyncConnection, sql

_THIS_PACKAGE: Final = "estimatesync_job"
_CREATE_SCHEMA: Final = sql.SQL("CREATE SCHEMA {}")


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the schema; versions are applied in order, each once."""

    version: int
    name: str
    sql: bytes


def read_sql(*names: str, package: str = _THIS_PACKAGE) -> bytes:
    """Read the statements of these names, to be sent in one message."""
    return b";".join((files(package) / "sql" / f"{name}.sql").read_bytes() for name in names)


def read_migrations(package: str = _THIS_PACKAGE) -> tuple[Migration, ...]:
    """Read every migration, oldest first."""
    found = [entry for entry in (files(package) / "migrations").iterdir() if entry.name.endswith(".sql")]
    migrations = [_build_migration(entry.name.removesuffix(".sql"), entry.read_bytes()) for entry in found]
    return tuple(sorted(migrations, key=lambda migration: migration.version))


def _build_migration(file_name: str, sql: bytes) -> Migration:
    version, _, name = file_name.partition("_")
    return Migration(version=int(version), name=name, sql=sql)


async def write_migrations(
    connection: AsyncConnection, *, schema: str, package: str = _THIS_PACKAGE, commit: bool = True
) -> None:
    """Apply what is missing, in one transaction.

    Safe to run from two processes at once: the second waits for the first. Where nothing is missing, no right is
    needed. A database that is newer than this program is left alone, because migrations only add.

    Args:
        connection: the `search_path` of each of its transactions must be the schema already, existing or not, unless
            the package's SQL names the schema everywhere.
        schema: created where it is missing.
        package: whose migrations to apply.
        commit: without it the transaction goes on, and a rollback undoes what was applied.

    Raises:
        psycopg.Error: Something is missing and this user may not create it; or all is, in a database whose encoding
            cannot hold every text.
    """
    if missing := await _fetch_missing(connection, package):
        if len(missing) == len(read_migrations(package)):
            _refuse_incomplete_encoding(connection)
        await connection.execute(read_sql("lock_migrations", package=package), {"schema": schema})
        # PostgreSQL asks for the right to create a schema even where IF NOT EXISTS would do nothing.
        if not await _fetch_flag(connection, read_sql("find_schema"), schema=schema):
            await connection.execute(_CREATE_SCHEMA.format(sql.Identifier(schema)))
        if not await _fetch_flag(connection, read_sql("find_version_table", package=package)):
            await connection.execute(read_sql("create_version_table", package=package))
        for migration in await _fetch_missing(connection, package):
            await _apply(connection, migration, package)
    if commit:
        await connection.commit()


def _refuse_incomplete_encoding(connection: AsyncConnection) -> None:
    if (encoding := read_encoding(connection)) not in COMPLETE:
        raise FaultError(build_incomplete_encoding(encoding))


async def _fetch_missing(connection: AsyncConnection, package: str) -> tuple[Migration, ...]:
    applied: set[int] = set()
    if await _fetch_flag(connection, read_sql("find_version_table", package=package)):
        cursor = await connection.execute(read_sql("read_applied_versions", package=package))
        applied = {version for (version,) in await cursor.fetchall()}
    return find_missing(applied, package)


def find_missing(applied: Collection[int], package: str = _THIS_PACKAGE) -> tuple[Migration, ...]:
    """Find the migrations whose versions have not been applied."""
    return tuple(migration for migration in read_migrations(package) if migration.version not in applied)


async def _apply(connection: AsyncConnection, migration: Migration, package: str) -> None:
    await connection.execute(migration.sql)
    insert = read_sql("insert_version", package=package)
    await connection.execute(insert, {"version": migration.version, "name": migration.name})


async def _fetch_flag(connection: AsyncConnection, statement: bytes, **parameters: str) -> bool:
    cursor = await connection.execute(statement, parameters or None)
    row = await cursor.fetchone()
    return bool(row and row[0])
