"""The one pass that moves a sync along: fetch, observe, plan, act, write the status once, report what changed.

Whatever triggers it, a pass starts from what is true now, so it may be repeated, delayed or run after a crash.
The work queue calls it; it knows the world only through its ports, and leaves every decision to `core.plan`.
"""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.log_lines import Trouble, parse_progress, parse_trouble
from estimatesync_contract.status import EstimateSyncStatus, Phase
from msgspec import UNSET, UnsetType

from estimatesync_operator.callback.delivery import Delivery
from estimatesync_operator.core.events import build_created_event, build_events
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobObservation, JobState
from estimatesync_operator.core.lifecycle import compute_stop_time, get_date_range
from estimatesync_operator.core.outcomes import find_success
from estimatesync_operator.core.plan import (
    AT_ONCE,
    FIRST_LOOK,
    Action,
    Plan,
    ReconcilerSettings,
    Result,
    Seen,
    build_plan,
)
from estimatesync_operator.core.ports import (
    CallbackSender,
    ChangeMeter,
    Clock,
    EventRecorder,
    JobNameTakenError,
    JobRefusedError,
    JobRunner,
    Leadership,
    NoMeter,
    RunKeptError,
    SoleLeader,
    SyncStore,
    UnreadableSyncError,
)
from estimatesync_operator.core.queue_order import QueueDecision
from estimatesync_operator.core.silence import Silence, may_be_kept
from estimatesync_operator.slots import Slots

_LOST_TICK: Final = timedelta(hours=1)
"""After a write of which nothing was kept: until somebody has acted, the next one comes to the same."""

logger = logging.getLogger(__name__)


class _Memory(msgspec.Struct, kw_only=True):
    """What is known of a running sync from an earlier pass; losing it does no harm."""

    uid: str
    next_reading: datetime
    """When its log is read again."""
    trouble: Trouble | None = None
    """As of the last reading; it ends with the run."""
    created_at: datetime | None = None
    """When its job was created here, which is put on record with the next news of it."""
    pod_name: str | None = None
    committed: str = ""
    """The termination message that says that everything is stored."""
    companions_since: datetime | None = None
    companions_pod: str | None = None
    """The pod whose companions have been seen since then."""


def _recall_companions(job: JobObservation, memory: _Memory, now: datetime) -> datetime | None:
    """Keep in mind since when the other containers of a pod have outlived the sync's own."""
    if not job.companions:
        memory.companions_since = None
    elif memory.companions_since is None or memory.companions_pod != job.pod_name:
        memory.companions_since, memory.companions_pod = now, job.pod_name
    return memory.companions_since


def _recall_success(sync: EstimateSync, job: JobObservation, memory: _Memory) -> JobObservation:
    """Keep in mind a result that says that everything is stored: its pod may be gone before that is on record."""
    if find_success(job, sync):
        memory.committed = job.termination_message or ""
        return job
    is_misjudged = job.state is not JobState.SUCCEEDED
    known = msgspec.structs.replace(
        job,
        termination_message=memory.committed,
        is_misjudged=is_misjudged,
        pod_name=job.pod_name or memory.pod_name,
    )
    return known if find_success(known, sync) else job


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
        leadership: Leadership | None = None,
        meter: ChangeMeter | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Join the ports; `jitter` returns a number in [0, 1) for each callback retry.

        Without a leadership, this is the only reconciler there is.
        """
        self._store = store
        self._jobs = jobs
        self._events = events
        self._callbacks = callbacks
        self._clock = clock
        self._settings = settings
        self._meter = meter or NoMeter()
        self._leadership = leadership or SoleLeader()
        self._slots = Slots(
            store,
            clock,
            leadership=self._leadership,
            max_active=settings.max_active_syncs,
            patience=settings.stuck_limit,
        )
        self._delivery = Delivery(
            store=store, callbacks=callbacks, clock=clock, write=self._write_if_changed, jitter=jitter
        )
        self._memory: dict[str, _Memory] = {}
        self._silent_uid: str | None = None
        """The sync that is to get an alert, by the latest look."""
        self._lost_at: datetime | None = None
        """When nothing was kept of a write last."""

    async def find_silent(self) -> str | None:
        """Name the sync that is to get an alert, as its next pass will find; None where none is to be sent.

        Nothing happens when a silence becomes too long: call this now and then.

        Raises:
            BackendUnavailableError: Look again later.
        """
        self._silent_uid, now = None, self._clock.now()
        if self._settings.stale_after is None or not await self._callbacks.has_alert_target():
            return None
        if self._lost_at is not None and self._lost_at <= now < self._lost_at + _LOST_TICK:
            return None
        silence = await self._store.fetch_silence(now=now)
        if silence is None or not silence.is_to_be_told(now=now, stale_after=self._settings.stale_after):
            return None
        self._silent_uid = silence.uid
        return silence.name

    async def reconcile(self, name: str) -> Result:
        """Make one pass.

        Raises:
            StaleSyncError: The sync moved on meanwhile; make another pass soon.
            BackendUnavailableError: Make another pass later.
        """
        try:
            return await self._make_pass(name)
        except UnreadableSyncError:
            # Also one that has taken the place of another during the pass.
            return Result()

    async def _make_pass(self, name: str) -> Result:
        await self._leadership.confirm()
        sync = await self._store.fetch(name)
        if sync is None:
            return await self._clean_up(name)
        async with self._slots.decide(sync) as queue:
            seen = await self._observe(sync, queue)
            plan = await self._act(sync, seen, self._plan(sync, seen))
            written = await self._write_if_changed(sync, plan.status)
        is_lost = plan.status is not None and written.status == sync.status != plan.status
        requeue = await self._slots.list_outdated() if plan.moves_queue else ()
        is_loop = is_lost and plan.requeue_after == AT_ONCE
        return Result(requeue_after=_LOST_TICK if is_loop else plan.requeue_after, requeue=requeue)

    async def _observe(self, sync: EstimateSync, queue: QueueDecision | None) -> Seen:
        has_target = await self._callbacks.has_target(sync)
        if sync.status.phase is not Phase.RUNNING:
            self._memory.pop(sync.name, None)
            has_stray = sync.is_finished and await self._jobs.has_stray(sync)
            stop_time = compute_stop_time(sync) if has_stray and not sync.status.log else None
            is_due = stop_time is not None and stop_time <= self._clock.now()
            log = await self._jobs.read_log_tail(sync) if is_due else ()
            return Seen(
                has_target=has_target,
                queue=queue,
                has_stray=has_stray,
                log=log,
                silence=await self._fetch_silence(sync),
                has_alert_target=await self._callbacks.has_alert_target(),
            )
        created_at = self._recall(sync).created_at
        if sync.status.is_job_pending and not sync.spec.cancel and created_at is None:
            return Seen(has_target=has_target)
        return await self._observe_job(sync, Seen(has_target=has_target, created_at=created_at))

    def _recall(self, sync: EstimateSync) -> _Memory:
        memory = self._memory.get(sync.name)
        if memory is None or memory.uid != sync.uid:
            memory = self._memory[sync.name] = _Memory(uid=sync.uid, next_reading=self._clock.now())
        return memory

    async def _fetch_silence(self, sync: EstimateSync) -> Silence | UnsetType | None:
        """Look it up only when it matters: on one machine that is a query."""
        now = self._clock.now()
        is_told_here = sync.status.owes_alert or sync.uid == self._silent_uid
        if is_told_here or may_be_kept(sync, now=now, default_ttl=self._settings.default_ttl):
            return await self._store.fetch_silence(now=now)
        return UNSET

    async def _observe_job(self, sync: EstimateSync, seen: Seen) -> Seen:
        """Read the log once per interval: each write of progress triggers a pass, which would find more progress."""
        memory = self._recall(sync)
        knows_pod = memory.pod_name is not None
        job = await self._jobs.observe(sync, has_result=bool(memory.committed), knows_pod=knows_pod)
        now, progress = self._clock.now(), None
        if job.termination_message or memory.committed:
            job = _recall_success(sync, job, memory)
        is_left = bool(job.companions) and not find_success(job, sync)
        log: tuple[str, ...] = ()
        known_pod, memory.pod_name = memory.pod_name, job.pod_name or memory.pod_name
        if memory.next_reading <= now or is_left:
            memory.next_reading = now + self._settings.progress_interval
            if (is_left or job.is_progressing) and not (sync.spec.cancel or sync.status.is_being_ended):
                log = await self._jobs.read_log_tail(sync, pod_name=job.pod_name)
                progress, memory.trouble = parse_progress(log), parse_trouble(log)
        if not job.is_progressing:
            memory.trouble = None
        return msgspec.structs.replace(
            seen,
            job=job,
            progress=progress,
            trouble=memory.trouble,
            log=log if is_left else (),
            next_reading=memory.next_reading - now,
            known_pod=known_pod,
            companions_since=_recall_companions(job, memory, now),
        )

    def _plan(self, sync: EstimateSync, seen: Seen) -> Plan:
        return build_plan(sync, seen, now=self._clock.now(), settings=self._settings)

    async def _act(self, sync: EstimateSync, seen: Seen, plan: Plan) -> Plan:
        """Carry out the action; a job that is not created is news, and so there is another plan.

        Reading takes time, in which another process may have come to lead.
        """
        if plan.action is not None:
            await self._leadership.confirm()
        if plan.action is Action.CREATE_JOB:
            try:
                await self._jobs.create(sync, get_date_range(sync))
            except (JobRefusedError, JobNameTakenError) as error:
                return await self._plan_again(sync, seen, error)
            memory, now = self._recall(sync), self._clock.now()
            memory.created_at, memory.next_reading = now, now + FIRST_LOOK
            await self._events.emit(sync, build_created_event(sync))
        elif plan.action is Action.STOP_JOB:
            await self._jobs.stop(sync)
        elif plan.action is Action.STOP_RUN:
            return await self._stop_run(sync, seen, plan)
        elif plan.action is Action.SEND_CALLBACK:
            return self._plan_rest(await self._delivery.deliver(sync), seen)
        elif plan.action is Action.SEND_ALERT:
            return self._plan_rest(await self._delivery.deliver_alert(sync), seen)
        elif plan.action is Action.DELETE_SYNC:
            await self._store.delete(sync)
        return plan

    def _plan_rest(self, sync: EstimateSync, seen: Seen) -> Plan:
        """Plan what follows a delivery from the sync as recorded: the cache keeps no more of one that is settled."""
        rest = self._plan(sync, seen)
        is_due = seen.has_stray or rest.action is not None or rest.status is not None
        return Plan(requeue_after=AT_ONCE if is_due else rest.requeue_after)

    async def _stop_run(self, sync: EstimateSync, seen: Seen, plan: Plan) -> Plan:
        if plan.pod is None:
            raise ValueError("a run is stopped by its pod")
        try:
            await self._jobs.stop_run(sync, plan.pod)
        except RunKeptError:
            return self._plan(sync, msgspec.structs.replace(seen, may_stop_run=False))
        return plan

    async def _plan_again(self, sync: EstimateSync, seen: Seen, error: Exception) -> Plan:
        """A quota refuses a job before its name is looked at, even the one that an earlier request has created."""
        found = await self._observe_job(sync, seen)
        if isinstance(error, JobRefusedError) and found.job == ABSENT_JOB:
            return self._plan(sync, msgspec.structs.replace(seen, refusal=str(error)))
        return await self._act(sync, found, self._plan(sync, found))

    async def _write_if_changed(self, sync: EstimateSync, status: EstimateSyncStatus | None) -> EstimateSync:
        """Write, then record what changed: an event that is recorded twice would be worse than none.

        Returns:
            The sync as it is stored then.

        Raises:
            StaleSyncError: The sync has moved on since it was read; nothing was written.
        """
        if status is None or status == sync.status:
            return sync
        written = await self._store.write_status(sync, status)
        if written.status == sync.status:
            self._note_loss()
            return written
        self._meter.record_change(sync, status)
        for event in build_events(sync.status, status):
            await self._events.emit(sync, event)
        return written

    def _note_loss(self) -> None:
        """Say once that the API server keeps nothing of a field that is new to it."""
        if self._lost_at is None:
            logger.warning(
                "the status of a sync is not kept as it is written: the CustomResourceDefinition is of an earlier "
                "version; upgrade the release that owns it"
            )
        self._lost_at, self._silent_uid = self._clock.now(), None

    async def _clean_up(self, name: str) -> Result:
        """Remove what a sync that is gone has left."""
        self._memory.pop(name, None)
        self._delivery.forget(name)
        await self._jobs.remove_leftovers(name)
        return Result(requeue=await self._slots.list_outdated())
