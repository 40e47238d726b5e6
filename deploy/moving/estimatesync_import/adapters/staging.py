"""Fetches the old rows, converts them, and stages them in our database; what cannot be a row is counted and named.

The old database gives every mapped value as a text, with foreign keys followed, a batch at a time.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from estimatesync_job.adapters.migrations import read_sql as read_sync_sql
from estimatesync_job.core.rows import Row
from psycopg import AsyncConnection, sql

from estimatesync_import.adapters.databases import OldDatabase, read_sql
from estimatesync_import.core.errors import MappingError
from estimatesync_import.core.mapping import TARGET_NAMES, ColumnRule, Conversion, Mapping, ValueProblem
from estimatesync_import.core.old_schema import OldSchema, OldTable

_BATCH: Final = 2000

OldRow = tuple[str, Sequence[str | None]]
"""The id, and the values in the order of the requested names."""

_COPY = sql.SQL("COPY staging ({columns}) FROM STDIN").format(
    columns=sql.SQL(", ").join(map(sql.Identifier, (*TARGET_NAMES, "old_id")))
)


def find_mapping_faults(mapping: Mapping, schema: OldSchema) -> list[str]:
    """Find what the mapping names and the old database does not have, or does not show to this user."""
    table = schema.find_table(mapping.old.schema, mapping.old.table)
    if table is None:
        return [f"the old database has no table {mapping.old.label}"]
    faults = [] if table.is_readable else [f"{table.label} cannot be read: grant USAGE on its schema, SELECT on it"]
    if table.find_column(mapping.old.id) is None:
        faults.append(f"old.id: {table.label} has no column {mapping.old.id}")
    for name, rule in mapping.columns.items():
        faults.extend(f"columns.{name}: {fault}" for fault in _find_rule_faults(rule, table, schema))
    return faults


def _find_rule_faults(rule: ColumnRule, table: OldTable, schema: OldSchema) -> list[str]:
    if table.find_column(rule.column) is None:
        return [f"{table.label} has no column {rule.column}"]
    if rule.table is None:
        return []
    other = schema.find_table(rule.schema or table.schema, rule.table)
    if other is None:
        return [f"there is no table {rule.schema or table.schema}.{rule.table}"]
    if not other.is_readable:
        return [f"{other.label} cannot be read: grant USAGE on its schema, SELECT on it"]
    return [f"{other.label} has no column {name}" for name in (rule.key, rule.value) if other.find_column(name) is None]


def build_query(mapping: Mapping, names: Sequence[str]) -> sql.Composed:
    """Build the query for the id and the mapped columns, as texts, in the order of the ids."""
    rules = [(sql.Identifier(f"r{number}"), mapping.columns[name]) for number, name in enumerate(names)]
    identity = sql.Identifier("o", mapping.old.id)
    # A scalar subquery, not a join: a key that is not unique in the other table must not double a row.
    return sql.SQL("SELECT {id}::text, {values} FROM {table} AS o ORDER BY {id}").format(
        id=identity,
        values=sql.SQL(", ").join(_build_value(mapping, alias, rule) for alias, rule in rules),
        table=sql.Identifier(mapping.old.schema, mapping.old.table),
    )


def _build_value(mapping: Mapping, alias: sql.Identifier, rule: ColumnRule) -> sql.Composable:
    own = sql.Identifier("o", rule.column)
    if rule.table is None:
        return sql.SQL("{}::text").format(own)
    return sql.SQL("(SELECT {alias}.{value}::text FROM {table} AS {alias} WHERE {alias}.{key} = {own} LIMIT 1)").format(
        alias=alias,
        value=sql.Identifier(rule.value),
        table=sql.Identifier(rule.schema or mapping.old.schema, rule.table),
        key=sql.Identifier(rule.key),
        own=own,
    )


async def fetch_old_rows(
    database: OldDatabase, mapping: Mapping, names: Sequence[str], schema: OldSchema
) -> AsyncIterator[OldRow]:
    """Fetch all rows, without ever holding more than a batch.

    Raises:
        MappingError: The mapping names what does not exist, or an id that not every row has.
        DatabaseFault: The old database refuses, or cannot answer.
    """
    if faults := find_mapping_faults(mapping, schema):
        raise MappingError(faults)
    with database.translated():
        async with database.connection.cursor("old_rows") as cursor:
            cursor.itersize = _BATCH
            await cursor.execute(build_query(mapping, names))
            async for old_id, *values in cursor:
                if old_id is None:
                    raise MappingError([f"old.id: {mapping.old.id} is empty in some rows of {mapping.old.label}"])
                yield old_id, values


class Problems:
    """Counts problems, and keeps the first ones of each kind, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.counts: Counter[tuple[str, str]] = Counter()
        self.shown: dict[tuple[str, str], list[str]] = {}
        self.broken_rows = 0
        self.nameless_rows = 0
        self.nameless_shown: list[str] = []

    def add(self, problems: Sequence[ValueProblem]) -> None:
        """Add what is wrong with one row."""
        self.broken_rows += 1
        for problem in problems:
            sort = problem.column, problem.problem
            self.counts[sort] += 1
            ids = self.shown.setdefault(sort, [])
            if len(ids) < self._limit:
                ids.append(problem.old_id)

    def add_nameless(self, old_id: str) -> None:
        """Add a row that names no estimate of Attic Tech."""
        self.nameless_rows += 1
        if len(self.nameless_shown) < self._limit:
            self.nameless_shown.append(old_id)


class StagingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What has been staged.

    Attributes:
        rows: in all.
        from_the_future: whose updatedAt lies ahead, which suggests a wrong time zone.
        repeated: estimates that more than one old row holds.
        surplus: rows beyond the first of each of them.
        examples: some of them: the estimate, and its old ids, the one that counts first.
    """

    rows: int
    from_the_future: int
    repeated: int
    surplus: int
    examples: tuple[tuple[int, tuple[str, ...]], ...]


async def write_staging(
    connection: AsyncConnection, conversion: Conversion, rows: AsyncIterator[OldRow], *, limit: int
) -> tuple[StagingFigures, Problems]:
    """Stage every row that can be one of ours."""
    problems = Problems(limit)
    await connection.execute(read_sync_sql("create_staging"))
    await connection.execute("ALTER TABLE staging ADD COLUMN old_id text NOT NULL")
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        async for old_id, values in rows:
            if not conversion.has_identity(values):
                problems.add_nameless(old_id)
                continue
            row = conversion.build_row(old_id, values)
            if isinstance(row, Row):
                await copy.write_row((*row, old_id))
            else:
                problems.add(row)
    await connection.execute("ANALYZE staging")
    return await _fetch_figures(connection, limit), problems


async def _fetch_figures(connection: AsyncConnection, limit: int) -> StagingFigures:
    cursor = await connection.execute(read_sql("read_staging_figures"), {"limit": limit})
    rows, future, repeated, surplus, examples = await cursor.fetchone() or (0, 0, 0, 0, [])
    return StagingFigures(
        rows=rows,
        from_the_future=future,
        repeated=repeated,
        surplus=surplus,
        examples=tuple((identity, tuple(old_ids)) for identity, old_ids in examples),
    )
