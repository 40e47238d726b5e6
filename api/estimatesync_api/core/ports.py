"""What the API needs of the store that keeps syncs; the cluster and the one-machine mode each provide one."""

from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase

from estimatesync_api.core.listing import SyncPage, SyncQuery, Work


class LogCursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a log has been read. Only the store that made it understands the fields."""

    source: str
    position: str = ""
    count: int = 0


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a log, and where to go on. Without lines there is nothing more for now."""

    lines: tuple[str, ...] = ()
    cursor: LogCursor | None = None


class SyncStore(Protocol):
    """Keeps syncs. Opened and closed with the server process that uses it."""

    async def open(self) -> None:
        """Connect; an unreachable store must not make this fail, only later calls."""

    async def close(self) -> None:
        """Close every connection."""

    async def check(self) -> None:
        """Raise StoreUnavailableError unless a sync could be stored now."""

    async def create(self, sync: EstimateSync) -> EstimateSync:
        """Store a new sync under its name and answer it as stored, uid and creation time included.

        Raises:
            SyncExistsError: The name is taken.
            SyncRefusedError: The sync breaks a rule of the store.
            StoreUnavailableError: Nothing is known to be stored; with a chosen name, asking again is safe.
        """
        ...

    async def fetch(self, name: str) -> EstimateSync | None:
        """Read one sync; None when there is none of this name.

        Raises:
            StoreUnavailableError: The store cannot answer now.
        """
        ...

    async def find_active(self, work: Work) -> str | None:
        """Name the newest sync of exactly this work that a request without an idempotency key may join: a hint.

        It has not ended, and is neither to be cancelled nor suspended. One that was stored within the last moment by
        another process may be missing.

        Raises:
            StoreUnavailableError: The store cannot answer now.
        """
        ...

    async def find_ended(self, names: Collection[str]) -> frozenset[str]:
        """Name those of the syncs that seem to have ended or to be deleted: a hint, and cheap for any number of names.

        Raises:
            StoreUnavailableError: The store cannot answer now.
        """
        ...

    async def list_page(self, query: SyncQuery) -> SyncPage:
        """Read a page of syncs, newest first; a change of the last moment may be missing.

        Raises:
            StoreUnavailableError: The store cannot answer now.
        """
        ...

    async def count_phases(self) -> Mapping[Phase, int]:
        """Count the syncs in each phase; a change of the last moment may be missing, and a phase that none is in.

        Raises:
            StoreUnavailableError: The store cannot answer now.
        """
        ...

    async def request_cancel(self, name: str, *, by: str) -> EstimateSync | None:
        """Ask for a sync to be stopped, and answer it; None when there is none. `by` is who asks.

        Raises:
            StoreUnavailableError: The store cannot take it now.
        """
        ...

    async def annotate(self, sync: EstimateSync, annotations: Mapping[str, str]) -> EstimateSync | None:
        """Add annotations to exactly this version of a sync, and answer it; None when that version is gone.

        Raises:
            StoreUnavailableError: The store cannot take it now.
        """
        ...

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """Read what the sync has printed so far, oldest line first; empty when there is nothing (any more)."""
        ...

    async def read_log_part(self, sync: EstimateSync, cursor: LogCursor | None) -> LogPart:
        """Read what every run of the sync has printed since the cursor, or from the beginning; the oldest line first.

        Raises:
            StoreUnavailableError: The log cannot be read now.
        """
        ...
