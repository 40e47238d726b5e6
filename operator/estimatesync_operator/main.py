"""The operator's kopf shell and its composition root: watch events go to the handlers, the work queue does the rest.

Run it as a module, one replica per namespace:

    kopf run -m estimatesync_operator.main --namespace $NAMESPACE --log-format=json \
        --liveness http://0.0.0.0:8080/healthz

Only `on.event` handlers are used: they neither annotate the objects nor add finalizers, so an operator that has been
removed leaves nothing behind that cannot be deleted. kopf does not retry them; the work queue makes up for that.
"""

import asyncio
import logging
import os
import random
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, NoReturn, Protocol

import kopf
from estimatesync_contract.callback_url import format_target
from estimatesync_contract.job_environment import ATTIC_TECH_URL
from estimatesync_contract.legacy_settings import accept_old_names
from estimatesync_contract.names import GROUP, PLURAL, VERSION
from estimatesync_contract.settings import SettingsError, SettingsReader
from estimatesync_kubernetes.client import KubernetesClient
from estimatesync_kubernetes.pod_environment import build_server_url
from estimatesync_tracing.log_fields import install_trace_fields
from estimatesync_tracing.setup import NO_TRACER, create_tracer
from estimatesync_tracing.spans import Tracer

from estimatesync_operator.adapters.events import KubernetesEvents
from estimatesync_operator.adapters.jobs import JobSnapshots, KubernetesJobs, check_job_settings
from estimatesync_operator.adapters.kubernetes_api import open_kubernetes
from estimatesync_operator.adapters.sync_store import KubernetesSyncStore, NotServedError
from estimatesync_operator.adapters.tracing import JobTraces, TraceablePorts, build_trace_headers, trace_ports
from estimatesync_operator.adapters.webhook_secrets import KubernetesSecrets
from estimatesync_operator.callback.files import CallbackFiles, read_files
from estimatesync_operator.callback.sender import HttpCallbackSender
from estimatesync_operator.callback.settings import CallbackSettings, read_callback_settings
from estimatesync_operator.core.ports import (
    BackendUnavailableError,
    CallbackSender,
    ChangeMeter,
    Clock,
    SystemClock,
)
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.core.watch_health import BLIND_LIMIT, WatchHealth
from estimatesync_operator.kopf_settings import configure
from estimatesync_operator.metrics import OperatorMetrics, serve_metrics
from estimatesync_operator.reconciler import Reconciler
from estimatesync_operator.settings import ENVIRONMENT, OperatorSettings, read_operator_settings
from estimatesync_operator.watch_handlers import WatchHandlers
from estimatesync_operator.workqueue import PassOutcome, WorkQueue, install_sync_ids

_START_SECONDS: Final = 5.0
"""For the list of all syncs at start, which then goes on in the background; and between two tries at a server."""

_TRACING_SECONDS: Final = 2.0
"""For the spans that are still to be sent at the end."""

logger = logging.getLogger(__name__)


class _Shell:
    """What lives from start-up to clean-up."""

    handlers: asyncio.Future[WatchHandlers]
    """Events that arrive before they are ready wait for them."""
    resources: AsyncExitStack
    tracer: Tracer = NO_TRACER
    opening: asyncio.Task[None] | None = None


_shell = _Shell()


@kopf.on.login()
def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's keyword arguments are of any type
    """Log in without the synchronous Kubernetes client, whose import would cost a second and 50 MB."""
    account = kopf.login_with_service_account(**kwargs)
    # By its address: kopf takes the name kubernetes.default.svc, and sees nothing while the name service is down.
    if account and (server := build_server_url(os.environ)):
        return replace(account, server=server)
    return account or kopf.login_with_kubeconfig(**kwargs)


@kopf.on.startup()
async def _start(settings: kopf.OperatorSettings, **_: object) -> None:
    """Never wait here for an API server that is down: the liveness probe is answered only once this returns.

    Settings that cannot be used end the program with the list of their faults.
    """
    configure(settings)
    install_sync_ids(logging.getLogger().handlers)
    old_names = accept_old_names(os.environ, (ATTIC_TECH_URL, ENVIRONMENT.name))
    try:
        operator, callback = read_settings(old_names.environment, faults=old_names.faults)
    except SettingsError as error:
        _exit(error)
    for note in old_names.notes:
        logger.warning("%s", note)
    _shell.tracer = create_tracer(operator.tracing, part="operator", warn=logger.warning)
    install_trace_fields(_shell.tracer, logging.getLogger().handlers, as_text=False)
    _shell.tracer.open()
    target = format_target(callback.default_url) if callback.default_url else "the webhook that a sync names, if any"
    logger.info("serving the EstimateSyncs of namespace %s; callbacks go to %s", operator.namespace, target)
    _shell.resources = AsyncExitStack()
    _shell.handlers = asyncio.get_running_loop().create_future()
    _shell.opening = asyncio.create_task(
        _open(operator, CallbackFiles(old_names.environment, callback)), name="opening"
    )
    await asyncio.wait({_shell.opening}, timeout=_START_SECONDS)


async def _open(operator: OperatorSettings, callback: CallbackFiles) -> None:
    """Try until the API server answers; when a person must act first, end the program with what to do."""
    not_served: NotServedError | None = None
    while True:
        try:
            running = run_operator(operator, callback, _shell.tracer)
            _shell.handlers.set_result(await _shell.resources.enter_async_context(running))
        except BackendUnavailableError as error:
            logger.warning("waiting for the API server: %s", error)
        except NotServedError as error:
            # An API server that has just started knows no rights for a moment: only a second complaint is believed.
            if not_served:
                _exit(error)
            not_served = error
            logger.warning("%s. Trying again in %.0f s", error, _START_SECONDS)
        except SettingsError as error:
            _exit(error)
        except Exception as error:
            # Nothing awaits this task: without this the operator would live on and do nothing.
            logger.exception("the operator cannot start")
            raise SystemExit("The operator cannot start, because of an error that it does not know") from error
        else:
            return
        await asyncio.sleep(_START_SECONDS)


def _exit(error: Exception) -> NoReturn:
    """End the program with the message of this error, and nothing else."""
    # Those of kopf's own coroutines that have not begun would each warn about it.
    warnings.filterwarnings("ignore", r"coroutine .* was never awaited", RuntimeWarning)
    raise SystemExit(str(error)) from error


@kopf.on.probe(id="watch")
async def _probe(**_: object) -> str:
    """Fail when only a restart can help: any other error would leave the probe without an answer."""
    if not _shell.handlers.done():
        return "waits for the API server"
    blindness = _shell.handlers.result().compute_blindness()
    if blindness > BLIND_LIMIT:
        raise kopf.PermanentError(f"the watch has not shown our own writes for {blindness.total_seconds():.0f} s")
    return "shows what is written"


@kopf.on.cleanup()
async def _stop(**_: object) -> None:
    if _shell.opening is None:
        return
    _shell.opening.cancel()
    await _shell.resources.aclose()
    await asyncio.to_thread(_shell.tracer.close, seconds=_TRACING_SECONDS)


@kopf.on.event(GROUP, VERSION, PLURAL)
async def _handle_sync(event: kopf.RawEvent, **_: object) -> None:
    """Fires on each change, on deletion, and at start for every sync there is."""
    (await _shell.handlers).handle_sync(event["type"], dict(event["object"]))


@kopf.on.event("batch", "v1", "jobs")
async def _handle_job(event: kopf.RawEvent, **_: object) -> None:
    (await _shell.handlers).handle_job(event["type"], dict(event["object"]))


def read_settings(
    environ: Mapping[str, str], *, faults: Iterable[str] = ()
) -> tuple[OperatorSettings, CallbackSettings]:
    """Read all settings; `faults` have been found already.

    Raises:
        SettingsError: Some cannot be used; the error lists all of them.
    """
    merged, unreadable = read_files(environ)
    reader = SettingsReader(merged, faults=[*faults, *unreadable])
    settings = read_operator_settings(reader), read_callback_settings(reader)
    reader.raise_faults()
    return settings


@asynccontextmanager
async def run_operator(
    settings: OperatorSettings, callback: CallbackFiles, tracer: Tracer
) -> AsyncIterator[WatchHandlers]:
    """Run everything but the watch for as long as the context lasts; watch events go to the handlers it yields.

    Raises:
        NotServedError: A person must act before there is anything to do.
        SettingsError: What a setting names cannot be used.
        BackendUnavailableError: The API server does not answer yet.
    """
    async with open_kubernetes() as client:
        await check_job_settings(client, settings.namespace, settings.job)
        cache, health = SyncCache(default_ttl=settings.reconciler.default_ttl), WatchHealth()
        metrics = OperatorMetrics(cache, health)
        sender = HttpCallbackSender(
            callback.read(),
            KubernetesSecrets(client),
            trace_headers=partial(build_trace_headers, tracer),
            read_settings=callback.read,
        )
        reconciling = run_reconciler(
            client, settings, callbacks=sender, cache=cache, health=health, tracer=tracer, metrics=metrics
        )
        async with (
            reconciling as handlers,
            serve_metrics(metrics.registry, address=settings.metrics_address, port=settings.metrics_port),
        ):
            yield handlers


class Metrics(ChangeMeter, Protocol):
    """Counts changes and passes."""

    def record_pass(self, result: PassOutcome, seconds: float) -> None:
        """Count a pass and how long it took."""


@asynccontextmanager
async def run_reconciler(
    client: KubernetesClient,
    settings: OperatorSettings,
    *,
    callbacks: CallbackSender,
    cache: SyncCache,
    health: WatchHealth,
    tracer: Tracer,
    metrics: Metrics,
    clock: Clock | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> AsyncIterator[WatchHandlers]:
    """Join the reconciler with the API server and a work queue, and run both; the simulator runs the same.

    Raises:
        NotServedError: A person must act before there is anything to do.
        BackendUnavailableError: The API server does not answer yet.
    """
    clock = clock or SystemClock()
    snapshots = JobSnapshots(monotonic)
    store = KubernetesSyncStore(client, settings.namespace, cache=cache, health=health, clock=clock)
    # Which syncs run must be known before the first slot is given.
    await store.load()
    ports = trace_ports(TraceablePorts(store=store, callbacks=callbacks, meter=metrics), tracer, clock)
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
        jitter=jitter,
    )
    async with running(WorkQueue(reconciler.reconcile, record_pass=metrics.record_pass)) as queue:
        handlers = WatchHandlers(cache, snapshots, health, queue, clock)
        handlers.enqueue_all()
        yield handlers


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
