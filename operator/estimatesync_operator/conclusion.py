"""What is left to do once a sync has ended: deliver its callback, and remove it when its time is over.

The reconciler hands finished syncs over to it.
"""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, CallbackStatus

from estimatesync_operator.callback.body import build_callback_body
from estimatesync_operator.callback.policy import compute_callback_status
from estimatesync_operator.core import lifecycle
from estimatesync_operator.core.plan import AT_ONCE, NOTHING_MORE, Agenda
from estimatesync_operator.core.retention import compute_expiry, compute_requested, has_request
from estimatesync_operator.ports import CallbackSender, Clock, StaleSyncError, SyncStore
from estimatesync_operator.status_writer import StatusWriter

_RECORDED_AT_ONCE: Final = 8
"""Attempts in vain: hundreds may end in the same second, and nobody who has succeeded must stand in line behind."""


class Conclusion:
    """The last part of a sync's life."""

    def __init__(
        self,
        *,
        store: SyncStore,
        callbacks: CallbackSender,
        clock: Clock,
        writer: StatusWriter,
        environment: str,
        default_ttl: timedelta,
        jitter: Callable[[], float],
    ) -> None:
        """Join the ports; `jitter` answers a number in [0, 1) for each callback retry.

        `default_ttl` is how long a finished sync stays that does not say it itself.
        """
        self._store = store
        self._callbacks = callbacks
        self._clock = clock
        self._writer = writer
        self._environment = environment
        self._default_ttl = default_ttl
        self._jitter = jitter
        self._in_vain = asyncio.Semaphore(_RECORDED_AT_ONCE)
        self._unrecorded: dict[str, tuple[CallbackStatus, CallbackStatus]] = {}

    def forget(self, name: str) -> None:
        """Let go of what is remembered of a sync that is no more."""
        self._unrecorded.pop(name, None)

    async def conclude(self, sync: EstimateSync) -> Agenda:
        """Make one pass over a finished sync."""
        callback = sync.status.callback
        if sync.status.observed_generation != sync.metadata.generation:
            await self._writer.settle(sync, lifecycle.compute_seen_status(sync, now=self._clock.now()))
            return AT_ONCE
        if has_request(sync):
            return await self._begin_anew(sync)
        if callback is not None and not callback.state.is_final:
            return await self._deliver(sync, callback)
        return await self._expire(sync)

    async def _begin_anew(self, sync: EstimateSync) -> Agenda:
        has_target = await self._callbacks.has_target(sync)
        callback = compute_requested(sync, environment=self._environment, has_target=has_target)
        await self._writer.settle(sync, lifecycle.compute_delivery_status(sync, callback, now=self._clock.now()))
        return AT_ONCE

    async def _expire(self, sync: EstimateSync) -> Agenda:
        expiry = compute_expiry(sync, default_ttl=self._default_ttl)
        if expiry is None:
            return NOTHING_MORE
        if self._clock.now() < expiry:
            return Agenda(again_after=expiry - self._clock.now())
        await self._store.delete(sync)
        return NOTHING_MORE

    async def _deliver(self, sync: EstimateSync, callback: CallbackStatus) -> Agenda:
        now = self._clock.now()
        if callback.next_attempt_time is not None and now < callback.next_attempt_time:
            return Agenda(again_after=callback.next_attempt_time - now)
        delivery = await self._attempt(sync, callback, now)
        async with nullcontext() if delivery.state is CallbackState.DELIVERED else self._in_vain:
            await self._record(sync, delivery)
        self.forget(sync.name)
        return AT_ONCE

    async def _attempt(self, sync: EstimateSync, callback: CallbackStatus, now: datetime) -> CallbackStatus:
        """Make an attempt, unless one was made that could not be recorded: while nothing can be written, it is one."""
        before, delivery = self._unrecorded.get(sync.name, (None, callback))
        if before == callback:
            return delivery
        attempt = await self._callbacks.send(
            sync, body=build_callback_body(sync), callback_id=callback.id or "", now=now
        )
        delivery = compute_callback_status(callback, attempt, now=self._clock.now(), jitter=self._jitter())
        self._unrecorded[sync.name] = callback, delivery
        return delivery

    async def _record(self, sync: EstimateSync, delivery: CallbackStatus) -> None:
        """Write an attempt down, also when the object was touched meanwhile: it must not be made twice for a label."""
        status = lifecycle.compute_delivery_status(sync, delivery, now=self._clock.now())
        try:
            await self._writer.settle(sync, status)
        except StaleSyncError:
            fresh = await self._store.fetch(sync.name)
            if fresh is None or fresh.status != sync.status:
                raise
            await self._writer.settle(fresh, status)
