"""Joins the reconciler with Kubernetes and the callback: the operator's one composition root, used by its main."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import monotonic

from estimatesync_contract.environment_reader import EnvironmentReader
from estimatesync_tracing.spans import Tracer

from estimatesync_operator.callback_http import HttpCallbackSender
from estimatesync_operator.callback_settings import CallbackSettings, read_callback_settings
from estimatesync_operator.intake import Intake
from estimatesync_operator.job_snapshots import JobSnapshots
from estimatesync_operator.kubernetes_api import open_kubernetes_api
from estimatesync_operator.kubernetes_events import KubernetesEvents
from estimatesync_operator.kubernetes_jobs import KubernetesJobs
from estimatesync_operator.kubernetes_secrets import KubernetesSecrets
from estimatesync_operator.kubernetes_store import KubernetesSyncStore
from estimatesync_operator.metrics import OperatorMetrics
from estimatesync_operator.metrics_server import serve_metrics
from estimatesync_operator.reconciler import Reconciler
from estimatesync_operator.settings import OperatorSettings, read_operator_settings
from estimatesync_operator.sync_cache import SyncCache
from estimatesync_operator.system_clock import SystemClock
from estimatesync_operator.traced_ports import JobTraces, TraceablePorts, build_trace_headers, trace_ports
from estimatesync_operator.watch_health import WatchHealth
from estimatesync_operator.workqueue import WorkQueue


def read_settings(
    environ: Mapping[str, str], *, faults: Iterable[str] = ()
) -> tuple[OperatorSettings, CallbackSettings]:
    """Read all settings; `faults` have been found already.

    Raises:
        SettingsError: Some cannot be used; the error lists all of them.
    """
    reader = EnvironmentReader(environ, faults=faults)
    settings = read_operator_settings(reader), read_callback_settings(reader)
    reader.raise_faults()
    return settings


@asynccontextmanager
async def run_operator(settings: OperatorSettings, callback: CallbackSettings, tracer: Tracer) -> AsyncIterator[Intake]:
    """Run everything but the watch for as long as the context lasts; what the watch shows goes into the Intake.

    Raises:
        NotServedError: A person must act before there is anything to do.
        SettingsError: What a setting names cannot be used.
        WorldUnavailableError: The API server does not answer yet.
    """
    async with open_kubernetes_api() as client:
        cache = SyncCache(default_ttl=settings.reconciler.default_ttl)
        snapshots, health, clock = JobSnapshots(monotonic), WatchHealth(), SystemClock()
        store = KubernetesSyncStore(client, settings.namespace, cache=cache, health=health, clock=clock)
        # Who runs must be known before the first place is given.
        await store.load()
        metrics = OperatorMetrics(cache, health)
        sender = HttpCallbackSender(
            callback, KubernetesSecrets(client), trace_headers=partial(build_trace_headers, tracer)
        )
        ports = trace_ports(TraceablePorts(store=store, callbacks=sender, meter=metrics), tracer, clock)
        reconciler = Reconciler(
            store=ports.store,
            jobs=KubernetesJobs(
                client,
                settings.namespace,
                settings.job,
                snapshots=snapshots,
                clock=clock,
                format_trace=JobTraces(tracer).format,
            ),
            events=KubernetesEvents(
                client, settings.namespace, reporting_instance=settings.reporting_instance, clock=clock
            ),
            callbacks=ports.callbacks,
            clock=clock,
            settings=settings.reconciler,
            meter=ports.meter,
        )
        async with (
            running(WorkQueue(reconciler.reconcile, record_visit=metrics.record_visit)) as queue,
            serve_metrics(metrics.registry, address=settings.metrics_address, port=settings.metrics_port),
        ):
            intake = Intake(cache, snapshots, health, queue, clock)
            intake.plan_all()
            yield intake


@asynccontextmanager
async def running(queue: WorkQueue) -> AsyncIterator[WorkQueue]:
    """Run a work queue for the time of the context."""
    task = asyncio.create_task(queue.run(), name="workqueue")
    try:
        yield queue
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
