"""Reads an old database's catalogue into values."""

from itertools import groupby
from typing import Final

from estimatesync_import.connections import OldDatabase, read_sql
from estimatesync_import.old_schema import OldColumn, OldForeignKey, OldSchema, OldTable

_KEY_FIELDS: Final = OldForeignKey.__struct_fields__
"""In the order in which the statement names them."""


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
