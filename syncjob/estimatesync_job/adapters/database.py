"""PostgreSQL: one connection, one transaction from the first staged row to the commit, and psycopg's errors as ours.

`transfer` stages rows through it while pages arrive, and `sync` merges them. Everything is set for the transaction
alone and nothing is prepared, so that a pooler in transaction mode may stand in between.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import msgspec
import psycopg
from estimatesync_contract.names import SYNC_TABLES
from estimatesync_contract.refused_login import RefusedLogin
from estimatesync_contract.result import ResultError
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import Results, UnshownFields, truncate_message
from estimatesync_postgres.connection import FaultError, SilenceError, create_connection, read_encoding, read_fault
from estimatesync_postgres.faults import build_hidden_rows, build_kept_out, build_view
from estimatesync_postgres.hindrances import FIND_HINDRANCES, Hindrances, build_hindrances, fetch_hindrances
from estimatesync_postgres.refused_login import READ_REFUSED_LOGIN, build_refused_login
from estimatesync_postgres.session import CONFIGURE, build_configuration, configure_transaction, say_how_to_begin
from psycopg import AsyncClientCursor, AsyncConnection, AsyncCopy, sql
from psycopg.errors import InsufficientPrivilege, LockNotAvailable, UndefinedColumn, UndefinedTable

from estimatesync_job.adapters.migrations import find_missing, read_sql, write_migrations
from estimatesync_job.core.base import MAX_WHOLE_AGE, MAX_WITNESSES, EarlierSync, compute_settings_digest
from estimatesync_job.core.database_errors import build_database_error
from estimatesync_job.core.deletions import CROSSED, MAX_MARKED, WITNESSES, Absent, Deletions
from estimatesync_job.core.errors import DatabaseUnavailableError
from estimatesync_job.core.ports import Staged, StoredRun, Transferred
from estimatesync_job.core.queries import OVERLAP
from estimatesync_job.core.rows import Rows
from estimatesync_job.core.unshown import RELATIONS, UnshownCounts
from estimatesync_job.settings import Settings

_WORK: Final[Mapping[str, str]] = {
    # A lock is waited for, but not forever.
    "lock_timeout": "60s",
    # The merge sorts and hashes some megabytes, which need not go to disk, and must not sort all estimates to find
    # their few names, as a planner would that knows no temporary table.
    "work_mem": "32MB",
    "enable_mergejoin": "off",
    # What such a planner takes for expensive is compiled, which takes longer than it saves.
    "jit": "off",
}

ANSWER_SECONDS: Final = 630.0
"""For one piece of work. Longer than the server lets the merge's statements take (`lock_merge`), so that its own rule
comes first: a server that is silent for this long has stopped, while its machine still keeps the connection open."""

FAILURE_SECONDS: Final = 2.0
"""For the record of a failed run, which nobody waits for: the failure itself is reported in any case."""

_SECONDS_BETWEEN_CONNECTS: Final = 1.0

_ROWS_AT_ONCE: Final = 100
"""Written together: the text of a whole page of large records would be in memory three times."""

_MIGRATION_SECONDS: Final = 540.0
"""How long syncs of an earlier version may keep a migration waiting; less than ANSWER_SECONDS."""

_WAIT_BRIEFLY: Final = "SET LOCAL lock_timeout = '900ms'"
"""Others queue behind who waits; and less than PostgreSQL waits before it looks for a deadlock, and ends somebody."""

_READS: Final = (
    CONFIGURE.encode(),
    FIND_HINDRANCES.encode(),
    read_sql("read_applied_versions", "read_committed_run"),
    READ_REFUSED_LOGIN.encode(),
)
_OPEN: Final = b";".join([*_READS, read_sql("create_staging")])
"""All that a sync asks before it logs in, in one message: the server may be far away."""

_OPEN_FOR_CHANGES: Final = b";".join([*_READS, read_sql("find_base", "create_staging")])

# The errors that psycopg raises say what it warns of as well; without a handler the warnings would bypass our log.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[AsyncConnection]:
    """Connect; no transaction has begun yet."""
    connection = await _create_connection_in_time(settings)
    try:
        yield connection
    finally:
        await connection.close()


async def _create_connection_in_time(settings: Settings) -> AsyncConnection:
    """Connect, and try again while a database that starts, fails over or is full may still become available."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.database_wait_seconds
    while True:
        try:
            with translated_errors(settings.database_schema):
                return await _create_connection(settings.database_url)
        except DatabaseUnavailableError:
            if loop.time() + _SECONDS_BETWEEN_CONNECTS > deadline:
                raise
        await asyncio.sleep(_SECONDS_BETWEEN_CONNECTS)


async def _create_connection(url: str) -> AsyncConnection:
    connection = await create_connection(url, prepare_threshold=None)
    await say_how_to_begin(connection)
    return connection


async def begin(connection: AsyncConnection, schema: str) -> None:
    """Configure a new transaction: the schema to work in, and how long to wait for what."""
    await configure_transaction(connection, _build_work(connection, schema))


def _build_work(connection: AsyncConnection, schema: str) -> Mapping[str, str]:
    return {"search_path": sql.Identifier(schema).as_string(connection), **_WORK}


async def refuse_hindrances(connection: AsyncConnection, schema: str) -> None:
    """Make sure that nothing stands between a sync and its tables.

    Raises:
        FaultError: A view is in the place of a table, or row-level security may hide rows from this user: they would
            count as missing, or their names be lost.
    """
    _refuse(await fetch_hindrances(connection, schema=schema, tables=SYNC_TABLES), schema)


def _refuse(found: Hindrances, schema: str) -> None:
    if found.views:
        raise FaultError(build_view(found.views[0], schema=schema))
    if found.hidden:
        raise FaultError(build_hidden_rows(found.hidden[0], schema=schema))


@contextmanager
def answered(connection: AsyncConnection, *, within: float) -> Iterator[None]:
    """Cut the connection if its server has not answered within so many seconds, which ends whatever waits for it.

    Raises:
        SilenceError: It was cut.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    timer = loop.call_at(deadline, _cut, connection)
    try:
        yield
    except psycopg.OperationalError as error:
        if loop.time() < deadline:
            raise
        raise SilenceError from error
    finally:
        timer.cancel()


def _cut(connection: AsyncConnection) -> None:
    """Shut the socket down as if the other end had, and leave it to libpq, which waits on it, to notice."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as connected_socket:
        connected_socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def translated_errors(schema: str) -> Iterator[None]:
    """Raise psycopg's errors as SyncErrors."""
    try:
        yield
    except psycopg.Error as error:
        raise build_database_error(read_fault(error, schema=schema)) from error


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables say as the transaction begins."""

    run: StoredRun | None
    refusal: RefusedLogin | None
    is_migrated: bool
    earlier: EarlierSync | None


class PostgresStore:
    """The EstimateStore: the tables of one schema, within one transaction."""

    def __init__(
        self, connection: AsyncConnection, settings: Settings, opening: Opening, *, answer_seconds: float
    ) -> None:
        self._connection: Final = connection
        self._settings: Final = settings
        self._opening: Final = opening
        self._copying: Final = AsyncExitStack()
        self._copy: AsyncCopy | None = None
        self._answer_seconds: Final = answer_seconds
        self._staged = 0

    @property
    def encoding(self) -> str:
        return read_encoding(self._connection)

    @property
    def staged(self) -> int:
        return self._staged

    async def fetch_committed_run(self) -> StoredRun | None:
        """Say what this sync had committed as the transaction began."""
        return self._opening.run

    async def fetch_earlier_sync(self) -> EarlierSync | None:
        """Say which sync was the newest that this one may rest on as the transaction began."""
        return self._opening.earlier

    async def fetch_refused_login(self) -> RefusedLogin | None:
        """Say what was the newest refusal of a login as the transaction began."""
        return self._opening.refusal

    async def write_refused_login(self, refusal: RefusedLogin) -> None:
        """Undo the transaction, and commit nothing but the refusal."""
        await self._end_copy()
        with self._working():
            await self._connection.rollback()
            await begin(self._connection, self._settings.database_schema)
            await self._connection.execute(read_sql("write_refused_login"), msgspec.structs.asdict(refusal))
            await self._connection.commit()

    async def write_failed_run(self, error: ResultError) -> None:
        """Undo the transaction, and commit nothing but why the run has failed."""
        schema, settings = self._settings.database_schema, self._settings
        parameters = {
            "sync_uid": settings.sync_uid,
            "sync_name": settings.sync_id,
            "start_date": settings.date_range.start,
            "end_date": settings.date_range.end,
            "reason": error.reason,
            "message": truncate_message(error.message),
        }
        with translated_errors(schema), answered(self._connection, within=FAILURE_SECONDS):
            self._copy = None
            await self._copying.aclose()
            await self._connection.rollback()
            await begin(self._connection, schema)
            await self._connection.execute(read_sql("write_failed_run"), parameters)
            await self._connection.execute(read_sql("delete_old_runs"))
            await self._connection.commit()

    async def write_rows(self, rows: Rows) -> None:
        """Stage rows, without waiting for the server: one COPY goes on until another method needs the connection."""
        with self._working():
            if self._copy is None:
                cursor = await self._copying.enter_async_context(self._connection.cursor())
                self._copy = await self._copying.enter_async_context(cursor.copy(read_sql("copy_staging")))
            for start in range(0, len(rows.packed), _ROWS_AT_ONCE):
                await self._copy.write(_format_rows(rows.packed[start : start + _ROWS_AT_ONCE]))
        self._staged += len(rows)

    async def count_changes(self, known: int) -> int:
        """Count the estimates staged later that no row staged before equals."""
        if self._staged == known:
            return 0
        await self._end_copy()
        with self._working():
            cursor = await self._connection.execute(read_sql("count_new_or_changed"), {"known": known})
            row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def finish_staging(self, *, hidden: Sequence[str], broken: Sequence[int]) -> Staged:
        """Drop what is staged of broken estimates and in older versions; count the rest, and what it does not show."""
        await self._end_copy()
        with self._working():
            if broken:
                await self._connection.execute(read_sql("delete_broken"), {"broken": list(broken)})
            cursor = await self._connection.execute(read_sql("delete_superseded", "count_staged"))
            cursor.nextset()
            estimates, partial = await cursor.fetchone() or (0, [])
            if not estimates or not (partial or hidden):
                return Staged(estimates=estimates)
            parameters = {"hidden": list(hidden), "relations": list(RELATIONS)}
            cursor = await self._connection.execute(read_sql("count_unshown"), parameters)
            counts: dict[str | None, int] = dict(await cursor.fetchall())
        columns = {name: count for name, count in counts.items() if name}
        unshown = UnshownCounts(estimates=counts.get(None, 0), columns=columns)
        return Staged(estimates=estimates, unshown=unshown, partial=tuple(partial))

    async def fetch_absent(self) -> Absent:
        """Compare what is stored as of the range with what is staged."""
        bounds = self._settings.day_bounds
        parameters = {
            "start": bounds.start,
            "end": bounds.end,
            "overlap": OVERLAP,
            "witnesses": WITNESSES,
            "max_marked": MAX_MARKED,
        }
        with self._working():
            cursor = await self._connection.execute(read_sql("read_absent"), parameters)
            estimates, absent, witnesses, marked = await cursor.fetchone() or (0, [], [], [])
        return Absent(estimates=estimates, ids=tuple(absent), witnesses=tuple(witnesses), marked=tuple(marked))

    async def merge(self, transferred: Transferred) -> StoredRun:
        """Merge what is staged and commit, unless another process of the same sync was faster."""
        await self._end_copy()
        with self._working():
            run = await self._begin_merge(transferred)
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

    async def _begin_merge(self, transferred: Transferred) -> StoredRun | None:
        """Take the lock, and say what this sync has stored; in the same message get ready to merge, and tidy up."""
        cursor = AsyncClientCursor(self._connection)
        parameters = {"sync_uid": self._settings.sync_uid, "hidden": list(transferred.hidden)}
        # What no estimate lost when it was counted, another sync may have stored since.
        keep = ["keep_unshown"] if transferred.unshown.estimates or transferred.hidden else []
        statements = ("lock_merge", "read_committed_run", *keep, "insert_missing_names", "delete_old_runs")
        await cursor.execute(read_sql(*statements), parameters)
        cursor.nextset()
        return _build_run(await cursor.fetchone())

    async def _merge(self, transferred: Transferred) -> StoredRun:
        with self._working():
            run = await self._fetch_merged_run(transferred)
            kept_out = await self._count_kept_out() + (run is None)
            if run is None or kept_out:
                raise FaultError(build_kept_out(kept_out, schema=self._settings.database_schema))
        return run

    async def _count_kept_out(self) -> int:
        """Count what a trigger, a rule or a view has dropped without a word: an incomplete merge is none."""
        parameters = {"sync_uid": self._settings.sync_uid}
        cursor = await self._connection.execute(read_sql("count_kept_out"), parameters)
        row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def _fetch_merged_run(self, transferred: Transferred) -> StoredRun | None:
        base = transferred.base
        deletions = transferred.deletions or Deletions()
        return await self._fetch_run(
            "merge_estimates",
            sync_uid=self._settings.sync_uid,
            sync_name=self._settings.sync_id,
            start_date=self._settings.date_range.start,
            end_date=self._settings.date_range.end,
            complete_as_of=transferred.complete_as_of,
            skipped=transferred.skipped,
            skipped_ids=list(transferred.skipped_ids),
            unshown=transferred.unshown.estimates,
            unshown_fields=list(transferred.unshown.fields),
            mode=(Mode.CHANGES if base else Mode.WHOLE).value,
            whole_because=transferred.whole_because,
            base_uid=base.uid if base else None,
            whole_uid=base.whole_uid if base else None,
            range_start=self._settings.day_bounds.start,
            range_end=self._settings.day_bounds.end,
            settings_digest=_compute_settings_digest(self._settings),
            highest_id=transferred.highest_id,
            ask_again=list(transferred.ask_again),
            witnesses=list(base.witnesses if base else ()),
            max_witnesses=MAX_WITNESSES,
            hidden_columns=list(base.hidden if base else transferred.hidden),
            no_base_because=transferred.no_base_because,
            marks_deletions=transferred.deletions is not None,
            gone=list(deletions.ids),
            shown=list(deletions.shown),
            overlap=OVERLAP,
            unmarked_because=deletions.unmarked_because,
            crossed_because=CROSSED,
        )

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Bound how long the server may take for one piece of work, and translate its errors."""
        with (
            translated_errors(self._settings.database_schema),
            answered(self._connection, within=self._answer_seconds),
        ):
            yield

    async def _commit(self) -> None:
        """Commit; a cancellation now comes too late, since it would leave open whether the rows are stored."""
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
        async with connected(self._settings) as connection:
            with answered(connection, within=within):
                await begin(connection, self._settings.database_schema)
                await connection.execute(read_sql("lock_merge"))
                cursor = await connection.execute(read_sql("read_committed_run"), {"sync_uid": self._settings.sync_uid})
                is_stored = await cursor.fetchone() is not None
        if not is_stored:
            raise fault

    async def _fetch_run(self, statement: str, **parameters: object) -> StoredRun | None:
        cursor = await self._connection.execute(read_sql(statement), parameters)
        return _build_run(await cursor.fetchone())


def _format_rows(packed_rows: Sequence[str]) -> bytes:
    """Write packed rows in COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html)."""
    return "".join([
        packed
        .replace("\\", "\\\\")
        .replace("\t", "\\t")
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\0", "\t")
        + "\n"
        for packed in packed_rows
    ]).encode()  # fmt: skip


def _build_run(row: tuple[Any, ...] | None) -> StoredRun | None:
    if row is None:
        return None
    fetched, new, updated, unchanged, skipped, unshown, processed, *others = row
    complete_as_of, skipped_ids, unshown_fields, previous, mode, whole_because, deleted, unmarked_because = others
    results = Results(
        total_fetched=fetched,
        new_estimates=new,
        updated_estimates=updated,
        unchanged_estimates=unchanged,
        skipped_estimates=skipped,
        total_processed=processed,
        previous_total_fetched=msgspec.UNSET if previous is None else previous,
        deleted_estimates=msgspec.UNSET if deleted is None else deleted,
    )
    return StoredRun(
        results=results,
        complete_as_of=complete_as_of,
        skipped_ids=tuple(skipped_ids),
        unshown=UnshownFields(estimates=unshown, fields=tuple(unshown_fields)) if unshown else None,
        mode=Mode(mode),
        whole_because=whole_because,
        unmarked_because=unmarked_because,
    )


def _build_earlier_sync(row: tuple[Any, ...]) -> EarlierSync:
    values = dict(zip(EarlierSync.__struct_fields__, row, strict=True))
    return EarlierSync(**values | {name: tuple(values[name]) for name in ("ask_again", "witnesses", "hidden")})


@asynccontextmanager
async def open_postgres(settings: Settings, *, answer_seconds: float = ANSWER_SECONDS) -> AsyncIterator[PostgresStore]:
    """Connect, migrate and begin; leaving without a merge leaves the tables as they were.

    `answer_seconds` is how long the server may be silent about one piece of work.

    Raises:
        SyncError: ConfigurationInvalid, DatabaseRefused or DatabaseUnavailable.
    """
    with translated_errors(settings.database_schema):
        async with connected(settings) as connection:
            with answered(connection, within=answer_seconds):
                opening = await _open_transaction(connection, settings)
            yield PostgresStore(connection, settings, opening, answer_seconds=answer_seconds)


async def _open_transaction(connection: AsyncConnection, settings: Settings) -> Opening:
    """Begin, and only where tables or columns are missing write them first: looking for them costs no message."""
    refused: InsufficientPrivilege | None = None
    try:
        opening = await _fetch_opening(connection, settings)
        if opening.is_migrated:
            return opening
    except (UndefinedTable, UndefinedColumn):
        pass
    except InsufficientPrivilege as error:
        refused = error
    await connection.rollback()
    await begin(connection, settings.database_schema)
    # A view without rights, or policies with row_security off, are what a missing right comes from.
    await refuse_hindrances(connection, settings.database_schema)
    if refused:
        raise refused
    await _migrate(connection, settings.database_schema)
    return await _fetch_opening(connection, settings)


async def _migrate(connection: AsyncConnection, schema: str) -> None:
    """Write what is missing, in short attempts: whoever waits for a lock on a table holds up all that come after it.

    A sync that is at work has read the tables, and keeps its locks to its end.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _MIGRATION_SECONDS
    while True:
        try:
            await connection.execute(_WAIT_BRIEFLY)
            await write_migrations(connection, schema=schema)
        except LockNotAvailable:
            if loop.time() > deadline:
                raise
        else:
            return
        await connection.rollback()
        await asyncio.sleep(_SECONDS_BETWEEN_CONNECTS)
        await begin(connection, schema)


async def _fetch_opening(connection: AsyncConnection, settings: Settings) -> Opening:
    """Begin a transaction with a table to stage in.

    Raises:
        FaultError: Something stands between the sync and its tables.
    """
    schema = settings.database_schema
    parameters = build_configuration(_build_work(connection, schema)) | {
        "schema": schema,
        "tables": list(SYNC_TABLES),
        "sync_uid": settings.sync_uid,
    }
    cursor = AsyncClientCursor(connection)
    if settings.mode is Mode.CHANGES:
        await cursor.execute(_OPEN_FOR_CHANGES, parameters | _build_base_parameters(settings))
    else:
        await cursor.execute(_OPEN, parameters)
    hindrances, versions, runs, refusals = [await _fetch_following(cursor) for _ in range(4)]
    earlier = await _fetch_following(cursor) if settings.mode is Mode.CHANGES else []
    _refuse(build_hindrances(hindrances), schema)
    return Opening(
        run=_build_run(next(iter(runs), None)),
        refusal=build_refused_login(refusals),
        is_migrated=not find_missing({version for (version,) in versions}),
        earlier=_build_earlier_sync(earlier[0]) if earlier else None,
    )


def _build_base_parameters(settings: Settings) -> dict[str, object]:
    return {
        "range_start": settings.day_bounds.start,
        "range_end": settings.day_bounds.end,
        "settings_digest": _compute_settings_digest(settings),
        "max_whole_age": MAX_WHOLE_AGE,
    }


def _compute_settings_digest(settings: Settings) -> str:
    return compute_settings_digest(
        url=settings.attic_tech_url, email=settings.attic_tech_email, selects_fields=settings.selects_fields
    )


async def _fetch_following(cursor: AsyncClientCursor[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    cursor.nextset()
    return await cursor.fetchall()
