"""Delivers the callbacks of a finished sync, and the alert on record on it: one attempt at a time, recorded once.

The reconciler calls it when an attempt is due. An attempt that could not be recorded is not made again: it is recorded
as soon as writing works, unless another delivery of one of the sync's callbacks is requested meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import datetime
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, CallbackStatus, EstimateSyncStatus

from estimatesync_operator.callback.body import build_alert_body, build_callback_body
from estimatesync_operator.callback.policy import compute_callback_status
from estimatesync_operator.core.lifecycle import compute_alert_status, compute_delivery_status
from estimatesync_operator.core.ports import CallbackAttempt, CallbackSender, Clock, StaleSyncError, SyncStore

_FAILURES_RECORDED_AT_ONCE: Final = 8
"""Hundreds of attempts may fail in the same second, and the record of a delivery must not wait behind them."""

Write = Callable[[EstimateSync, EstimateSyncStatus], Awaitable[EstimateSync]]
"""Writes a status, and answers the sync as stored. Raises StaleSyncError."""

_Send = Callable[[datetime], Awaitable[CallbackAttempt]]
"""Makes an attempt, at this time."""


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
        self._unrecorded: dict[tuple[str, str | None], tuple[CallbackStatus, CallbackStatus]] = {}
        """Attempts by the sync's name and the callback's id: before, and after."""

    def forget(self, name: str) -> None:
        """Drop what is remembered of a sync that is gone."""
        for key in [key for key in self._unrecorded if key[0] == name]:
            del self._unrecorded[key]

    async def deliver(self, sync: EstimateSync) -> EstimateSync:
        """Make the attempt that is due, and record it; answer the sync as it is then.

        Raises:
            StaleSyncError: The status has moved on meanwhile.
            BackendUnavailableError: The attempt could not be recorded; call again.
        """
        callback = sync.status.next_delivery
        if callback is None:
            raise ValueError("there is no callback to deliver")

        async def send(now: datetime) -> CallbackAttempt:
            body, callback_id = build_callback_body(sync), callback.id or ""
            return await self._callbacks.send(sync, body=body, callback_id=callback_id, now=now, target=callback.target)

        def compute_status(delivery: CallbackStatus) -> EstimateSyncStatus:
            return compute_delivery_status(sync, delivery, now=self._clock.now())

        return await self._deliver(sync, callback, send, compute_status)

    async def deliver_alert(self, sync: EstimateSync) -> EstimateSync:
        """The same for the alert.

        Raises:
            StaleSyncError, BackendUnavailableError: As above.
        """
        alert = sync.status.alert
        if alert is None:
            raise ValueError("there is no alert to deliver")

        async def send(now: datetime) -> CallbackAttempt:
            callback_id = alert.delivery.id or ""
            return await self._callbacks.send_alert(sync, body=build_alert_body(sync), callback_id=callback_id, now=now)

        def compute_status(delivery: CallbackStatus) -> EstimateSyncStatus:
            told = msgspec.structs.replace(alert, delivery=delivery)
            return compute_alert_status(sync, told, now=self._clock.now())

        return await self._deliver(sync, alert.delivery, send, compute_status)

    async def _deliver(
        self,
        sync: EstimateSync,
        callback: CallbackStatus,
        send: _Send,
        compute_status: Callable[[CallbackStatus], EstimateSyncStatus],
    ) -> EstimateSync:
        key = sync.name, callback.id
        before, delivery = self._unrecorded.get(key, (None, callback))
        if before != callback:
            attempt = await send(self._clock.now())
            delivery = compute_callback_status(callback, attempt, now=self._clock.now(), jitter=self._jitter())
            self._unrecorded[key] = callback, delivery
        async with nullcontext() if delivery.state is CallbackState.DELIVERED else self._failures:
            recorded = await self._record(sync, compute_status(delivery))
        self._unrecorded.pop(key, None)
        return recorded

    async def _record(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        """Write an attempt down even if the object was touched meanwhile: a label must not cause a second attempt."""
        try:
            return await self._write(sync, status)
        except StaleSyncError:
            fresh = await self._store.fetch(sync.name)
            if fresh is None or fresh.status != sync.status:
                raise
            return await self._write(fresh, status)
