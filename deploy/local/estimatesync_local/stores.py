"""The two sides of the table of syncs: the API's store and the reconciler's, each in its caller's terms.

They run in different processes and meet only in the database.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

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

from estimatesync_local.run_logs import read_run_part, read_run_tails
from estimatesync_local.sync_table import SyncTable


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
