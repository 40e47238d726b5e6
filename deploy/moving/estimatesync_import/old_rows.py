"""Fetches the old rows: every mapped value as a text, its foreign keys followed, a batch at a time."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from psycopg import sql

from estimatesync_import.connections import OldDatabase
from estimatesync_import.errors import MappingError
from estimatesync_import.mapping import ColumnRule, Mapping
from estimatesync_import.old_schema import OldSchema, OldTable

_BATCH: Final = 2000

OldRow = tuple[str, Sequence[str | None]]
"""The id, and the values in the order that was asked for."""


def find_mapping_faults(mapping: Mapping, schema: OldSchema) -> list[str]:
    """What the mapping names and the old database does not have, or does not show to this user."""
    table = schema.find_table(mapping.old.schema, mapping.old.table)
    if table is None:
        return [f"the old database has no table {mapping.old.label}"]
    faults = [] if table.is_readable else [f"{table.label} may not be read: grant USAGE on its schema, SELECT on it"]
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
        return [f"{other.label} may not be read: grant USAGE on its schema, SELECT on it"]
    return [f"{other.label} has no column {name}" for name in (rule.key, rule.value) if other.find_column(name) is None]


def build_query(mapping: Mapping, names: Sequence[str]) -> sql.Composed:
    """Ask for the id and the mapped columns, as texts, in the order of the ids."""
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
        MappingError: The mapping names what is not there, or an id that not every row has.
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
