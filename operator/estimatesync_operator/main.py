"""The operator's kopf shell and its composition root: watch events go to the handlers, the work queue does the rest.

Run it as a module, as many replicas as there should be to take over from each other:

    kopf run -m estimatesync_operator.main --namespace $NAMESPACE --log-format=json \
        --liveness http://0.0.0.0:8080/healthz

Only `on.event` handlers are used: they neither annotate the objects nor add finalizers, so an operator that has been
removed leaves nothing behind that cannot be deleted. kopf does not retry them; the work queue makes up for that.
"""

import asyncio
import logging
import os
import random
import secrets
import time
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, NoReturn, Protocol

import kopf
from estimatesync_contract.callback_url import format_target
from estimatesync_contract.job_environment import ATTIC_TECH_URL
from estimatesync_contract.legacy_settings import accept_old_names
from estimatesync_contract.names import GROUP, PLURAL, VERSION
from estimatesync_contract.settings import SettingsError, SettingsReader
from estimatesync_contract.unknown_settings import find_misspelt_settings
from estimatesync_kubernetes.client import KubernetesClient
from estimatesync_kubernetes.pod_environment import build_server_url
from estimatesync_tracing.log_fields import install_trace_fields
from estimatesync_tracing.setup import NO_TRACER, create_tracer
from estimatesync_tracing.spans import Tracer

from estimatesync_operator.adapters.events import KubernetesEvents
from estimatesync_operator.adapters.jobs import JobSnapshots, KubernetesJobs, check_job_settings
from estimatesync_operator.adapters.kubernetes_api import open_kubernetes
from estimatesync_operator.adapters.lease import KubernetesLease
from estimatesync_operator.adapters.sync_store import KubernetesSyncStore
from estimatesync_operator.adapters.tracing import JobTraces, TraceablePorts, build_trace_headers, trace_ports
from estimatesync_operator.adapters.webhook_secrets import KubernetesSecrets
from estimatesync_operator.callback.files import CallbackFiles, read_files
from estimatesync_operator.callback.sender import HttpCallbackSender
from estimatesync_operator.callback.settings import CallbackSettings, read_callback_settings
from estimatesync_operator.core.lease import Identity
from estimatesync_operator.core.ports import (
    BackendUnavailableError,
    CallbackSender,
    ChangeMeter,
    Clock,
    Leadership,
    NotServedError,
    SystemClock,
)
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.core.watch_health import BLIND_LIMIT, WatchHealth
from estimatesync_operator.kopf_settings import configure
from estimatesync_operator.leadership import LeaseHolder
from estimatesync_operator.metrics import OperatorMetrics, serve_metrics
from estimatesync_operator.reconciler import Reconciler
from estimatesync_operator.settings import ENVIRONMENT, OPERATOR_SETTINGS, OperatorSettings, read_operator_settings
from estimatesync_operator.silence_watch import watch_silence
from estimatesync_operator.watch_handlers import Served, WatchHandlers
from estimatesync_operator.workqueue import PassOutcome, WorkQueue, install_sync_ids

_START_SECONDS: Final = 5.0
"""For the list of all syncs at start, which then goes on in the background; and between two tries at a server."""

_COMPLAINT_SECONDS: Final = 60.0
"""Two complaints further apart are not one: a try that fails takes a few calls and the look at another's renewal."""

_DRAIN_SECONDS: Final = 0.5
"""For the passes under way at the end: a callback that is cut off is sent again by whoever leads next."""

_TRACING_SECONDS: Final = 2.0
"""For the spans that are still to be sent at the end."""

logger = logging.getLogger(__name__)


class Shell:
    """What lives from start-up to clean-up."""

    def __init__(self) -> None:
        self.handlers = WatchHandlers(SystemClock())
        self.tracer: Tracer = NO_TRACER
        self.is_leading: Callable[[], bool] = lambda: False
        self.has_begun = asyncio.Event()
        """Set when it stands by, or leads and knows every sync."""
        self.operation: asyncio.Task[None] | None = None
        self._leader = ""

    @property
    def state(self) -> str:
        if self.is_leading():
            return "leads"
        return f"stands by: {self._leader} leads" if self._leader else "waits for the API server"

    def stand_by(self, leader: str) -> None:
        """Another one leads."""
        self._leader = leader
        self.has_begun.set()

    def begin(self) -> None:
        """This one leads."""
        self._leader = ""
        self.has_begun.set()


_shell = Shell()


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
    misspelt = find_misspelt_settings(old_names.environment, [each.name for each in OPERATOR_SETTINGS])
    for note in (*old_names.notes, *misspelt):
        logger.warning("%s", note)
    try:
        operator, callback = read_settings(old_names.environment, faults=old_names.faults)
    except SettingsError as error:
        _exit(error)
    _shell.tracer = create_tracer(operator.tracing, part="operator", warn=logger.warning)
    install_trace_fields(_shell.tracer, logging.getLogger().handlers, as_text=False)
    _shell.tracer.open()
    target = format_target(callback.default_url) if callback.default_url else "the webhook that a sync names, if any"
    logger.info("serving the EstimateSyncs of namespace %s; callbacks go to %s", operator.namespace, target)
    _shell.operation = asyncio.create_task(
        _operate(operator, CallbackFiles(old_names.environment, callback)), name="operation"
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            await _shell.has_begun.wait()


async def _operate(operator: OperatorSettings, callback: CallbackFiles) -> None:
    """Run until cancelled; when a person must act first, end the program with what to do."""
    try:
        await run_operator(operator, callback, _shell)
    except (NotServedError, SettingsError) as error:
        _exit(error)
    except Exception as error:
        # Nothing awaits this task: without this the operator would live on and do nothing.
        logger.exception("the operator cannot start")
        raise SystemExit("The operator cannot start, because of an error that it does not know") from error


def _exit(error: Exception) -> NoReturn:
    """End the program with the message of this error, and nothing else."""
    # Those of kopf's own coroutines that have not begun would each warn about it.
    warnings.filterwarnings("ignore", r"coroutine .* was never awaited", RuntimeWarning)
    raise SystemExit(str(error)) from error


@kopf.on.probe(id="watch")
async def _probe(**_: object) -> str:
    """Fail when only a restart can help: any other error would leave the probe without an answer."""
    blindness = _shell.handlers.compute_blindness()
    if blindness > BLIND_LIMIT:
        raise kopf.PermanentError(f"the watch has not shown our own writes for {blindness.total_seconds():.0f} s")
    return _shell.state


@kopf.on.cleanup()
async def _stop(**_: object) -> None:
    if _shell.operation is None:
        return
    _shell.operation.cancel()
    await asyncio.wait({_shell.operation})
    await asyncio.to_thread(_shell.tracer.close, seconds=_TRACING_SECONDS)


@kopf.on.event(GROUP, VERSION, PLURAL)
async def _handle_sync(event: kopf.RawEvent, **_: object) -> None:
    """Fires on each change, on deletion, and at start for every sync there is."""
    _shell.handlers.handle_sync(event["type"], dict(event["object"]))


@kopf.on.event("batch", "v1", "jobs")
async def _handle_job(event: kopf.RawEvent, **_: object) -> None:
    _shell.handlers.handle_job(event["type"], dict(event["object"]))


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


async def run_operator(settings: OperatorSettings, callback: CallbackFiles, shell: Shell) -> None:
    """Lead or stand by until cancelled, and try again while the API server does not answer.

    Raises:
        NotServedError: A person must act before there is anything to do.
        SettingsError: What a setting names cannot be used.
    """
    async with open_kubernetes() as client:
        metrics = OperatorMetrics()
        sender = HttpCallbackSender(
            callback.read, KubernetesSecrets(client), trace_headers=partial(build_trace_headers, shell.tracer)
        )
        leadership = LeaseHolder(
            KubernetesLease(client, settings.namespace),
            Identity(release=settings.release, pod=settings.reporting_instance, process=secrets.token_hex(4)),
            clock=SystemClock(),
            monotonic=time.monotonic,
            on_stand_by=shell.stand_by,
        )
        shell.is_leading = lambda: leadership.is_leading

        async def serve() -> None:
            cache, health = SyncCache(default_ttl=settings.reconciler.default_ttl), WatchHealth()
            reconciling = run_reconciler(
                client,
                settings,
                callbacks=sender,
                handlers=shell.handlers,
                leadership=leadership,
                cache=cache,
                health=health,
                tracer=shell.tracer,
                metrics=metrics,
            )
            metrics.show(cache, health, is_leading=shell.is_leading, clock=SystemClock())
            try:
                async with reconciling as queue:
                    shell.begin()
                    try:
                        await asyncio.Event().wait()
                    finally:
                        await queue.drain(_DRAIN_SECONDS)
            finally:
                metrics.hide()

        async def lead() -> None:
            await check_job_settings(client, settings.namespace, settings.job)
            await leadership.lead(serve)

        async with serve_metrics(metrics.registry, address=settings.metrics_address, port=settings.metrics_port):
            await run_patiently(lead)


async def run_patiently(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run again whatever may pass by itself.

    Raises:
        NotServedError: Two tries in a row have complained.
    """
    loop = asyncio.get_running_loop()
    complained_at = float("-inf")
    while True:
        try:
            await run()
        except BackendUnavailableError as error:
            logger.warning("waiting for the API server: %s", error)
        except NotServedError as error:
            # An API server that has just started knows no rights for a moment: only a second complaint is believed,
            # and only soon after the first, for it may have led for months in between.
            if loop.time() - complained_at < _COMPLAINT_SECONDS:
                raise
            complained_at = loop.time()
            logger.warning("%s. Trying again in %.0f s", error, _START_SECONDS)
        await asyncio.sleep(_START_SECONDS)


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
    handlers: WatchHandlers,
    leadership: Leadership,
    cache: SyncCache,
    health: WatchHealth,
    tracer: Tracer,
    metrics: Metrics,
    clock: Clock | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> AsyncIterator[WorkQueue]:
    """Join the reconciler with the API server and a work queue, and run both; the simulator runs the same.

    From the context's beginning on the handlers feed them what the watch shows.

    Raises:
        NotServedError: A person must act before there is anything to do.
        BackendUnavailableError: The API server does not answer yet.
    """
    clock = clock or SystemClock()
    snapshots = JobSnapshots(monotonic)
    store = KubernetesSyncStore(client, settings.namespace, cache=cache, health=health, clock=clock)
    handlers.expect()
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
        leadership=leadership,
        meter=ports.meter,
        jitter=jitter,
    )
    try:
        # Which syncs run must be known before the first slot is given, from a time at which no one else gave any.
        unreadable = await store.load()
        async with running(WorkQueue(reconciler.reconcile, record_pass=metrics.record_pass)) as queue:
            handlers.serve(Served(cache=cache, snapshots=snapshots, health=health, queue=queue), unreadable)
            async with _running_task(watch_silence(reconciler.find_silent, queue.add), name="silence"):
                yield queue
    finally:
        handlers.stand_by()


@asynccontextmanager
async def running(queue: WorkQueue) -> AsyncIterator[WorkQueue]:
    """Run a work queue for the time of the context."""
    async with _running_task(queue.run(), name="workqueue"):
        yield queue


@asynccontextmanager
async def _running_task(program: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(program, name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
