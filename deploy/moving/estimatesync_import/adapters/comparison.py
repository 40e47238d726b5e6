"""Compares the old estimates with ours: reads the old ones as an import does, stages them, compares, and undoes it all.

A value is compared as the mapping says: ours is rounded or cut as the old column would have done, and may be allowed to
equal another column of ours instead.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection, sql

from estimatesync_import.adapters.databases import fetch_schema, open_old_database, open_our_database, read_sql
from estimatesync_import.adapters.merge import NEWEST, OURS
from estimatesync_import.adapters.staging import Problems, StagingFigures, fetch_old_rows, write_staging
from estimatesync_import.core.errors import MovingError
from estimatesync_import.core.mapping import IDENTITY, TARGET_NAMES, ColumnRule, Conversion, Mapping
from estimatesync_import.settings import Databases

ONLY_THEIRS: Final = "only theirs"
ONLY_OURS: Final = "only ours"
DIFFERENT: Final = "different"
EQUAL: Final = "equal"

_COMPARE: Final = sql.SQL("""
CREATE TEMPORARY TABLE comparison ON COMMIT DROP AS
WITH theirs AS ({newest}), ours AS ({ours}), both_sides AS (
    SELECT
        attic_tech_estimate_id,
        theirs.old_id,
        theirs.attic_tech_estimate_id IS NOT NULL AND ours.id IS NOT NULL AS is_on_both,
        {pairs}
    FROM theirs
    FULL JOIN ours USING (attic_tech_estimate_id)
    WHERE
        (theirs.at_updated_date IS NULL AND ours.at_updated_date IS NULL)
        OR (theirs.at_updated_date >= {start} AND theirs.at_updated_date < {end})
        OR (ours.at_updated_date >= {start} AND ours.at_updated_date < {end})
)
SELECT
    both_sides.*,
    CASE
        WHEN NOT is_on_both AND old_id IS NULL THEN 'only ours'
        WHEN NOT is_on_both THEN 'only theirs'
        WHEN {differs} THEN 'different'
        ELSE 'equal'
    END AS state
FROM both_sides
""")

_PAIR: Final = sql.SQL("""
        theirs.{name} AS {theirs},
        {ours_value} AS {ours},
        {verdict} AS {differs}""")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One estimate that is not the same on both sides.

    Attributes:
        identity: its id of Attic Tech.
        old_id: the id of its old row; None if it is only ours.
        state: one of the words above.
        columns: of those that differ: the name, their value and ours, as texts.
    """

    identity: int
    old_id: str | None
    state: str
    columns: tuple[tuple[str, str | None, str | None], ...]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How many estimates are in which state, in how many each column differs, and the first of them."""

    states: dict[str, int]
    columns: dict[str, int]
    accepted: dict[str, int]
    """By column: values that equal the other column of ours which the mapping allows."""
    differences: tuple[Difference, ...]

    @property
    def is_equal(self) -> bool:
        return not any(count for state, count in self.states.items() if state != EQUAL)


def list_compared(mapping: Mapping) -> tuple[str, ...]:
    """List the columns that are compared, in our order."""
    return tuple(
        name
        for name in TARGET_NAMES
        if name != IDENTITY and (rule := mapping.columns.get(name)) is not None and rule.compare
    )


def build_comparison(mapping: Mapping, *, start: datetime | None, end: datetime | None) -> sql.Composed:
    """Build the comparison of what was updated from `start` until before `end`, on either side; None: no bound."""
    names = list_compared(mapping)
    differs = [sql.Identifier(_differs(name)) for name in names]
    return _COMPARE.format(
        newest=NEWEST,
        ours=OURS,
        pairs=sql.SQL(",").join(_build_pair(name, mapping.columns[name]) for name in names) if names else sql.SQL("1"),
        start=sql.Literal(start or "-infinity"),
        end=sql.Literal(end or "infinity"),
        differs=sql.SQL(" = 1 OR ").join(differs) + sql.SQL(" = 1") if names else sql.SQL("false"),
    )


def _build_pair(name: str, rule: ColumnRule) -> sql.Composed:
    return _PAIR.format(
        name=sql.Identifier(name),
        ours_value=_build_ours(name, rule),
        theirs=sql.Identifier(f"theirs_{name}"),
        ours=sql.Identifier(f"ours_{name}"),
        differs=sql.Identifier(_differs(name)),
        verdict=_build_verdict(name, rule),
    )


def _build_verdict(name: str, rule: ColumnRule) -> sql.Composed:
    """0: equal; 1: different; 2: equal to the other column that the mapping allows."""
    also: sql.Composable = sql.SQL("")
    if rule.also is not None:
        also = sql.SQL("WHEN {} = {} THEN 2").format(sql.Identifier("theirs", name), _build_ours(rule.also, rule))
    return sql.SQL("CASE WHEN {theirs} IS NOT DISTINCT FROM {ours} THEN 0 {also} ELSE 1 END").format(
        theirs=sql.Identifier("theirs", name), ours=_build_ours(name, rule), also=also
    )


def _build_ours(name: str, rule: ColumnRule) -> sql.Composable:
    """Build our value as the old column would have kept it."""
    value = sql.Identifier("ours", name)
    if rule.round is not None:
        return sql.SQL("round({}, {})").format(value, sql.Literal(rule.round))
    if rule.cut is not None:
        return sql.SQL("btrim(left({}, {}))").format(value, sql.Literal(rule.cut))
    return value


def _differs(name: str) -> str:
    return f"differs_{name}"


def build_counts(names: Sequence[str]) -> sql.Composed:
    """Build the counts, for each column of estimates on both sides, of what differs and of what is allowed to."""
    counts = [
        sql.SQL(
            "count(*) FILTER (WHERE is_on_both AND {name} = 1), count(*) FILTER (WHERE is_on_both AND {name} = 2)"
        ).format(name=sql.Identifier(_differs(name)))
        for name in names
    ]
    return sql.SQL("SELECT {} FROM comparison").format(sql.SQL(", ").join(counts) if counts else sql.SQL("1"))


def build_examples(names: Sequence[str]) -> sql.Composed:
    """Build the query for the first estimates that are not equal, each value as a text."""
    values = [
        sql.SQL(", {}, {}::text, {}::text").format(
            sql.Identifier(_differs(name)), sql.Identifier(f"theirs_{name}"), sql.Identifier(f"ours_{name}")
        )
        for name in names
    ]
    return sql.SQL(
        "SELECT attic_tech_estimate_id, old_id, state{} FROM comparison WHERE state <> 'equal'"
        " ORDER BY attic_tech_estimate_id LIMIT %(limit)s"
    ).format(sql.SQL("").join(values))


def build_difference(names: Sequence[str], row: Sequence[object]) -> Difference:
    """Build a difference from one row of the examples."""
    identity, old_id, state, *values = row
    triples = zip(names, values[::3], values[1::3], values[2::3], strict=True)
    return msgspec.convert(
        {
            "identity": identity,
            "old_id": old_id,
            "state": state,
            "columns": [
                (name, theirs, ours) for name, verdict, theirs, ours in triples if state == DIFFERENT and verdict == 1
            ],
        },
        Difference,
    )


class CompareReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; rows that cannot be read as ours were not compared."""

    label: str
    staged: StagingFigures
    problems: Problems
    comparison: Comparison


async def compare_rows(
    databases: Databases, mapping: Mapping, *, start: datetime | None, end: datetime | None, limit: int
) -> CompareReport:
    """Compare what was updated from `start` until before `end`.

    Raises:
        MovingError: There is nothing to compare with, or one of the databases refuses.
    """
    conversion = Conversion(mapping)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(open_our_database(databases))
        await _expect_tables(ours, databases.schema)
        old = await stack.enter_async_context(open_old_database(databases))
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
