"""The reconciler of one machine and everything that feeds it: one context, for as long as the supervisor runs.

Whatever triggers it (a notification, a job that looks different, the tick) only names syncs to reconcile; the tick
makes up for a trigger that got lost.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.job_environment import DATABASE_URL
from estimatesync_operator.adapters.tracing import JobTraces, TraceablePorts, build_trace_headers, trace_ports
from estimatesync_operator.callback.sender import HttpCallbackSender
from estimatesync_operator.core.ports import BackendUnavailableError, EventType, NoMeter, SyncEvent, SystemClock
from estimatesync_operator.reconciler import Reconciler
from estimatesync_operator.silence_watch import watch_silence
from estimatesync_operator.workqueue import WorkQueue
from estimatesync_tracing.log_fields import install_trace_fields
from estimatesync_tracing.setup import create_tracer
from estimatesync_tracing.spans import Tracer

from estimatesync_local.adapters.job_controller import ControllerSettings, JobController, ProcessJobs, Program
from estimatesync_local.adapters.sync_store import ReconcilerStore, SyncTable, listen
from estimatesync_local.core.job_logic import Backoff
from estimatesync_local.settings import Settings

_LEVELS = {EventType.NORMAL: logging.INFO, EventType.WARNING: logging.WARNING}

_TICK: Final = timedelta(seconds=30)
_ERROR_PAUSE: Final = timedelta(seconds=2)
_CLOSE_SECONDS: Final = 2.0
"""For the last spans, when the loop ends."""

logger = logging.getLogger(__name__)


class LogEvents:
    """The reconciler's EventRecorder of one machine: events are lines of the log."""

    async def emit(self, sync: EstimateSync, event: SyncEvent) -> None:
        logger.log(_LEVELS[event.type], "%s: %s", event.reason, event.message, extra={"sync_id": sync.name})


class NoSecrets:
    """There are no Kubernetes Secrets here, so a sync cannot take its callback's URL from one."""

    async def read(self, namespace: str, name: str, key: str) -> str | None:  # noqa: ARG002 - the seam's parameters
        return None


class ReconcileLoop:
    """Joins the reconciler with PostgreSQL, child processes, the log and the callback."""

    def __init__(self, settings: Settings, *, database_url: str, jobs_directory: Path, tracer: Tracer) -> None:
        clock = SystemClock()
        self._database_url = database_url
        self._table = SyncTable(database_url)
        self._store = ReconcilerStore(self._table)
        self._controller = JobController(
            directory=jobs_directory,
            program=build_program(settings, database_url=database_url),
            clock=clock,
            settings=ControllerSettings(backoff=Backoff(first_delay=settings.retry_delay)),
        )
        sender = HttpCallbackSender(
            lambda: settings.callback, NoSecrets(), trace_headers=partial(build_trace_headers, tracer)
        )
        ports = trace_ports(TraceablePorts(store=self._store, callbacks=sender, meter=NoMeter()), tracer, clock)
        reconciler = Reconciler(
            store=ports.store,
            jobs=ProcessJobs(
                directory=jobs_directory,
                controller=self._controller,
                clock=clock,
                format_trace=JobTraces(tracer).format,
            ),
            events=LogEvents(),
            callbacks=ports.callbacks,
            clock=clock,
            settings=settings.reconciler,
            meter=ports.meter,
        )
        self._reconciler = reconciler
        self._queue = WorkQueue(reconciler.reconcile)
        self._is_full_pass_due = True
        self._wake = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run for the time of the context; the task that it yields ends only by a defect, with the error.

        On the way out running syncs are interrupted; the next start begins them again.
        """
        task = asyncio.create_task(self._run(), name="reconcile-loop")
        try:
            yield task
        finally:
            await self._controller.interrupt()
            task.cancel()
            await asyncio.wait([task])
            await self._table.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            group.create_task(self._controller.watch(self._queue.add))
            group.create_task(listen(self._database_url, on_name=self._on_notification, on_connect=self._on_connect))
            group.create_task(self._poll())
            group.create_task(watch_silence(self._reconciler.find_silent, self._queue.add))

    def _on_notification(self, name: str) -> None:
        self._queue.add(name)
        # The sync may have been deleted, and then its job must be deleted, too.
        self._wake.set()

    def _on_connect(self) -> None:
        self._is_full_pass_due = True
        self._wake.set()

    async def _poll(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._enqueue_all()
            except BackendUnavailableError as error:
                logger.warning("cannot list the syncs now: %s", error)
                await asyncio.sleep(_ERROR_PAUSE.total_seconds())
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _TICK.total_seconds())

    async def _enqueue_all(self) -> None:
        """Enqueue every sync that may have been missed, and delete the jobs of deleted syncs."""
        for name in await self._list_names():
            self._queue.add(name)
        await self._controller.adopt(self._fetch_uids)

    async def _fetch_uids(self) -> tuple[Collection[str], Collection[str]]:
        # In this order: a sync that is deleted in between is in both, and its job is deleted.
        known = await self._store.fetch_uids()
        return known.values(), await self._store.fetch_deleted_uids()

    async def _list_names(self) -> list[str]:
        """List all syncs after each connect, for finished ones may still owe a callback; later, the unfinished ones."""
        if self._is_full_pass_due:
            names = list(await self._store.fetch_uids())
            self._is_full_pass_due = False
            return names
        return [sync.name for sync in await self._store.fetch_unfinished()]


def build_program(settings: Settings, *, database_url: str) -> Program:
    """Build the sync program: this Python, these settings, and only what it needs of the machine's environment."""
    python: Mapping[str, str] = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    own = {**settings.program_environment, **settings.tracing.variables, DATABASE_URL: database_url}
    environment = {**settings.machine_environment, **python, **own}
    return Program(command=(sys.executable, "-m", "estimatesync_job"), environment=environment)


@asynccontextmanager
async def running_reconcile_loop(
    settings: Settings, *, database_url: str, jobs_directory: Path
) -> AsyncIterator[asyncio.Task[None]]:
    """Run the loop with a tracer of its own, closed after the last span; `ReconcileLoop.running` explains the task."""
    tracer = create_tracer(settings.tracing, part="operator", warn=logger.warning)
    install_trace_fields(tracer, logging.getLogger().handlers, as_text=True)
    tracer.open()
    loop = ReconcileLoop(settings, database_url=database_url, jobs_directory=jobs_directory, tracer=tracer)
    try:
        async with loop.running() as work:
            yield work
    finally:
        await asyncio.to_thread(tracer.close, seconds=_CLOSE_SECONDS)
