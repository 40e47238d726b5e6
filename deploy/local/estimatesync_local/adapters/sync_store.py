"""The syncs of one machine in PostgreSQL: the table, the API's and the reconciler's store on it, and its listener.

The two stores run in different processes and meet only in the database. The table raises psycopg's own errors; each
store turns them into those of its caller. The listener receives the names of syncs that were added or changed, so that
the reconciler need not poll; a lost notification only delays, for the reconcile loop reads all syncs now and then, and
whenever the listener connects.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, LiteralString

import estimatesync_api.core.problems as api_problems
import estimatesync_operator.core.ports as operator_ports
import msgspec
import psycopg
from estimatesync_api.core.listing import SyncPage, SyncQuery, Work, build_page, find_work
from estimatesync_api.core.ports import LogCursor, LogPart
from estimatesync_contract.backoff import compute_backoff
from estimatesync_contract.estimate_sync import (
    EstimateSync,
    MalformedSyncError,
    parse_estimate_sync,
    to_object,
)
from estimatesync_contract.names import (
    ANNOTATION_CANCELLED_BY,
    build_job_name,
)
from estimatesync_contract.spec import DateRange
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.status import EstimateSyncStatus, Phase, compute_latest_end
from estimatesync_operator.core.silence import Silence, build_silence
from psycopg.rows import DictRow

from estimatesync_local.adapters.database import ReconnectingConnection, open_session, read_database_fault
from estimatesync_local.adapters.job_files import read_run_part, read_run_tails

_INSERT: Final = """
INSERT INTO estimatesync_local.sync (name, labels, annotations, spec)
VALUES (%(name)s, %(labels)s::jsonb, %(annotations)s::jsonb, %(spec)s::jsonb) RETURNING *
"""
_SELECT: Final = "SELECT * FROM estimatesync_local.sync WHERE name = %(name)s"
_SELECT_UNFINISHED: Final = """
SELECT * FROM estimatesync_local.sync WHERE phase IS NULL OR phase IN ('Queued', 'Running') ORDER BY created_at, name
"""
_SELECT_NEWEST_SUCCESS: Final = """
SELECT * FROM estimatesync_local.sync
WHERE phase = 'Succeeded' AND (status ->> 'completionTime')::timestamptz <= %(latest)s
ORDER BY (status ->> 'completionTime')::timestamptz DESC, name COLLATE "C" DESC LIMIT 1
"""
_SELECT_FIRST_FAILURE: Final = """
SELECT *, (SELECT min(created_at) FROM estimatesync_local.sync) AS first_created_at FROM estimatesync_local.sync
WHERE phase IN ('Failed', 'Cancelled')
ORDER BY coalesce(status #>> '{alert,delivery,state}', 'Disabled') = 'Disabled', created_at, name COLLATE "C" LIMIT 1
"""
_SELECT_NEWEST: Final = """
SELECT * FROM estimatesync_local.sync
WHERE coalesce(phase, 'Queued') = ANY(%(phases)s)
  AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR created_at < %(until)s)
  AND (%(after_name)s::text IS NULL OR (created_at, name) < (%(after_time)s::timestamptz, %(after_name)s))
ORDER BY created_at DESC, name DESC LIMIT %(limit)s
"""
_COUNT_PHASES: Final = """
SELECT coalesce(phase, 'Queued') AS phase, count(*) AS count FROM estimatesync_local.sync
WHERE coalesce(phase, 'Queued') = ANY(%(phases)s)
GROUP BY 1
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
UPDATE estimatesync_local.sync
SET spec = spec || '{"cancel": true}', annotations = annotations || %(annotations)s::jsonb
WHERE name = %(name)s RETURNING *
"""
_ANNOTATE: Final = """
UPDATE estimatesync_local.sync SET annotations = annotations || %(annotations)s::jsonb
WHERE name = %(name)s AND uid = %(uid)s::uuid AND resource_version = %(resource_version)s RETURNING *
"""
_SELECT_NAMES: Final = "SELECT name, uid::text FROM estimatesync_local.sync ORDER BY created_at, name"
_SELECT_DELETED: Final = "SELECT uid::text FROM estimatesync_local.deleted_sync"
_UPDATE_STATUS: Final = """
UPDATE estimatesync_local.sync SET status = %(status)s::jsonb
WHERE name = %(name)s AND uid = %(uid)s::uuid AND resource_version = %(resource_version)s RETURNING *
"""
_DELETE: Final = """
DELETE FROM estimatesync_local.sync
WHERE name = %(name)s AND uid = %(uid)s::uuid AND resource_version = %(resource_version)s
"""
_CHECK: Final = "SELECT FROM estimatesync_local.sync LIMIT 1"
_LISTEN: Final = "LISTEN estimatesync_local"
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class SyncTable:
    """Reads and writes rows as syncs.

    Every call raises psycopg.Error or TimeoutError when the database does not answer, or refuses.
    """

    def __init__(self, database_url: str) -> None:
        self._connection = ReconnectingConnection(database_url)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        await self._connection.close()

    async def check(self) -> None:
        """Make sure that the table can be read."""
        async with self._connection.acquire() as connection:
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
        async with self._connection.acquire() as connection:
            row = await (await connection.execute(_INSERT, values)).fetchone()
        if row is None:
            raise psycopg.DataError("the database stored no row")
        return map_row(row)

    async def select(self, name: str) -> EstimateSync | None:
        if "\0" in name:
            # PostgreSQL cannot store such a text, so no row has it.
            return None
        async with self._connection.acquire() as connection:
            row = await (await connection.execute(_SELECT, {"name": name})).fetchone()
        return None if row is None else map_row(row)

    async def select_unfinished(self) -> tuple[EstimateSync, ...]:
        """Read the rows without a final phase, the oldest first."""
        async with self._connection.acquire() as connection:
            rows = await (await connection.execute(_SELECT_UNFINISHED)).fetchall()
        return tuple(map_row(row) for row in rows)

    async def select_newest_success(self, *, latest: datetime) -> EstimateSync | None:
        """Read the row that has succeeded last, and not after `latest`."""
        async with self._connection.acquire() as connection:
            row = await (await connection.execute(_SELECT_NEWEST_SUCCESS, {"latest": latest})).fetchone()
        return None if row is None else map_row(row)

    async def select_first_failure(self) -> tuple[EstimateSync, datetime] | None:
        """Read the row whose alert was or is to be told, else the oldest, of those that have ended without success.

        And when the oldest of all rows was created.
        """
        async with self._connection.acquire() as connection:
            row = await (await connection.execute(_SELECT_FIRST_FAILURE)).fetchone()
        return None if row is None else (map_row(row), row["first_created_at"])

    async def select_newest(self, query: SyncQuery) -> tuple[EstimateSync, ...]:
        """Read the rows that the query selects, newest first, and one more than the limit if there are more."""
        values = {
            "phases": sorted(query.phases),
            "since": query.since,
            "until": query.until,
            "after_time": query.after.created_at if query.after else None,
            "after_name": query.after.name if query.after else None,
            "limit": query.limit + 1,
        }
        async with self._connection.acquire() as connection:
            rows = await (await connection.execute(_SELECT_NEWEST, values)).fetchall()
        return tuple(map_row(row) for row in rows)

    async def count_phases(self) -> Mapping[Phase, int]:
        """Count the rows of each phase; one that the reconciler has not seen is queued."""
        async with self._connection.acquire() as connection:
            cursor = await connection.execute(_COUNT_PHASES, {"phases": list(Phase)})
            return {Phase(row["phase"]): row["count"] async for row in cursor}

    async def select_unfinished_names(self, names: Collection[str]) -> frozenset[str]:
        """Read which of the names are of rows without a final phase."""
        async with self._connection.acquire() as connection:
            cursor = await connection.execute(_SELECT_UNFINISHED_NAMES, {"names": list(names)})
            return frozenset([row["name"] async for row in cursor])

    async def select_by_days(self, days: DateRange) -> tuple[EstimateSync, ...]:
        """Read the rows of exactly these days without a final phase, newest first."""
        async with self._connection.acquire() as connection:
            rows = await (await connection.execute(_SELECT_BY_DAYS, {"days": _format(days)})).fetchall()
        return tuple(map_row(row) for row in rows)

    async def cancel(self, name: str, annotations: Mapping[str, str]) -> EstimateSync | None:
        """Request that a sync is stopped, and add annotations; None when there is no such row."""
        return await self._change(_CANCEL, {"name": name, "annotations": _format(dict(annotations))})

    async def annotate(self, sync: EstimateSync, annotations: Mapping[str, str]) -> EstimateSync | None:
        """Add annotations to exactly this version; None when that version is gone."""
        return await self._change(_ANNOTATE, {**_identify(sync), "annotations": _format(dict(annotations))})

    async def select_names(self) -> dict[str, str]:
        """Read the uid of every sync, by name."""
        async with self._connection.acquire() as connection:
            rows = await (await connection.execute(_SELECT_NAMES)).fetchall()
        return {row["name"]: row["uid"] for row in rows}

    async def select_deleted(self) -> frozenset[str]:
        """Read the uids of the syncs that were deleted within the last months."""
        async with self._connection.acquire() as connection:
            rows = await (await connection.execute(_SELECT_DELETED)).fetchall()
        return frozenset(row["uid"] for row in rows)

    async def update_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync | None:
        """Write the status of exactly this version; None when that version is gone."""
        return await self._change(_UPDATE_STATUS, {**_identify(sync), "status": _format(status)})

    async def delete(self, sync: EstimateSync) -> bool:
        """Remove the row, if it is still exactly this version's; return whether it was."""
        async with self._connection.acquire() as connection:
            return bool((await connection.execute(_DELETE, _identify(sync))).rowcount)

    async def _change(self, statement: LiteralString, values: dict[str, Any]) -> EstimateSync | None:
        async with self._connection.acquire() as connection:
            row = await (await connection.execute(statement, values)).fetchone()
        return None if row is None else map_row(row)


def map_row(row: DictRow) -> EstimateSync:
    """Map a row to the sync it holds.

    Raises:
        MalformedSyncError: The row was written by another program, and is not a sync.
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


def _identify(sync: EstimateSync) -> dict[str, Any]:
    """Name exactly this version of a row."""
    return {"name": sync.name, "uid": sync.uid, "resource_version": int(sync.metadata.resource_version)}


def _format(value: Any) -> str:  # noqa: ANN401 - any value of the contract becomes JSON
    return msgspec.json.encode(value).decode()


class ApiStore:
    """The API's SyncStore of one machine: syncs from the table, logs from the directory of jobs."""

    def __init__(self, table: SyncTable, *, jobs_directory: Path) -> None:
        self._table = table
        self._jobs_directory = jobs_directory

    async def open(self) -> None:
        """Nothing to do: the table connects when it is first used."""

    async def close(self) -> None:
        await self._table.close()

    async def check(self) -> None:
        with _api_errors():
            await self._table.check()

    async def create(self, sync: EstimateSync) -> EstimateSync:
        require_valid(sync)
        with _api_errors():
            return await self._table.insert(sync)

    async def fetch(self, name: str) -> EstimateSync | None:
        with _api_errors():
            return await self._table.select(name)

    async def find_active(self, work: Work) -> str | None:
        with _api_errors():
            found = await self._table.select_by_days(work.days)
        return next((sync.name for sync in found if find_work(sync) == work), None)

    async def find_ended(self, names: Collection[str]) -> frozenset[str]:
        with _api_errors():
            return frozenset(names) - await self._table.select_unfinished_names(names)

    async def list_page(self, query: SyncQuery) -> SyncPage:
        with _api_errors():
            return build_page(await self._table.select_newest(query), query.limit)

    async def count_phases(self) -> Mapping[Phase, int]:
        with _api_errors():
            return await self._table.count_phases()

    async def request_cancel(self, name: str, *, by: str) -> EstimateSync | None:
        """Set the field of the spec; a trigger notifies the reconciler."""
        with _api_errors():
            return await self._table.cancel(name, {ANNOTATION_CANCELLED_BY: by})

    async def annotate(self, sync: EstimateSync, annotations: Mapping[str, str]) -> EstimateSync | None:
        """Add the annotations; a trigger notifies the reconciler."""
        with _api_errors():
            return await self._table.annotate(sync, annotations)

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        return await asyncio.to_thread(read_run_tails, self._jobs_directory / build_job_name(sync.uid))

    async def read_log_part(self, sync: EstimateSync, cursor: LogCursor | None) -> LogPart:
        return await asyncio.to_thread(read_run_part, self._jobs_directory / build_job_name(sync.uid), cursor)


class ReconcilerStore:
    """The reconciler's SyncStore of one machine."""

    def __init__(self, table: SyncTable) -> None:
        """Use the table, which the caller closes."""
        self._table = table

    async def fetch(self, name: str) -> EstimateSync | None:
        with _reconciler_errors():
            return await self._table.select(name)

    async def fetch_unfinished(self) -> tuple[EstimateSync, ...]:
        with _reconciler_errors():
            return await self._table.select_unfinished()

    async def fetch_silence(self, *, now: datetime) -> Silence | None:
        with _reconciler_errors():
            newest = await self._table.select_newest_success(latest=compute_latest_end(now))
            if newest is not None and newest.status.completion_time is not None:
                return build_silence(newest, newest.status.completion_time)
            first = await self._table.select_first_failure()
        return None if first is None else build_silence(*first)

    async def fetch_uids(self) -> dict[str, str]:
        """Read the uid of every sync, by name."""
        with _reconciler_errors():
            return await self._table.select_names()

    async def fetch_deleted_uids(self) -> frozenset[str]:
        """Read the uids of the syncs that were deleted lately."""
        with _reconciler_errors():
            return await self._table.select_deleted()

    async def write_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        """Write the status, if the sync is still the version that was read."""
        with _reconciler_errors():
            written = await self._table.update_status(sync, status)
        if written is None:
            raise operator_ports.StaleSyncError(f"{sync.name} has changed since it was read")
        return written

    async def delete(self, sync: EstimateSync) -> None:
        """Delete the sync, if it is still the version that was read; the job controller deletes its job."""
        with _reconciler_errors():
            is_deleted = await self._table.delete(sync)
            found = None if is_deleted else await self._table.select(sync.name)
        if found is not None and found.uid == sync.uid:
            raise operator_ports.StaleSyncError(f"{sync.name} has changed since it was read")


def require_valid(sync: EstimateSync) -> None:
    """Refuse what a cluster's CRD would refuse; the table itself checks the name.

    Raises:
        estimatesync_api.core.problems.SyncRefusedError: A bound is broken; the message says which.
    """
    try:
        parsed = parse_estimate_sync(to_object(sync))
    except (MalformedSyncError, msgspec.MsgspecError) as error:
        raise api_problems.SyncRefusedError(str(error)) from error
    days = parsed.spec.date_range
    if days is not None and days.start > days.end:
        raise api_problems.SyncRefusedError("spec.dateRange.start must not be after spec.dateRange.end")


@contextmanager
def _api_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        raise api_problems.SyncExistsError("a sync of this name is stored already") from error
    except psycopg.errors.CheckViolation as error:
        raise api_problems.SyncRefusedError(
            "the sync's name must be 1 to 63 characters of a-z, 0-9, '-' and '.', and begin and end with a-z or 0-9"
        ) from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise api_problems.SyncRefusedError("the sync holds a value that the database cannot store") from error
    except psycopg.Error as error:
        fault = read_database_fault(error)
        raise api_problems.StoreUnavailableError(
            f"the database cannot answer now: {fault.text}", cause=fault.cause
        ) from error
    except TimeoutError as error:
        cause = SpecificCause.DATABASE_TOO_SLOW
        raise api_problems.StoreUnavailableError(
            f"the database cannot answer now: {cause.summary}", cause=cause
        ) from error


@contextmanager
def _reconciler_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise operator_ports.BackendUnavailableError(
            f"the database cannot answer now: {read_database_fault(error).text}"
        ) from error
    except TimeoutError as error:
        raise operator_ports.BackendUnavailableError("the database cannot answer now: it is silent") from error


async def listen(database_url: str, *, on_name: Callable[[str], None], on_connect: Callable[[], None]) -> None:
    """Listen until cancelled, through any number of broken connections.

    Args:
        database_url: Where the syncs are.
        on_name: Called with the name of each sync that was added, changed or removed.
        on_connect: Called whenever listening begins: changes before it were not received.
    """
    failures = 0
    while True:
        try:
            async with await open_session(database_url, asks_why=False) as connection:
                await connection.execute(_LISTEN)
                failures = 0
                on_connect()
                async for notification in connection.notifies():
                    on_name(notification.payload)
        except psycopg.Error as error:
            logger.warning("cannot listen for new syncs, which delays them: %s", read_database_fault(error).text)
        failures += 1
        await asyncio.sleep(compute_backoff(failures, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS))
