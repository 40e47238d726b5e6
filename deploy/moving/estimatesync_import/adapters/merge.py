"""Imports the staged rows in one transaction, or finds out what an import would do and undoes it.

The work is the same either way, so that a plan cannot differ from what the run then does. For each estimate the import
decides, and acts on that:

new        we do not have it
changed    ours came from an import and is not newer, or is older by Attic Tech's updatedAt
kept       it differs, but ours is newer, or as new and from a sync
unchanged  every mapped column is equal

Only mapped columns are compared and written: what the old table does not have stays as it is. The statements are
composed from identifiers and literals, never from pieces of text.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import msgspec
from estimatesync_job.adapters.migrations import read_sql as read_sync_sql
from estimatesync_job.adapters.migrations import write_migrations
from psycopg import AsyncConnection, sql

from estimatesync_import.adapters.databases import fetch_schema, open_old_database, open_our_database, read_sql
from estimatesync_import.adapters.staging import Problems, StagingFigures, fetch_old_rows, write_staging
from estimatesync_import.core.errors import MovingError
from estimatesync_import.core.mapping import IDENTITY, TARGET_NAMES, Conversion, Mapping
from estimatesync_import.settings import Databases

UID_PREFIX: Final = "import:"
"""Begins `last_sync_uid` of a row that no sync has written since; the sync program's merge checks for it."""

RELATIONS: Final = {"branch_name": "branch", "sales_person_name": "sales_person", "status_name": "estimate_status"}
"""Our columns that are names of other rows, and the tables of those."""
_ID_COLUMNS: Final = {"branch_name": "branch_id", "sales_person_name": "sales_person_id", "status_name": "status_id"}

OURS: Final = sql.SQL("""
    SELECT estimate.*, branch.name AS branch_name, sales_person.name AS sales_person_name,
        estimate_status.name AS status_name
    FROM estimate
    LEFT JOIN branch ON branch.id = estimate.branch_id
    LEFT JOIN sales_person ON sales_person.id = estimate.sales_person_id
    LEFT JOIN estimate_status ON estimate_status.id = estimate.status_id
""")
"""Our estimates with the names that their keys lead to."""

NEWEST: Final = sql.SQL("""
    SELECT DISTINCT ON (attic_tech_estimate_id) *
    FROM staging
    ORDER BY attic_tech_estimate_id, at_updated_date DESC NULLS LAST, arrival DESC
""")
"""Of an estimate that more than one old row holds, the newest counts, and of equally new ones the last."""

_DECIDE: Final = sql.SQL("""
CREATE TEMPORARY TABLE decision ON COMMIT DROP AS
WITH newest AS ({newest}), ours AS ({ours})
SELECT
    newest.*,
    CASE
        WHEN ours.id IS NULL THEN 'new'
        WHEN ({ours_values}) IS NOT DISTINCT FROM ({their_values}) THEN 'unchanged'
        WHEN newest.at_updated_date > ours.at_updated_date THEN 'changed'
        WHEN
            starts_with(ours.last_sync_uid, 'import:')
            AND (newest.at_updated_date < ours.at_updated_date) IS NOT TRUE
            THEN 'changed'
        ELSE 'kept'
    END AS action
FROM newest
LEFT JOIN ours USING (attic_tech_estimate_id)
""")

_INSERT: Final = sql.SQL("""
INSERT INTO estimate ({id_column} {columns}, first_synced_at, last_synced_at, first_sync_uid, last_sync_uid)
{overriding}
SELECT {id_value} {values}, statement_timestamp(), statement_timestamp(), %(uid)s, %(uid)s
FROM decision
{joins}
WHERE action = 'new'
""")

_UPDATE: Final = sql.SQL("""
UPDATE estimate
SET {assignments}, last_synced_at = statement_timestamp(), last_sync_uid = %(uid)s
FROM decision
{joins}
WHERE action = 'changed' AND estimate.attic_tech_estimate_id = decision.attic_tech_estimate_id
""")


def build_decision(mapped: Sequence[str]) -> sql.Composed:
    """Build the statement that decides about each staged estimate, by the mapped columns."""
    columns = [name for name in mapped if name != IDENTITY] or [IDENTITY]
    return _DECIDE.format(
        newest=NEWEST,
        ours=OURS,
        ours_values=_build_row("ours", columns),
        their_values=_build_row("newest", columns),
    )


def _build_row(table: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL("ROW ({})").format(sql.SQL(", ").join(sql.Identifier(table, name) for name in columns))


def build_insert(*, keep_ids: bool) -> sql.Composed:
    """Build the statement that inserts what is new; `keep_ids` gives each estimate the id of its old row."""
    return _INSERT.format(
        id_column=sql.SQL("id,") if keep_ids else sql.SQL(""),
        id_value=sql.SQL("decision.old_id::bigint,") if keep_ids else sql.SQL(""),
        overriding=sql.SQL("OVERRIDING SYSTEM VALUE") if keep_ids else sql.SQL(""),
        columns=sql.SQL(", ").join(sql.Identifier(_ID_COLUMNS.get(name, name)) for name in TARGET_NAMES),
        values=sql.SQL(", ").join(_build_source(name) for name in TARGET_NAMES),
        joins=_build_joins(TARGET_NAMES),
    )


def build_update(mapped: Sequence[str]) -> sql.Composed:
    """Build the statement that writes the mapped columns of what has changed."""
    columns = [name for name in mapped if name != IDENTITY] or [IDENTITY]
    assignments = [
        sql.SQL("{} = {}").format(sql.Identifier(_ID_COLUMNS.get(name, name)), _build_source(name)) for name in columns
    ]
    return _UPDATE.format(assignments=sql.SQL(", ").join(assignments), joins=_build_joins(columns))


def _build_source(name: str) -> sql.Identifier:
    return sql.Identifier(RELATIONS[name], "id") if name in RELATIONS else sql.Identifier("decision", name)


def _build_joins(columns: Sequence[str]) -> sql.Composable:
    joins = [
        sql.SQL("LEFT JOIN {table} ON {name} = {value}").format(
            table=sql.Identifier(table),
            name=sql.Identifier(table, "name"),
            value=sql.Identifier("decision", column),
        )
        for column, table in RELATIONS.items()
        if column in columns
    ]
    return sql.SQL("\n").join(joins)


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import has done, or would do; `actions` counts estimates by what was decided."""

    label: str
    staged: StagingFigures
    problems: Problems
    actions: dict[str, int]
    is_done: bool
    kept_ids: bool = False


async def import_rows(
    databases: Databases,
    mapping: Mapping,
    *,
    is_plan: bool,
    keep_ids: bool,
    skip_broken: bool,
    limit: int,
) -> ImportReport:
    """Import, unless this is only a plan, or rows are broken and not to be skipped.

    Raises:
        MovingError: Nothing was changed.
    """
    conversion = Conversion(mapping)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(open_our_database(databases))
        await write_schema(ours, databases.schema)
        old = await stack.enter_async_context(open_old_database(databases))
        schema = await fetch_schema(old)
        rows = fetch_old_rows(old, mapping, conversion.names, schema)
        staged, problems = await write_staging(ours, conversion, rows, limit=limit)
        if not is_plan:
            # From here to the end no sync merges: what is decided stays true until it is done.
            await ours.execute(read_sync_sql("lock_merge"))
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
            f"DATABASE_SCHEMA names the schema of another program's tables ({names}): choose a different one."
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
            f"{row[0]} old ids cannot be kept: they are not whole numbers, or an estimate of ours has that id already. "
            "Import before the first sync, or without --keep-ids: the table imported_estimate then says which is which."
        )


async def _apply(connection: AsyncConnection, mapping: Mapping, mapped: Sequence[str], *, keep_ids: bool) -> None:
    parameters = {"uid": f"{UID_PREFIX}{mapping.old.label}"}
    for statement in read_sync_sql("insert_missing_names").split(b";"):
        if statement.strip():
            await connection.execute(statement)
    inserted: sql.Composed = build_insert(keep_ids=keep_ids)
    await connection.execute(inserted, parameters)
    if keep_ids:
        await connection.execute(read_sql("advance_ids"))
    await connection.execute(build_update(mapped), parameters)
    await connection.execute(read_sql("refuse_bases"))
    await connection.execute(read_sql("create_id_map"))
    await connection.execute(read_sql("write_id_map"), {"old_table": mapping.old.label})
