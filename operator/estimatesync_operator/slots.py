"""Gives places in the line of running syncs, never one twice, however many passes ask at once.

Called by the reconciler, the only one who gives places.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase

from estimatesync_operator.core.queue_order import Turn, compute_turn, list_outdated
from estimatesync_operator.ports import SyncStore


class Places:
    """The places, and those that are being taken right now."""

    def __init__(self, store: SyncStore, *, max_active: int) -> None:
        """Give `max_active` places at most."""
        self._store = store
        self._max_active = max_active
        self._lock = asyncio.Lock()
        self._being_taken: set[str] = set()

    @asynccontextmanager
    async def ask(self, sync: EstimateSync) -> AsyncIterator[Turn]:
        """Tell the sync its turn. A place it gets is kept for the time of the context, in which it is recorded.

        Only the decision is made one at a time; the writing, which takes long, is not.
        """
        async with self._lock:
            turn = compute_turn(sync, await self._fetch(), max_active=self._max_active)
            if turn.may_start:
                self._being_taken.add(sync.uid)
        try:
            yield turn
        finally:
            self._being_taken.discard(sync.uid)

    async def list_outdated(self) -> tuple[str, ...]:
        """Name those in the line whose turn has changed, the first of them first."""
        return list_outdated(await self._fetch(), max_active=self._max_active)

    async def _fetch(self) -> tuple[EstimateSync, ...]:
        """A place whose taking was written down while we were reading may be missing in what we read."""
        being_taken = set(self._being_taken)
        unfinished = await self._store.fetch_unfinished()
        being_taken |= self._being_taken
        return tuple(_as_running(sync) if sync.uid in being_taken else sync for sync in unfinished)


def _as_running(sync: EstimateSync) -> EstimateSync:
    return msgspec.structs.replace(sync, status=msgspec.structs.replace(sync.status, phase=Phase.RUNNING))
