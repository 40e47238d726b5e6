"""Reads the old rows, converts them, and stages them in our database; what cannot be a row is counted and named."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence

import msgspec
from estimatesync_job import sql_files as job_sql
from estimatesync_job.rows import Row
from psycopg import AsyncConnection, sql

from estimatesync_import.connections import read_sql
from estimatesync_import.conversion import Conversion, ValueProblem
from estimatesync_import.old_rows import OldRow
from estimatesync_import.targets import TARGET_NAMES

_COPY = sql.SQL("COPY staging ({columns}) FROM STDIN").format(
    columns=sql.SQL(", ").join(map(sql.Identifier, (*TARGET_NAMES, "old_id")))
)


class Problems:
    """Counts problems, and keeps the first so many of each sort."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.counts: Counter[tuple[str, str]] = Counter()
        self.shown: dict[tuple[str, str], list[str]] = {}
        self.broken_rows = 0
        self.nameless_rows = 0
        self.nameless_shown: list[str] = []

    def add(self, problems: Sequence[ValueProblem]) -> None:
        """Take in what is wrong with one row."""
        self.broken_rows += 1
        for problem in problems:
            sort = problem.column, problem.problem
            self.counts[sort] += 1
            ids = self.shown.setdefault(sort, [])
            if len(ids) < self._limit:
                ids.append(problem.old_id)

    def add_nameless(self, old_id: str) -> None:
        """Take in a row that names no estimate of Attic Tech."""
        self.nameless_rows += 1
        if len(self.nameless_shown) < self._limit:
            self.nameless_shown.append(old_id)


class StagingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What has been staged.

    Attributes:
        rows: in all.
        from_the_future: whose updatedAt lies ahead, which is likely to be a wrong time zone.
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
    await connection.execute(job_sql.read_sql("create_staging"))
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
