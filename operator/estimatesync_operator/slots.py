"""Gives slots to waiting syncs, never one twice, however many passes ask at once, and whoever led before.

The reconciler is the only one that gives slots. A slot is on record first with the leadership, then in the sync's own
status. Between the two, its sync counts as running: here, and for whoever leads next.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase

from estimatesync_operator.core.ports import Clock, Leadership, StaleSyncError, SyncStore
from estimatesync_operator.core.queue_order import (
    QueueDecision,
    decide_start,
    gives_slot_back,
    is_waiting,
    list_outdated,
)

_STARTS_AT_ONCE: Final = 256
"""More than calls are under way, and few enough for the lease to name them."""


class Slots:
    """The slots, and those that are being taken right now."""

    def __init__(
        self, store: SyncStore, clock: Clock, *, leadership: Leadership, max_active: int, patience: timedelta
    ) -> None:
        """Give `max_active` slots at most; one that is held back for the whole of `patience` has none any more."""
        self._store = store
        self._clock = clock
        self._leadership = leadership
        self._max_active = max_active
        self._patience = patience
        self._lock = asyncio.Lock()
        self._starts = asyncio.Semaphore(_STARTS_AT_ONCE)

    @asynccontextmanager
    async def decide(self, sync: EstimateSync) -> AsyncIterator[QueueDecision | None]:
        """Decide whether a waiting sync may start; None for one that does not wait, or is cancelled.

        The context is for recording a slot that it gets. Only the decision is made one at a time; the writing, which
        takes long, is not. A slot whose recording has an unknown outcome stays the sync's.

        Raises:
            StaleSyncError: It is gone, suspended or cancelled by now.
        """
        if sync.status.phase not in {None, Phase.QUEUED} or sync.spec.cancel:
            yield None
            return
        async with self._starts:
            decision = await self._decide(sync)
            if not decision.may_start:
                yield decision
                return
            if not await self._leadership.publish(sync.uid):
                raise StaleSyncError(sync.name)
            try:
                yield decision
            except StaleSyncError:
                self._leadership.settle(sync.uid)
                raise
            self._leadership.settle(sync.uid)

    async def _decide(self, sync: EstimateSync) -> QueueDecision:
        async with self._lock:
            unfinished = await self._fetch()
            holds_slot = sync.uid in self._leadership.starting
            decision = decide_start(sync, unfinished, max_active=self._max_active, holds_slot=holds_slot)
            if decision.may_start:
                self._leadership.reserve(sync.uid)
            return decision

    async def list_outdated(self) -> tuple[str, ...]:
        """Name the waiting syncs whose place has changed, the first of them first."""
        return list_outdated(await self._fetch(), max_active=self._max_active)

    async def _fetch(self) -> tuple[EstimateSync, ...]:
        """A slot that was recorded while we were reading may be missing from what we read."""
        before = set(self._leadership.starting)
        unfinished = await self._store.fetch_unfinished()
        started = before | self._leadership.starting
        waiting = {sync.uid for sync in unfinished if sync.uid in started and is_waiting(sync)}
        # Nothing comes of a slot whose sync is gone, suspended or cancelled: it has another version than when it got
        # the slot, so whatever was to record the start is refused.
        for uid in before - waiting:
            self._leadership.settle(uid)
        starting = started & waiting
        now = self._clock.now()
        return tuple(
            _as_running(sync) if sync.uid in starting else sync
            for sync in unfinished
            if not gives_slot_back(sync, now=now, patience=self._patience)
        )


def _as_running(sync: EstimateSync) -> EstimateSync:
    return msgspec.structs.replace(sync, status=msgspec.structs.replace(sync.status, phase=Phase.RUNNING))
