"""Tells people in the log what happened to a sync: the one-machine side of the reconciler's EventRecorder.

The reconciler of one machine and everything that feeds it: one context, for as long as the supervisor runs.

Whatever wakes it (a notification, a job that looks different, the tick) only names syncs to visit; a wake-up that got
lost is made good by the tick.

Runs the engine with a tracer of its own around it, which is closed after the last span. Called by the supervisor.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.job_environment import DATABASE_URL
from estimatesync_operator.adapters.tracing import JobTraces, TraceablePorts, build_trace_headers, trace_ports
from estimatesync_operator.callback.sender import HttpCallbackSender
from estimatesync_operator.ports import EventType, NoMeter, SyncEvent, SystemClock, WorldUnavailableError
from estimatesync_operator.reconciler import Reconciler
from estimatesync_operator.workqueue import WorkQueue
from estimatesync_tracing.log_fields import install_trace_fields
from estimatesync_tracing.setup import create_tracer
from estimatesync_tracing.spans import Tracer

from estimatesync_local.adapters.job_controller import JobKeeper, KeeperSettings, ProcessJobs, Program
from estimatesync_local.adapters.sync_store import ReconcilerStore, SyncTable, listen
from estimatesync_local.core.job_logic import Pace
from estimatesync_local.settings import Settings

_LEVELS = {EventType.NORMAL: logging.INFO, EventType.WARNING: logging.WARNING}

logger = logging.getLogger(__name__)


class LogEvents:
    """See EventRecorder."""

    async def emit(self, sync: EstimateSync, event: SyncEvent) -> None:
        """Write one line."""
        logger.log(_LEVELS[event.type], "%s: %s", event.reason, event.message, extra={"sync_id": sync.name})


_TICK: Final = timedelta(seconds=30)
_TROUBLE_PAUSE: Final = timedelta(seconds=2)

logger = logging.getLogger(__name__)


class NoSecrets:
    """There are no Kubernetes Secrets here, so a sync cannot take its callback's URL from one."""

    async def read(self, namespace: str, name: str, key: str) -> str | None:  # noqa: ARG002 - the seam's parameters
        """Find nothing."""
        return None


class Engine:
    """Joins the reconciler with PostgreSQL, child processes, the log and the callback."""

    def __init__(self, settings: Settings, *, database_url: str, jobs_directory: Path, tracer: Tracer) -> None:
        """Start nothing yet."""
        clock = SystemClock()
        self._database_url = database_url
        self._table = SyncTable(database_url)
        self._store = ReconcilerStore(self._table)
        self._keeper = JobKeeper(
            directory=jobs_directory,
            program=build_program(settings, database_url=database_url),
            clock=clock,
            settings=KeeperSettings(pace=Pace(first_delay=settings.retry_delay)),
        )
        sender = HttpCallbackSender(settings.callback, NoSecrets(), trace_headers=partial(build_trace_headers, tracer))
        ports = trace_ports(TraceablePorts(store=self._store, callbacks=sender, meter=NoMeter()), tracer, clock)
        reconciler = Reconciler(
            store=ports.store,
            jobs=ProcessJobs(
                directory=jobs_directory,
                keeper=self._keeper,
                clock=clock,
                format_trace=JobTraces(tracer).format,
            ),
            events=LogEvents(),
            callbacks=ports.callbacks,
            clock=clock,
            settings=settings.reconciler,
            meter=ports.meter,
        )
        self._queue = WorkQueue(reconciler.reconcile)
        self._is_all_to_visit = True
        self._news = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run for the time of the context; the task that it answers ends only by a defect, with the error.

        On the way out running syncs are interrupted; the next start begins them again.
        """
        task = asyncio.create_task(self._run(), name="engine")
        try:
            yield task
        finally:
            await self._keeper.interrupt()
            task.cancel()
            await asyncio.wait([task])
            await self._table.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            group.create_task(self._keeper.watch(self._queue.add))
            group.create_task(listen(self._database_url, on_name=self._hear, on_connect=self._forget_what_was_seen))
            group.create_task(self._keep_looking())

    def _hear(self, name: str) -> None:
        self._queue.add(name)
        # The sync may be gone, and then its job must go, too.
        self._news.set()

    def _forget_what_was_seen(self) -> None:
        self._is_all_to_visit = True
        self._news.set()

    async def _keep_looking(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._look_around()
            except WorldUnavailableError as error:
                logger.warning("cannot look for syncs now: %s", error)
                await asyncio.sleep(_TROUBLE_PAUSE.total_seconds())
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _TICK.total_seconds())

    async def _look_around(self) -> None:
        """Visit whatever may have been missed, and remove jobs that nobody needs."""
        for name in await self._list_names():
            self._queue.add(name)
        await self._keeper.delete_orphans(self._fetch_known_uids)

    async def _list_names(self) -> list[str]:
        """All syncs at the start, for finished ones may still have a callback to come; later, those in the works."""
        if self._is_all_to_visit:
            names = list(await self._store.fetch_uids())
            self._is_all_to_visit = False
            return names
        return [sync.name for sync in await self._store.fetch_unfinished()]

    async def _fetch_known_uids(self) -> set[str]:
        return set((await self._store.fetch_uids()).values())


def build_program(settings: Settings, *, database_url: str) -> Program:
    """The sync program with this Python, these settings, and no more of the machine's environment than it needs."""
    python: Mapping[str, str] = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    own = {**settings.program_environment, **settings.tracing.variables, DATABASE_URL: database_url}
    environment = {**settings.machine_environment, **python, **own}
    return Program(command=(sys.executable, "-m", "estimatesync_job"), environment=environment)


_CLOSE_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


@asynccontextmanager
async def running_engine(
    settings: Settings, *, database_url: str, jobs_directory: Path
) -> AsyncIterator[asyncio.Task[None]]:
    """Run the engine; see `Engine.running` for the task that it answers."""
    tracer = create_tracer(settings.tracing, part="operator", warn=logger.warning)
    install_trace_fields(tracer, logging.getLogger().handlers, as_text=True)
    tracer.open()
    engine = Engine(settings, database_url=database_url, jobs_directory=jobs_directory, tracer=tracer)
    try:
        async with engine.running() as work:
            yield work
    finally:
        await asyncio.to_thread(tracer.close, seconds=_CLOSE_SECONDS)
