"""Delivers the callbacks of a finished sync: one attempt at a time, recorded once.

The reconciler calls it when an attempt is due. An attempt that could not be recorded is not made again: it is recorded
as soon as writing works, unless another delivery of one of the sync's callbacks is requested meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import datetime
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, CallbackStatus, EstimateSyncStatus

from estimatesync_operator.callback.body import build_callback_body
from estimatesync_operator.callback.policy import compute_callback_status
from estimatesync_operator.core.lifecycle import compute_delivery_status
from estimatesync_operator.core.ports import CallbackSender, Clock, StaleSyncError, SyncStore

_FAILURES_RECORDED_AT_ONCE: Final = 8
"""Hundreds of attempts may fail in the same second, and the record of a delivery must not wait behind them."""

Write = Callable[[EstimateSync, EstimateSyncStatus], Awaitable[EstimateSync]]
"""Writes a status, and answers the sync as stored. Raises StaleSyncError."""


class Delivery:
    """Use it from one event loop only."""

    def __init__(
        self, *, store: SyncStore, callbacks: CallbackSender, clock: Clock, write: Write, jitter: Callable[[], float]
    ) -> None:
        """`jitter` returns a number in [0, 1) for each retry."""
        self._store = store
        self._callbacks = callbacks
        self._clock = clock
        self._write = write
        self._jitter = jitter
        self._failures = asyncio.Semaphore(_FAILURES_RECORDED_AT_ONCE)
        self._unrecorded: dict[str, tuple[CallbackStatus, CallbackStatus]] = {}

    def forget(self, name: str) -> None:
        """Drop what is remembered of a sync that is gone."""
        self._unrecorded.pop(name, None)

    async def deliver(self, sync: EstimateSync) -> EstimateSync:
        """Make the attempt that is due, and record it; answer the sync as it is then.

        Raises:
            StaleSyncError: The status has moved on meanwhile.
            BackendUnavailableError: The attempt could not be recorded; call again.
        """
        callback = sync.status.next_delivery
        if callback is None:
            raise ValueError("there is no callback to deliver")
        delivery = await self._attempt(sync, callback, self._clock.now())
        async with nullcontext() if delivery.state is CallbackState.DELIVERED else self._failures:
            recorded = await self._record(sync, delivery)
        self.forget(sync.name)
        return recorded

    async def _attempt(self, sync: EstimateSync, callback: CallbackStatus, now: datetime) -> CallbackStatus:
        before, delivery = self._unrecorded.get(sync.name, (None, callback))
        if before == callback:
            return delivery
        attempt = await self._callbacks.send(
            sync, body=build_callback_body(sync), callback_id=callback.id or "", now=now, target=callback.target
        )
        delivery = compute_callback_status(callback, attempt, now=self._clock.now(), jitter=self._jitter())
        self._unrecorded[sync.name] = callback, delivery
        return delivery

    async def _record(self, sync: EstimateSync, delivery: CallbackStatus) -> EstimateSync:
        """Write an attempt down even if the object was touched meanwhile: a label must not cause a second attempt."""
        status = compute_delivery_status(sync, delivery, now=self._clock.now())
        try:
            return await self._write(sync, status)
        except StaleSyncError:
            fresh = await self._store.fetch(sync.name)
            if fresh is None or fresh.status != sync.status:
                raise
            return await self._write(fresh, status)
