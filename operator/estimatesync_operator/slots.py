"""Gives slots to waiting syncs, never one twice, however many passes ask at once.

The reconciler is the only one that gives slots.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase

from estimatesync_operator.core.ports import Clock, SyncStore
from estimatesync_operator.core.queue_order import QueueDecision, decide_start, gives_slot_back, list_outdated


class Slots:
    """The slots, and those that are being taken right now."""

    def __init__(self, store: SyncStore, clock: Clock, *, max_active: int, patience: timedelta) -> None:
        """Give `max_active` slots at most; one that is held back for the whole of `patience` has none any more."""
        self._store = store
        self._clock = clock
        self._max_active = max_active
        self._patience = patience
        self._lock = asyncio.Lock()
        self._being_taken: set[str] = set()

    @asynccontextmanager
    async def decide(self, sync: EstimateSync) -> AsyncIterator[QueueDecision | None]:
        """Decide whether a waiting sync may start; None for one that does not wait, or is cancelled.

        A slot that it gets is reserved for the time of the context, in which it is recorded. Only the decision is
        made one at a time; the writing, which takes long, is not.
        """
        if sync.status.phase not in {None, Phase.QUEUED} or sync.spec.cancel:
            yield None
            return
        async with self._lock:
            decision = decide_start(sync, await self._fetch(), max_active=self._max_active)
            if decision.may_start:
                self._being_taken.add(sync.uid)
        try:
            yield decision
        finally:
            self._being_taken.discard(sync.uid)

    async def list_outdated(self) -> tuple[str, ...]:
        """Name the waiting syncs whose place has changed, the first of them first."""
        return list_outdated(await self._fetch(), max_active=self._max_active)

    async def _fetch(self) -> tuple[EstimateSync, ...]:
        """A slot that was recorded while we were reading may be missing from what we read."""
        being_taken = set(self._being_taken)
        unfinished = await self._store.fetch_unfinished()
        being_taken |= self._being_taken
        now = self._clock.now()
        return tuple(
            _as_running(sync) if sync.uid in being_taken else sync
            for sync in unfinished
            if not gives_slot_back(sync, now=now, patience=self._patience)
        )


def _as_running(sync: EstimateSync) -> EstimateSync:
    return msgspec.structs.replace(sync, status=msgspec.structs.replace(sync.status, phase=Phase.RUNNING))
