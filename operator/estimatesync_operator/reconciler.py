"""The one pass that moves a sync along: read, observe, decide, act, write the status once, tell.

Whatever triggers it, a pass starts from what is true now, so it may be repeated, delayed or run after a crash.
Called by the work queue; knows the world only through its ports.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase

from estimatesync_operator.conclusion import Conclusion
from estimatesync_operator.core import lifecycle
from estimatesync_operator.core.job_observation import JobObservation
from estimatesync_operator.core.outcomes import CANCELLED, Outcome
from estimatesync_operator.core.plan import NOTHING_MORE, Agenda
from estimatesync_operator.core.queue_order import EXACT_POSITIONS
from estimatesync_operator.core.retention import DEFAULT_TTL
from estimatesync_operator.following import Following
from estimatesync_operator.ports import (
    CallbackSender,
    ChangeMeter,
    Clock,
    EventRecorder,
    JobRunner,
    NoMeter,
    SyncStore,
    UnreadableSyncError,
)
from estimatesync_operator.slots import Places
from estimatesync_operator.status_writer import StatusWriter

_QUEUE_TICK: Final = timedelta(seconds=30)
"""A waiting sync is woken when a place gets free; this is for the wake-up that got lost."""

_FAR_TICK: Final = timedelta(minutes=5)
"""The same for who waits further back, or suspended: a wake-up lost there does little harm."""


class ReconcilerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may configure about reconciling."""

    max_active_syncs: int = 1
    time_zone: ZoneInfo = ZoneInfo("UTC")
    environment: str = "production"
    progress_interval: timedelta = timedelta(seconds=2)
    stuck_limit: timedelta = timedelta(minutes=10)
    max_evictions: int = 5
    default_ttl: timedelta = DEFAULT_TTL
    """How long a finished sync stays that names no ttlSecondsAfterFinished."""


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
        meter: ChangeMeter | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Join the ports; `jitter` answers a number in [0, 1) for each callback retry."""
        self._store = store
        self._jobs = jobs
        self._callbacks = callbacks
        self._clock = clock
        self._settings = settings
        self._writer = StatusWriter(store, events, meter or NoMeter())
        self._conclusion = Conclusion(
            store=store,
            callbacks=callbacks,
            clock=clock,
            writer=self._writer,
            environment=settings.environment,
            default_ttl=settings.default_ttl,
            jitter=jitter,
        )
        self._following = Following(
            jobs=jobs,
            clock=clock,
            writer=self._writer,
            finish=self._finish,
            progress_interval=settings.progress_interval,
            stuck_limit=settings.stuck_limit,
            max_evictions=settings.max_evictions,
        )
        self._places = Places(store, max_active=settings.max_active_syncs)

    async def reconcile(self, name: str) -> Agenda:
        """Make one pass.

        Raises:
            StaleSyncError: The sync moved on meanwhile; make another pass soon.
            WorldUnavailableError: Make another pass later.
        """
        try:
            sync = await self._store.fetch(name)
        except UnreadableSyncError:
            return NOTHING_MORE
        if sync is None:
            self._conclusion.forget(name)
            self._following.forget(name)
            await self._jobs.remove_leftovers(name)
            return Agenda(wake=await self._places.list_outdated())
        if sync.status.phase in {None, Phase.QUEUED}:
            return await self._queue(sync)
        if sync.status.phase is Phase.RUNNING:
            return await self._following.follow(sync)
        return await self._conclusion.conclude(sync)

    async def _queue(self, sync: EstimateSync) -> Agenda:
        if sync.spec.cancel:
            return await self._finish(sync, CANCELLED, None)
        async with self._places.ask(sync) as turn:
            status = lifecycle.compute_turn_status(
                sync, turn, now=self._clock.now(), time_zone=self._settings.time_zone
            )
            await self._writer.settle(sync, status)
        if turn.may_start:
            return Agenda(again_after=timedelta(0), wake=await self._places.list_outdated())
        is_near = turn.position is not None and turn.position <= EXACT_POSITIONS
        return Agenda(again_after=_QUEUE_TICK if is_near else _FAR_TICK)

    async def _finish(self, sync: EstimateSync, outcome: Outcome, seen: JobObservation | None) -> Agenda:
        status = lifecycle.compute_final_status(
            sync,
            outcome,
            now=self._clock.now(),
            seen=seen,
            environment=self._settings.environment,
            has_target=await self._callbacks.has_target(sync),
        )
        await self._writer.settle(sync, status)
        self._following.forget(sync.name)
        return Agenda(again_after=timedelta(0), wake=await self._places.list_outdated())
