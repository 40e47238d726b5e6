"""The one pass that moves a sync along: read, observe, decide, act, write the status once, tell.

Whatever triggers it, a pass starts from what is true now, so it may be repeated, delayed or run after a crash.
Called by the work queue; knows the world only through its ports.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase

from estimatesync_operator import lifecycle
from estimatesync_operator.agenda import AT_ONCE, Agenda
from estimatesync_operator.conclusion import Conclusion
from estimatesync_operator.following import Following
from estimatesync_operator.observation import JobObservation
from estimatesync_operator.outcomes import CANCELLED, Outcome
from estimatesync_operator.ports import CallbackSender, Clock, EventRecorder, JobRunner, SyncStore
from estimatesync_operator.status_writer import StatusWriter
from estimatesync_operator.waiting_line import compute_turn, list_waiting

_QUEUE_TICK: Final = timedelta(seconds=30)
"""A waiting sync is woken when a place gets free; this is for the wake-up that got lost."""


class ReconcilerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may configure about reconciling."""

    max_active_syncs: int = 1
    time_zone: ZoneInfo = ZoneInfo("UTC")
    environment: str = "production"
    progress_interval: timedelta = timedelta(seconds=2)
    stuck_limit: timedelta = timedelta(minutes=10)


class Reconciler:
    """Moves syncs along, one pass at a time for each; passes for different syncs may run at once."""

    def __init__(
        self,
        *,
        store: SyncStore,
        jobs: JobRunner,
        events: EventRecorder,
        callbacks: CallbackSender,
        clock: Clock,
        settings: ReconcilerSettings,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Join the ports; `jitter` answers a number in [0, 1) for each callback retry."""
        self._store = store
        self._jobs = jobs
        self._callbacks = callbacks
        self._clock = clock
        self._settings = settings
        self._writer = StatusWriter(store, events)
        self._conclusion = Conclusion(store=store, callbacks=callbacks, clock=clock, writer=self._writer, jitter=jitter)
        self._following = Following(
            jobs=jobs,
            clock=clock,
            writer=self._writer,
            finish=self._finish,
            progress_interval=settings.progress_interval,
            stuck_limit=settings.stuck_limit,
        )
        self._place_lock = asyncio.Lock()

    async def reconcile(self, name: str) -> Agenda:
        """Make one pass.

        Raises:
            StaleSyncError: The sync moved on meanwhile; make another pass soon.
            WorldUnavailableError: Make another pass later.
        """
        sync = await self._store.fetch(name)
        if sync is None:
            self._conclusion.forget(name)
            self._following.forget(name)
            await self._jobs.remove_leftovers(name)
            return await self._wake_next()
        if sync.status.phase is None:
            return await self._greet(sync)
        if sync.status.phase is Phase.QUEUED:
            return await self._queue(sync)
        if sync.status.phase is Phase.RUNNING:
            return await self._following.follow(sync)
        return await self._conclusion.conclude(sync)

    async def _greet(self, sync: EstimateSync) -> Agenda:
        time_zone = self._settings.time_zone
        await self._writer.settle(
            sync, lifecycle.compute_first_status(sync, now=self._clock.now(), time_zone=time_zone)
        )
        return AT_ONCE

    async def _queue(self, sync: EstimateSync) -> Agenda:
        if sync.spec.cancel:
            return await self._finish(sync, CANCELLED, None)
        # One at a time: two passes that both saw the last free place would both take it.
        async with self._place_lock:
            unfinished = await self._store.fetch_unfinished()
            turn = compute_turn(sync, unfinished, max_active=self._settings.max_active_syncs)
            await self._writer.settle(sync, lifecycle.compute_turn_status(sync, turn, now=self._clock.now()))
        if not turn.may_start:
            return Agenda(again_after=_QUEUE_TICK)
        others = (other for other in unfinished if other.uid != sync.uid)
        return Agenda(again_after=timedelta(0), wake=self._list_next(others))

    async def _finish(self, sync: EstimateSync, outcome: Outcome, seen: JobObservation | None) -> Agenda:
        status = lifecycle.compute_final_status(
            sync,
            outcome,
            now=self._clock.now(),
            finished_at=seen.finished_at if seen else None,
            environment=self._settings.environment,
            has_target=await self._callbacks.has_target(sync),
        )
        await self._writer.settle(sync, status)
        self._following.forget(sync.name)
        next_in_line = await self._wake_next()
        return Agenda(again_after=timedelta(0), wake=next_in_line.wake)

    async def _wake_next(self) -> Agenda:
        """A place may have become free: let whoever waits look again, the oldest first."""
        return Agenda(wake=self._list_next(await self._store.fetch_unfinished()))

    def _list_next(self, unfinished: Iterable[EstimateSync]) -> tuple[str, ...]:
        return list_waiting(unfinished)[: self._settings.max_active_syncs]
