"""Compares the old estimates with ours: reads the old ones as an import does, stages them, compares, undoes it all."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from estimatesync_import.catalog import fetch_schema
from estimatesync_import.comparison import (
    Comparison,
    build_comparison,
    build_counts,
    build_difference,
    build_examples,
    list_compared,
)
from estimatesync_import.connections import open_old_database, open_our_database, read_sql
from estimatesync_import.conversion import Conversion
from estimatesync_import.errors import MovingError
from estimatesync_import.mapping import Mapping
from estimatesync_import.old_rows import fetch_old_rows
from estimatesync_import.settings import Settings
from estimatesync_import.staging import Problems, StagingFigures, write_staging


class CompareReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; rows that cannot be read as ours were not compared."""

    label: str
    staged: StagingFigures
    problems: Problems
    comparison: Comparison


async def compare_rows(
    settings: Settings, mapping: Mapping, *, start: datetime | None, end: datetime | None, limit: int
) -> CompareReport:
    """Compare what was updated from `start` until before `end`.

    Raises:
        MovingError: There is nothing to compare with, or one of the databases refuses.
    """
    conversion = Conversion(mapping)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(open_our_database(settings))
        await _expect_tables(ours, settings.database_schema)
        old = await stack.enter_async_context(open_old_database(settings))
        rows = fetch_old_rows(old, mapping, conversion.names, await fetch_schema(old))
        staged, problems = await write_staging(ours, conversion, rows, limit=limit)
        await ours.execute(build_comparison(mapping, start=start, end=end))
        comparison = await _fetch_comparison(ours, list_compared(mapping), limit)
    return CompareReport(label=mapping.old.label, staged=staged, problems=problems, comparison=comparison)


async def _expect_tables(connection: AsyncConnection, schema: str) -> None:
    if not (await _fetch_row(await connection.execute(read_sql("find_estimates"))))[0]:
        raise MovingError(f"There are no estimates in schema {schema} yet: let a sync run first, or `run` an import.")


async def _fetch_comparison(connection: AsyncConnection, names: Sequence[str], limit: int) -> Comparison:
    states = await (await connection.execute(read_sql("read_states"))).fetchall()
    counts = await _fetch_row(await connection.execute(build_counts(names)))
    examples = await (await connection.execute(build_examples(names), {"limit": limit})).fetchall()
    return Comparison(
        states=dict(states),
        columns={name: count for name, count in zip(names, counts[::2], strict=False) if count},
        accepted={name: count for name, count in zip(names, counts[1::2], strict=False) if count},
        differences=tuple(build_difference(names, row) for row in examples),
    )


async def _fetch_row(cursor: Any) -> Sequence[Any]:  # noqa: ANN401 - psycopg's cursor of any row
    row: Sequence[Any] = await cursor.fetchone()
    return row
