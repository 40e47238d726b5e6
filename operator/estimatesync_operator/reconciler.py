"""The one pass that moves a sync along: read, observe, decide, act, write the status once, tell.

Whatever triggers it, a pass starts from what is true now, so it may be repeated, delayed or run after a crash.
Called by the work queue; knows the world only through its ports.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.log_lines import parse_progress
from estimatesync_contract.reasons import Reason
from estimatesync_contract.status import Phase

from estimatesync_operator import lifecycle
from estimatesync_operator.agenda import AT_ONCE, Agenda
from estimatesync_operator.causes import Outcome, compute_outcome, fail
from estimatesync_operator.conclusion import Conclusion
from estimatesync_operator.observation import JobObservation, JobState
from estimatesync_operator.ports import (
    CallbackSender,
    Clock,
    EventRecorder,
    JobRefusedError,
    JobRunner,
    SyncStore,
)
from estimatesync_operator.status_writer import StatusWriter
from estimatesync_operator.waiting_line import compute_turn, list_waiting

_QUEUE_TICK: Final = timedelta(seconds=30)
"""A waiting sync is woken when a place gets free; this is for the wake-up that got lost."""

_REFUSED_TICK: Final = timedelta(seconds=15)
_STOPPING_TICK: Final = timedelta(seconds=1)


class ReconcilerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may configure about reconciling."""

    max_active_syncs: int = 1
    time_zone: ZoneInfo = ZoneInfo("UTC")
    environment: str = "production"
    progress_interval: timedelta = timedelta(seconds=2)


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
        self._place_lock = asyncio.Lock()
        self._next_look: dict[str, datetime] = {}

    async def reconcile(self, name: str) -> Agenda:
        """Make one pass.

        Raises:
            StaleSyncError: The sync moved on meanwhile; make another pass soon.
            WorldUnavailableError: Make another pass later.
        """
        sync = await self._store.fetch(name)
        if sync is None:
            self._next_look.pop(name, None)
            self._conclusion.forget(name)
            await self._jobs.remove_leftovers(name)
            return await self._wake_next()
        if sync.status.phase is None:
            return await self._greet(sync)
        if sync.status.phase is Phase.QUEUED:
            return await self._queue(sync)
        if sync.status.phase is Phase.RUNNING:
            return await self._follow(sync)
        return await self._conclusion.conclude(sync)

    async def _greet(self, sync: EstimateSync) -> Agenda:
        time_zone = self._settings.time_zone
        await self._writer.settle(
            sync, lifecycle.compute_first_status(sync, now=self._clock.now(), time_zone=time_zone)
        )
        return AT_ONCE

    async def _queue(self, sync: EstimateSync) -> Agenda:
        if sync.spec.cancel:
            return await self._finish(sync, lifecycle.CANCELLED)
        # One at a time: two passes that both saw the last free place would both take it.
        async with self._place_lock:
            unfinished = await self._store.fetch_unfinished()
            turn = compute_turn(sync, unfinished, max_active=self._settings.max_active_syncs)
            await self._writer.settle(sync, lifecycle.compute_turn_status(sync, turn, now=self._clock.now()))
        if not turn.may_start:
            return Agenda(again_after=_QUEUE_TICK)
        others = (other for other in unfinished if other.uid != sync.uid)
        return Agenda(again_after=timedelta(0), wake=self._list_next(others))

    async def _follow(self, sync: EstimateSync) -> Agenda:
        observation = await self._jobs.observe(sync)
        if observation.state in {JobState.SUCCEEDED, JobState.FAILED}:
            return await self._judge(sync, observation)
        if sync.spec.cancel:
            return await self._cancel(sync, observation)
        if observation.state is JobState.ABSENT:
            return await self._replace_absent(sync)
        if observation.state is JobState.FOREIGN:
            return await self._finish(sync, fail(Reason.JOB_CONFLICT))
        if observation.state is JobState.STOPPING:
            return await self._await_stop(sync)
        return await self._show_progress(sync, observation)

    async def _cancel(self, sync: EstimateSync, observation: JobObservation) -> Agenda:
        """End when nothing runs any more, not before: until then the place is taken, and rows may still be merged."""
        if observation.state in {JobState.ABSENT, JobState.FOREIGN}:
            return await self._finish(sync, lifecycle.CANCELLED)
        if observation.state is not JobState.STOPPING:
            await self._jobs.stop(sync)
            return AT_ONCE
        return await self._await_stop(sync)

    async def _await_stop(self, sync: EstimateSync) -> Agenda:
        await self._writer.settle(sync, lifecycle.compute_stopping_status(sync, now=self._clock.now()))
        return Agenda(again_after=_STOPPING_TICK)

    async def _replace_absent(self, sync: EstimateSync) -> Agenda:
        """Create the job, unless it had been seen before: then somebody has removed it."""
        if sync.status.reason not in {Reason.STARTING, Reason.JOB_REFUSED}:
            return await self._finish(sync, fail(Reason.JOB_DELETED))
        try:
            await self._jobs.create(sync, lifecycle.get_date_range(sync))
        except JobRefusedError as error:
            return await self._bear_refusal(sync, str(error))
        await self._writer.settle(sync, lifecycle.compute_created_status(sync, now=self._clock.now()))
        return Agenda(again_after=self._settings.progress_interval)

    async def _bear_refusal(self, sync: EstimateSync, why: str) -> Agenda:
        now = self._clock.now()
        if now >= lifecycle.compute_give_up_time(sync):
            return await self._finish(sync, fail(Reason.JOB_REFUSED, why=why))
        await self._writer.settle(sync, lifecycle.compute_refused_status(sync, why, now=now))
        return Agenda(again_after=_REFUSED_TICK)

    async def _show_progress(self, sync: EstimateSync, observation: JobObservation) -> Agenda:
        """Read the log once per interval: each write of progress triggers a pass, which would find more progress."""
        now, interval, progress = self._clock.now(), self._settings.progress_interval, None
        due = self._next_look.get(sync.name, now)
        if due <= now:
            due = self._next_look[sync.name] = now + interval
            progress = parse_progress(await self._jobs.read_log_tail(sync))
        await self._writer.settle(sync, lifecycle.compute_running_status(sync, observation, progress, now=now))
        return Agenda(again_after=min(due - now, interval))

    async def _judge(self, sync: EstimateSync, observation: JobObservation) -> Agenda:
        return await self._finish(sync, compute_outcome(observation, sync), observation)

    async def _finish(self, sync: EstimateSync, outcome: Outcome, observation: JobObservation | None = None) -> Agenda:
        status = lifecycle.compute_final_status(
            sync,
            outcome,
            now=self._clock.now(),
            finished_at=observation.finished_at if observation else None,
            environment=self._settings.environment,
            has_target=await self._callbacks.has_target(sync),
        )
        await self._writer.settle(sync, status)
        self._next_look.pop(sync.name, None)
        next_in_line = await self._wake_next()
        return Agenda(again_after=timedelta(0), wake=next_in_line.wake)

    async def _wake_next(self) -> Agenda:
        """A place may have become free: let whoever waits look again, the oldest first."""
        return Agenda(wake=self._list_next(await self._store.fetch_unfinished()))

    def _list_next(self, unfinished: Iterable[EstimateSync]) -> tuple[str, ...]:
        return list_waiting(unfinished)[: self._settings.max_active_syncs]
