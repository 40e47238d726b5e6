"""Imports the old rows in one transaction, or finds out what an import would do and undoes it.

The same work either way, so that a plan cannot say anything else than the run then does.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import msgspec
from estimatesync_job import sql_files as job_sql
from estimatesync_job.schema_migrations import write_migrations
from psycopg import AsyncConnection, sql

from estimatesync_import.catalog import fetch_schema
from estimatesync_import.connections import open_old_database, open_our_database, read_sql
from estimatesync_import.conversion import Conversion
from estimatesync_import.decisions import build_decision, build_insert, build_update
from estimatesync_import.errors import MovingError
from estimatesync_import.mapping import Mapping
from estimatesync_import.old_rows import fetch_old_rows
from estimatesync_import.settings import Settings
from estimatesync_import.staging import Problems, StagingFigures, write_staging

UID_PREFIX: Final = "import:"
"""Begins `last_sync_uid` of a row that no sync has written since; the sync program's merge looks for it."""


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import has done, or would do; `actions` counts estimates by the words of `decisions`."""

    label: str
    staged: StagingFigures
    problems: Problems
    actions: dict[str, int]
    is_done: bool
    kept_ids: bool = False


async def import_rows(
    settings: Settings,
    mapping: Mapping,
    *,
    is_plan: bool,
    keep_ids: bool,
    skip_broken: bool,
    limit: int,
) -> ImportReport:
    """Import, unless it is only planned, or rows are broken and not to be skipped.

    Raises:
        MovingError: Nothing was changed.
    """
    conversion = Conversion(mapping)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(open_our_database(settings))
        await write_schema(ours, settings.database_schema)
        old = await stack.enter_async_context(open_old_database(settings))
        schema = await fetch_schema(old)
        rows = fetch_old_rows(old, mapping, conversion.names, schema)
        staged, problems = await write_staging(ours, conversion, rows, limit=limit)
        if not is_plan:
            # From here on until the end no sync merges: what is decided is still true when it is done.
            await ours.execute(job_sql.read_sql("lock_merge"))
        actions = await _decide(ours, conversion.names)
        if keep_ids:
            await _check_ids(ours)
        is_done = not is_plan and (skip_broken or not problems.broken_rows)
        if is_done:
            await _apply(ours, mapping, conversion.names, keep_ids=keep_ids)
            await ours.commit()
    return ImportReport(
        label=mapping.old.label,
        staged=staged,
        problems=problems,
        actions=actions,
        is_done=is_done,
        kept_ids=keep_ids,
    )


async def write_schema(connection: AsyncConnection, schema: str) -> None:
    """Bring our tables up to date, as the next sync would, in the transaction that is open.

    Raises:
        MovingError: The schema has tables of another program, likely the old ones.
    """
    foreign = await (await connection.execute(read_sql("find_foreign_tables"), {"schema": schema})).fetchall()
    if foreign:
        names = ", ".join(f"{schema}.{name}" for (name,) in foreign)
        raise MovingError(
            f"DATABASE_SCHEMA names the schema of another program's tables ({names}): choose another one."
        )
    await write_migrations(connection, schema=schema, commit=False)


async def _decide(connection: AsyncConnection, mapped: Sequence[str]) -> dict[str, int]:
    await connection.execute(build_decision(mapped))
    cursor = await connection.execute(read_sql("read_decisions"))
    return dict(await cursor.fetchall())


async def _check_ids(connection: AsyncConnection) -> None:
    row = await (await connection.execute(read_sql("find_taken_ids"))).fetchone()
    if row and row[0]:
        raise MovingError(
            f"{row[0]} old ids cannot be kept: they are no whole numbers, or an estimate of ours has that id already. "
            "Import before the first sync, or without --keep-ids: the table imported_estimate then says which is which."
        )


async def _apply(connection: AsyncConnection, mapping: Mapping, mapped: Sequence[str], *, keep_ids: bool) -> None:
    parameters = {"uid": f"{UID_PREFIX}{mapping.old.label}"}
    for statement in job_sql.read_sql("insert_missing_names").split(b";"):
        if statement.strip():
            await connection.execute(statement)
    inserted: sql.Composed = build_insert(keep_ids=keep_ids)
    await connection.execute(inserted, parameters)
    if keep_ids:
        await connection.execute(read_sql("advance_ids"))
    await connection.execute(build_update(mapped), parameters)
    await connection.execute(read_sql("create_id_map"))
    await connection.execute(read_sql("write_id_map"), {"old_table": mapping.old.label})
