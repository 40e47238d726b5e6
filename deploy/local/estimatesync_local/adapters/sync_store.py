"""The table of syncs in PostgreSQL: statements and rows, for the two stores in `stores.py`.

Raises psycopg's own errors; what they mean to the API and to the reconciler is the stores' business.

The two sides of the table of syncs: the API's store and the reconciler's, each in its caller's terms.

They run in different processes and meet only in the database.

Hears from PostgreSQL which syncs were added or changed, so that the reconciler need not ask all the time.

A lost notification only delays: the supervisor looks at everything now and then anyway, and whenever this connects.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString

import estimatesync_api.ports as api_ports
import estimatesync_operator.ports as operator_ports
import msgspec
import psycopg
from estimatesync_api.listing import SyncPage, SyncQuery, build_page, may_be_joined
from estimatesync_api.ports import LogMark, LogPart
from estimatesync_contract.estimate_sync import (
    EstimateSync,
    MalformedSyncError,
    parse_estimate_sync,
    to_object,
)
from estimatesync_contract.names import ANNOTATION_REDELIVER, build_job_name
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import EstimateSyncStatus
from psycopg.rows import DictRow

from estimatesync_local.adapters.database import LastingConnection
from estimatesync_local.adapters.job_files import read_run_part, read_run_tails

_INSERT: Final = """
INSERT INTO estimatesync_local.sync (name, labels, annotations, spec)
VALUES (%(name)s, %(labels)s::jsonb, %(annotations)s::jsonb, %(spec)s::jsonb) RETURNING *
"""
_SELECT: Final = "SELECT * FROM estimatesync_local.sync WHERE name = %(name)s"
_SELECT_UNFINISHED: Final = """
SELECT * FROM estimatesync_local.sync WHERE phase IS NULL OR phase IN ('Queued', 'Running') ORDER BY created_at, name
"""
_SELECT_NEWEST: Final = """
SELECT * FROM estimatesync_local.sync
WHERE coalesce(phase, 'Queued') = ANY(%(phases)s)
  AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR created_at < %(until)s)
  AND (%(after_name)s::text IS NULL OR (created_at, name) < (%(after_time)s::timestamptz, %(after_name)s))
ORDER BY created_at DESC, name DESC LIMIT %(limit)s
"""
_SELECT_UNFINISHED_NAMES: Final = """
SELECT name FROM estimatesync_local.sync
WHERE name = ANY(%(names)s) AND coalesce(phase, 'Queued') IN ('Queued', 'Running')
"""
_SELECT_BY_DAYS: Final = """
SELECT * FROM estimatesync_local.sync
WHERE (phase IS NULL OR phase IN ('Queued', 'Running')) AND spec -> 'dateRange' = %(days)s::jsonb
ORDER BY created_at DESC, name DESC
"""
_CANCEL: Final = """
UPDATE estimatesync_local.sync SET spec = spec || '{"cancel": true}' WHERE name = %(name)s RETURNING *
"""
_ANNOTATE: Final = """
UPDATE estimatesync_local.sync SET annotations = annotations || %(annotations)s::jsonb WHERE name = %(name)s RETURNING *
"""
_SELECT_NAMES: Final = "SELECT name, uid::text FROM estimatesync_local.sync ORDER BY created_at, name"
_UPDATE_STATUS: Final = """
UPDATE estimatesync_local.sync SET status = %(status)s::jsonb
WHERE name = %(name)s AND uid = %(uid)s::uuid AND resource_version = %(resource_version)s RETURNING *
"""
_DELETE: Final = "DELETE FROM estimatesync_local.sync WHERE name = %(name)s AND uid = %(uid)s::uuid"
_CHECK: Final = "SELECT FROM estimatesync_local.sync LIMIT 1"


class SyncTable:
    """Reads and writes rows as syncs.

    Every call raises psycopg.Error or TimeoutError when the database does not answer, or refuses.
    """

    def __init__(self, database_url: str) -> None:
        """Connect when there is something to do."""
        self._connection = LastingConnection(database_url)

    async def close(self) -> None:
        """Let go of the database."""
        await self._connection.close()

    async def check(self) -> None:
        """Make sure that the table can be read."""
        async with self._connection.using() as connection:
            await connection.execute(_CHECK)

    async def insert(self, sync: EstimateSync) -> EstimateSync:
        """Add a row without a status.

        Raises:
            psycopg.errors.UniqueViolation: The name is taken.
            psycopg.DataError, psycopg.IntegrityError: The row cannot be stored as it is.
        """
        values = {
            "name": sync.name,
            "labels": _format(sync.metadata.labels),
            "annotations": _format(sync.metadata.annotations),
            "spec": _format(sync.spec),
        }
        async with self._connection.using() as connection:
            row = await (await connection.execute(_INSERT, values)).fetchone()
        if row is None:
            raise psycopg.DataError("the database stored no row")
        return map_row(row)

    async def select(self, name: str) -> EstimateSync | None:
        """Read one row."""
        if "\0" in name:
            # PostgreSQL knows no such text, so no row can have it.
            return None
        async with self._connection.using() as connection:
            row = await (await connection.execute(_SELECT, {"name": name})).fetchone()
        return None if row is None else map_row(row)

    async def select_unfinished(self) -> tuple[EstimateSync, ...]:
        """Read the rows without a final phase, the oldest first."""
        async with self._connection.using() as connection:
            rows = await (await connection.execute(_SELECT_UNFINISHED)).fetchall()
        return tuple(map_row(row) for row in rows)

    async def select_newest(self, query: SyncQuery) -> tuple[EstimateSync, ...]:
        """Read the rows that are asked for, newest first, and one more than the limit if there are more."""
        values = {
            "phases": sorted(query.phases),
            "since": query.since,
            "until": query.until,
            "after_time": query.after.created_at if query.after else None,
            "after_name": query.after.name if query.after else None,
            "limit": query.limit + 1,
        }
        async with self._connection.using() as connection:
            rows = await (await connection.execute(_SELECT_NEWEST, values)).fetchall()
        return tuple(map_row(row) for row in rows)

    async def select_unfinished_names(self, names: Collection[str]) -> frozenset[str]:
        """Name those of the rows that have no final phase."""
        async with self._connection.using() as connection:
            cursor = await connection.execute(_SELECT_UNFINISHED_NAMES, {"names": list(names)})
            return frozenset([row["name"] async for row in cursor])

    async def select_by_days(self, days: DateRange) -> tuple[EstimateSync, ...]:
        """Read the rows of exactly these days without a final phase, newest first."""
        async with self._connection.using() as connection:
            rows = await (await connection.execute(_SELECT_BY_DAYS, {"days": _format(days)})).fetchall()
        return tuple(map_row(row) for row in rows)

    async def cancel(self, name: str) -> EstimateSync | None:
        """Ask for a sync to be stopped; None when there is no such row."""
        return await self._change(_CANCEL, {"name": name})

    async def annotate(self, name: str, annotations: Mapping[str, str]) -> EstimateSync | None:
        """Add annotations to a sync; None when there is no such row."""
        return await self._change(_ANNOTATE, {"name": name, "annotations": _format(dict(annotations))})

    async def select_names(self) -> dict[str, str]:
        """Read the uid of every sync, by name."""
        async with self._connection.using() as connection:
            rows = await (await connection.execute(_SELECT_NAMES)).fetchall()
        return {row["name"]: row["uid"] for row in rows}

    async def update_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync | None:
        """Write the status of exactly this version; None when there is no such version any more."""
        values = {
            "name": sync.name,
            "uid": sync.uid,
            "resource_version": int(sync.metadata.resource_version),
            "status": _format(status),
        }
        return await self._change(_UPDATE_STATUS, values)

    async def delete(self, sync: EstimateSync) -> None:
        """Remove the row, if it is still the same sync's."""
        async with self._connection.using() as connection:
            await connection.execute(_DELETE, {"name": sync.name, "uid": sync.uid})

    async def _change(self, statement: LiteralString, values: dict[str, Any]) -> EstimateSync | None:
        async with self._connection.using() as connection:
            row = await (await connection.execute(statement, values)).fetchone()
        return None if row is None else map_row(row)


def map_row(row: DictRow) -> EstimateSync:
    """Read a row as the sync it holds.

    Raises:
        MalformedSyncError: Somebody wrote into the table what is not a sync.
    """
    metadata = {
        "name": row["name"],
        "uid": str(row["uid"]),
        "resourceVersion": str(row["resource_version"]),
        "generation": row["generation"],
        "creationTimestamp": row["created_at"],
        "labels": row["labels"],
        "annotations": row["annotations"],
    }
    return parse_estimate_sync({"metadata": metadata, "spec": row["spec"], "status": row["status"]})


def _format(value: Any) -> str:  # noqa: ANN401 - any value of the contract becomes JSON
    return msgspec.json.encode(value).decode()


class ApiStore:
    """The API's SyncStore; see there for what each call promises."""

    def __init__(self, table: SyncTable, *, jobs_directory: Path) -> None:
        """Read syncs from the table, and logs from the directory of jobs."""
        self._table = table
        self._jobs_directory = jobs_directory

    async def open(self) -> None:
        """There is nothing to do: the table connects when it must."""

    async def close(self) -> None:
        """Let go of the database."""
        await self._table.close()

    async def check(self) -> None:
        """Read the table."""
        with _for_api():
            await self._table.check()

    async def create(self, sync: EstimateSync) -> EstimateSync:
        """Insert a row."""
        require_valid(sync)
        with _for_api():
            return await self._table.insert(sync)

    async def fetch(self, name: str) -> EstimateSync | None:
        """Select a row."""
        with _for_api():
            return await self._table.select(name)

    async def find_at_work(self, days: DateRange) -> str | None:
        """Select rows of these days."""
        with _for_api():
            return next((sync.name for sync in await self._table.select_by_days(days) if may_be_joined(sync)), None)

    async def find_ended(self, names: Collection[str]) -> frozenset[str]:
        """Select what has not ended."""
        with _for_api():
            return frozenset(names) - await self._table.select_unfinished_names(names)

    async def list_page(self, query: SyncQuery) -> SyncPage:
        """Select rows."""
        with _for_api():
            return build_page(await self._table.select_newest(query), query.limit)

    async def request_cancel(self, name: str) -> EstimateSync | None:
        """Set the field of the spec; a trigger tells the reconciler."""
        with _for_api():
            return await self._table.cancel(name)

    async def request_redelivery(self, name: str, token: str) -> EstimateSync | None:
        """Set the annotation; a trigger tells the reconciler."""
        with _for_api():
            return await self._table.annotate(name, {ANNOTATION_REDELIVER: token})

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """Read the end of each run's log."""
        return await asyncio.to_thread(read_run_tails, self._jobs_directory / build_job_name(sync.uid))

    async def read_log_part(self, sync: EstimateSync, mark: LogMark | None) -> LogPart:
        """Read on in the logs of the runs."""
        return await asyncio.to_thread(read_run_part, self._jobs_directory / build_job_name(sync.uid), mark)


class ReconcilerStore:
    """The reconciler's SyncStore; see there for what each call promises."""

    def __init__(self, table: SyncTable) -> None:
        """Read and write the table, which the caller closes."""
        self._table = table

    async def fetch(self, name: str) -> EstimateSync | None:
        """Select a row."""
        with _for_reconciler():
            return await self._table.select(name)

    async def fetch_unfinished(self) -> tuple[EstimateSync, ...]:
        """Select the rows without a final phase."""
        with _for_reconciler():
            return await self._table.select_unfinished()

    async def fetch_uids(self) -> dict[str, str]:
        """Select the uid of every sync, by name."""
        with _for_reconciler():
            return await self._table.select_names()

    async def write_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        """Update a row, if it is still the version that was read."""
        with _for_reconciler():
            written = await self._table.update_status(sync, status)
        if written is None:
            raise operator_ports.StaleSyncError(f"{sync.name} has changed since it was read")
        return written

    async def delete(self, sync: EstimateSync) -> None:
        """Delete the row; the job keeper removes jobs whose sync is gone."""
        with _for_reconciler():
            await self._table.delete(sync)


def require_valid(sync: EstimateSync) -> None:
    """Refuse what a cluster's CRD would refuse; the table itself looks after the name.

    Raises:
        estimatesync_api.ports.SyncRefusedError: A bound is broken; the message says which.
    """
    try:
        parsed = parse_estimate_sync(to_object(sync))
    except (MalformedSyncError, msgspec.MsgspecError) as error:
        raise api_ports.SyncRefusedError(str(error)) from error
    days = parsed.spec.date_range
    if days is not None and days.start > days.end:
        raise api_ports.SyncRefusedError("spec.dateRange.start must not be after spec.dateRange.end")


@contextmanager
def _for_api() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        raise api_ports.SyncExistsError("a sync of this name is stored already") from error
    except psycopg.errors.CheckViolation as error:
        raise api_ports.SyncRefusedError(
            "the sync's name must be 1 to 63 characters of a-z, 0-9, '-' and '.', and begin and end with a-z or 0-9"
        ) from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise api_ports.SyncRefusedError("the sync holds a value that the database cannot store") from error
    except (psycopg.Error, TimeoutError) as error:
        # psycopg's words name the database's address, and this message reaches callers.
        raise api_ports.StoreUnavailableError("the database cannot answer now") from error


@contextmanager
def _for_reconciler() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, TimeoutError) as error:
        raise operator_ports.WorldUnavailableError(f"the database cannot answer now: {error}") from error


_LISTEN: Final = "LISTEN estimatesync_local"
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


async def listen(database_url: str, *, on_name: Callable[[str], None], on_connect: Callable[[], None]) -> None:
    """Listen until cancelled, through any number of broken connections.

    Args:
        database_url: Where the syncs are.
        on_name: Called with the name of each sync that was added, changed or removed.
        on_connect: Called when listening begins, also anew: what happened before went unheard.
    """
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                await connection.execute(_LISTEN)
                pause = _FIRST_PAUSE_SECONDS
                on_connect()
                async for notification in connection.notifies():
                    on_name(notification.payload)
        except psycopg.Error as error:
            logger.warning("cannot hear of new syncs, which delays them: %s", error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
