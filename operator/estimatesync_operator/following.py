"""Looks after a sync that has a place, from its job's creation to its outcome.

The reconciler hands running syncs over to it; what to do each time, the pure steps decide.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.log_lines import parse_progress
from estimatesync_contract.status import EstimateSyncStatus, Progress

from estimatesync_operator.core import lifecycle
from estimatesync_operator.core.job_observation import JobObservation, JobState
from estimatesync_operator.core.outcomes import Outcome, compute_obstacle, compute_surrender, fail
from estimatesync_operator.core.plan import (
    AT_ONCE,
    Agenda,
    Step,
    compute_end,
    compute_stalled_since,
    decide_step,
    is_given_up,
    is_unmade,
)
from estimatesync_operator.ports import Clock, JobNameTakenError, JobRefusedError, JobRunner
from estimatesync_operator.status_writer import StatusWriter

_STALLED_TICK: Final = timedelta(seconds=15)
_STOPPING_TICK: Final = timedelta(seconds=1)

Finish = Callable[[EstimateSync, Outcome, JobObservation | None], Awaitable[Agenda]]
"""Records how a sync ended."""


class Following:
    """The middle part of a sync's life."""

    def __init__(
        self,
        *,
        jobs: JobRunner,
        clock: Clock,
        writer: StatusWriter,
        finish: Finish,
        progress_interval: timedelta,
        stuck_limit: timedelta,
        max_evictions: int,
    ) -> None:
        """Join the ports; `stuck_limit` is how long an obstacle may stand."""
        self._jobs = jobs
        self._clock = clock
        self._writer = writer
        self._finish = finish
        self._progress_interval = progress_interval
        self._stuck_limit = stuck_limit
        self._max_evictions = max_evictions
        self._next_look: dict[str, datetime] = {}
        self._known_pods: dict[str, str] = {}

    def forget(self, name: str) -> None:
        """Let go of a sync that runs no more."""
        self._next_look.pop(name, None)
        self._known_pods.pop(name, None)

    async def follow(self, sync: EstimateSync) -> Agenda:
        """Make one pass over a running sync. A job that was never seen is created first, and looked for after."""
        if is_unmade(sync) and not sync.spec.cancel:
            return await self._create(sync)
        return await self._advance(sync, await self._jobs.observe(sync))

    async def _advance(self, sync: EstimateSync, seen: JobObservation) -> Agenda:
        now = self._clock.now()
        step = decide_step(sync, seen, now=now, limit=self._stuck_limit)
        if step is Step.CREATE:
            return AT_ONCE
        if step is Step.STOP:
            await self._jobs.stop(sync)
            return AT_ONCE
        if step is Step.AWAIT_STOP:
            await self._writer.settle(sync, lifecycle.compute_stopping_status(sync, now=now))
            return Agenda(again_after=_STOPPING_TICK)
        if step is Step.END:
            return await self._finish(sync, compute_end(sync, seen, now=now, limit=self._stuck_limit), seen)
        return await self._show(sync, seen)

    async def _create(self, sync: EstimateSync) -> Agenda:
        try:
            await self._jobs.create(sync, lifecycle.get_date_range(sync))
        except JobRefusedError as error:
            return await self._bear_refusal(sync, str(error))
        except JobNameTakenError:
            return await self._advance(sync, await self._jobs.observe(sync))
        await self._writer.settle(sync, lifecycle.compute_created_status(sync, now=self._clock.now()))
        return Agenda(again_after=self._progress_interval)

    async def _bear_refusal(self, sync: EstimateSync, why: str) -> Agenda:
        now = self._clock.now()
        if is_given_up(sync, now=now, limit=self._stuck_limit):
            seconds = int(self._stuck_limit.total_seconds())
            return await self._finish(sync, compute_surrender(sync, seconds=seconds), None)
        if now >= lifecycle.compute_give_up_time(sync):
            return await self._finish(sync, fail(Reason.JOB_REFUSED, quote=why), None)
        await self._writer.settle(sync, lifecycle.compute_refused_status(sync, why, now=now))
        return self._look_again_at_obstacle(sync, now)

    async def _show(self, sync: EstimateSync, seen: JobObservation) -> Agenda:
        """Read the log once per interval: each write of progress triggers a pass, which would find more progress."""
        now, interval, progress = self._clock.now(), self._progress_interval, None
        is_stalled = compute_obstacle(seen) is not None
        due = self._next_look.get(sync.name, now)
        if due <= now:
            due = self._next_look[sync.name] = now + interval
            if seen.state is JobState.ACTIVE and not is_stalled:
                progress = parse_progress(await self._jobs.read_log_tail(sync))
        status = self._compute_status(sync, seen, progress, now)
        await self._writer.settle(sync, status)
        if status.reason == Reason.EVICTED_TOO_OFTEN:
            return AT_ONCE
        return self._look_again_at_obstacle(sync, now) if is_stalled else Agenda(again_after=min(due - now, interval))

    def _compute_status(
        self, sync: EstimateSync, seen: JobObservation, progress: Progress | None, now: datetime
    ) -> EstimateSyncStatus:
        known_pod = self._known_pods.get(sync.name)
        if seen.pod_name:
            self._known_pods[sync.name] = seen.pod_name
        return lifecycle.compute_running_status(
            sync, seen, progress, now=now, known_pod=known_pod, max_evictions=self._max_evictions
        )

    def _look_again_at_obstacle(self, sync: EstimateSync, now: datetime) -> Agenda:
        """Seldom, for a change of the job wakes us anyway; but on time to give up."""
        left = (compute_stalled_since(sync) or now) + self._stuck_limit - now
        return Agenda(again_after=max(min(left, _STALLED_TICK), _STOPPING_TICK))
