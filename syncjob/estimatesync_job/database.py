"""PostgreSQL: one connection, one transaction from the first staged row to the commit.

`sync` writes rows through it while pages arrive. Everything is set for the transaction alone and nothing is prepared,
so a pooler in transaction mode may stand in between.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

import psycopg
from estimatesync_contract.status import Results
from psycopg import AsyncClientCursor, AsyncConnection, AsyncCopy

from estimatesync_job.database_connection import ANSWER_SECONDS, answered, begin, connected, translated_errors
from estimatesync_job.ports import StoredRun, Transferred
from estimatesync_job.rows import Row
from estimatesync_job.schema_migrations import write_migrations
from estimatesync_job.settings import Settings
from estimatesync_job.sql_files import read_sql

_BEGIN_MERGE: Final = b";".join([
    read_sql(name) for name in ("lock_merge", "read_committed_run", "insert_missing_names")
])  # fmt: skip


class PostgresStore:
    """The tables of one schema, within one transaction."""

    def __init__(self, connection: AsyncConnection, settings: Settings, *, answer_seconds: float) -> None:
        self._connection: Final = connection
        self._settings: Final = settings
        self._copying: Final = AsyncExitStack()
        self._copy: AsyncCopy | None = None
        self._answer_seconds: Final = answer_seconds
        self._staged = 0

    async def fetch_committed_run(self) -> StoredRun | None:
        """Read what this sync has committed already.

        Raises:
            SyncError: DatabaseRefused or DatabaseUnavailable, as from every method.
        """
        with self._working():
            return await self._fetch_run("read_committed_run", sync_uid=self._settings.sync_uid)

    async def write_rows(self, rows: Sequence[Row]) -> None:
        """Stage rows, without waiting for the server: one COPY goes on until something else is asked of it."""
        with self._working():
            if self._copy is None:
                cursor = await self._copying.enter_async_context(self._connection.cursor())
                self._copy = await self._copying.enter_async_context(cursor.copy(read_sql("copy_staging")))
            for row in rows:
                await self._copy.write_row(row)
        self._staged += len(rows)

    async def write_changes(self, rows: Sequence[Row]) -> int:
        """Stage rows and count the estimates among them that no row staged before equals."""
        if not rows:
            return 0
        await self._end_copy()
        known = self._staged
        await self.write_rows(rows)
        await self._end_copy()
        with self._working():
            cursor = await self._connection.execute(read_sql("count_news"), {"known": known})
            row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def merge(self, transferred: Transferred) -> StoredRun:
        """Merge what is staged and commit; another process of the same sync that was faster has done it already."""
        await self._end_copy()
        with self._working():
            run = await self._begin_merge()
        if run is None:
            run = await self._merge(transferred)
        with translated_errors(self._settings.database_schema):
            try:
                with answered(self._connection, within=self._answer_seconds):
                    await self._commit()
            except psycopg.OperationalError as fault:
                await self._confirm(fault)
        return run

    async def _end_copy(self) -> None:
        self._copy = None
        with self._working():
            await self._copying.aclose()

    async def _begin_merge(self) -> StoredRun | None:
        """Take the lock, look for a run of this sync, and add missing names, all in one round trip."""
        cursor = AsyncClientCursor(self._connection)
        await cursor.execute(_BEGIN_MERGE, {"sync_uid": self._settings.sync_uid})
        cursor.nextset()
        return _build_run(await cursor.fetchone())

    async def _merge(self, transferred: Transferred) -> StoredRun:
        with self._working():
            run = await self._fetch_merged_run(transferred)
        if run is None:
            raise RuntimeError("the merge returned no counts")
        return run

    async def _fetch_merged_run(self, transferred: Transferred) -> StoredRun | None:
        return await self._fetch_run(
            "merge_estimates",
            sync_uid=self._settings.sync_uid,
            sync_name=self._settings.sync_id,
            start_date=self._settings.date_range.start,
            end_date=self._settings.date_range.end,
            total_fetched=transferred.records,
            complete_as_of=transferred.complete_as_of,
            skipped=transferred.skipped,
            skipped_ids=list(transferred.skipped_ids),
        )

    @contextmanager
    def _working(self) -> Iterator[None]:
        """One piece of work for the server, which has so long for it; its errors in our words."""
        with (
            translated_errors(self._settings.database_schema),
            answered(self._connection, within=self._answer_seconds),
        ):
            yield

    async def _commit(self) -> None:
        """Commit; to be told to stop now is too late, for nobody could say whether the rows are in."""
        commit = asyncio.ensure_future(self._connection.commit())
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError:
            await commit

    async def _confirm(self, fault: psycopg.OperationalError) -> None:
        """Find out over a new connection whether a commit without an answer took place; raise the fault if not.

        The old transaction holds the lock until it has ended, one way or the other.
        """
        within = self._answer_seconds
        async with connected(self._settings, answer_seconds=within) as connection:
            with answered(connection, within=within):
                await connection.execute(read_sql("lock_merge"))
                cursor = await connection.execute(read_sql("read_committed_run"), {"sync_uid": self._settings.sync_uid})
                is_stored = await cursor.fetchone() is not None
        if not is_stored:
            raise fault

    async def _fetch_run(self, statement: str, **parameters: object) -> StoredRun | None:
        cursor = await self._connection.execute(read_sql(statement), parameters)
        return _build_run(await cursor.fetchone())


def _build_run(row: tuple[Any, ...] | None) -> StoredRun | None:
    if row is None:
        return None
    fetched, new, updated, unchanged, skipped, processed, complete_as_of, skipped_ids = row
    results = Results(
        total_fetched=fetched,
        new_estimates=new,
        updated_estimates=updated,
        unchanged_estimates=unchanged,
        skipped_estimates=skipped,
        total_processed=processed,
    )
    return StoredRun(results=results, complete_as_of=complete_as_of, skipped_ids=tuple(skipped_ids))


@asynccontextmanager
async def open_postgres(settings: Settings, *, answer_seconds: float = ANSWER_SECONDS) -> AsyncIterator[PostgresStore]:
    """Connect, migrate and begin; leaving without a merge leaves the tables as they were.

    `answer_seconds` is how long the server may be silent about one piece of work.

    Raises:
        SyncError: ConfigurationInvalid, DatabaseRefused or DatabaseUnavailable.
    """
    with translated_errors(settings.database_schema):
        async with connected(settings, answer_seconds=answer_seconds) as connection:
            with answered(connection, within=answer_seconds):
                await write_migrations(connection, schema=settings.database_schema)
                await begin(connection, settings.database_schema)
                await connection.execute(read_sql("create_staging"))
            yield PostgresStore(connection, settings, answer_seconds=answer_seconds)
