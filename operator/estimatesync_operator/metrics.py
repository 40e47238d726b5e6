"""What Prometheus sees of the operator: counters fed by status writes, gauges read from the cache at each scrape.

Names and units follow https://prometheus.io/docs/practices/naming/. The age of the last watch event is a timestamp, as
https://prometheus.io/docs/practices/instrumentation/#timestamps-not-time-since asks: `time() - …` is the age.
No label holds the name of a sync, so there are as many series as there are reasons, however many syncs.
The metrics are served from the operator's own event loop, so that nothing is read while it changes.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web
from estimatesync_contract.causes import CAUSES, Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.settings import SettingsError
from estimatesync_contract.status import CallbackStatus, EstimateSyncStatus, Phase
from msgspec import UNSET
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from estimatesync_operator.core.ports import Clock
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.core.watch_health import WatchHealth

_LONG_BUCKETS: Final = (1, 5, 15, 60, 180, 600, 1800, 3600, 7200, 14_400, 43_200)
_WAITING: Final = {"", Phase.QUEUED}
_FAILURES: Final = tuple(cause.reason for cause in CAUSES if cause.reason is not Reason.CANCELLED)
_ENDS: Final = (
    (Phase.SUCCEEDED, Reason.SUCCEEDED),
    (Phase.CANCELLED, Reason.CANCELLED),
    *((Phase.FAILED, reason) for reason in _FAILURES),
)
_RECORD_KINDS: Final = ("new", "changed", "unchanged", "skipped")
_ATTEMPT_OUTCOMES: Final = ("delivered", "retrying", "failed")
_REPEATED_PASSES: Final = ("stale", "unavailable", "defect")


class OperatorMetrics:
    """A ChangeMeter, and the registry that is served. Who stands by shows no syncs, which would count twice."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._collector = _CacheCollector()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(self._collector)
        self._finished = self._count("syncs_finished", "Syncs that have ended.", "phase", "reason")
        self._records = self._count("records", "Estimates fetched: new, changed, equal, or skipped.", "kind")
        self._fetched = Gauge(
            "fetched_estimates",
            "Estimates that the newest succeeded sync has read, and the sync before it of as many days.",
            ("sync",),
            namespace="estimatesync",
            registry=self.registry,
        )
        self._attempts = self._count("callback_attempts", "Attempts to deliver a callback.", "outcome")
        self._alert_attempts = self._count("alert_attempts", "Attempts to deliver an alert.", "outcome")
        self._passes = self._count("reconcile", "Reconcile passes.", "result")
        self._errors = self._count("reconcile_errors", "Passes that had to be repeated.", "kind")
        self._queue_wait = self._time("queue_wait_seconds", "From the creation of a sync to its start.", _LONG_BUCKETS)
        self._duration = self._time("sync_duration_seconds", "From a sync's start to its end.", _LONG_BUCKETS)
        self._pass_time = self._time("reconcile_duration_seconds", "One reconcile pass.", Histogram.DEFAULT_BUCKETS)
        self._show_zeros()

    def show(self, cache: SyncCache, health: WatchHealth, *, is_leading: Callable[[], bool], clock: Clock) -> None:
        """Show these syncs from now on, at each scrape at which this process leads."""
        self._collector.shown = cache, health, is_leading, clock

    def hide(self) -> None:
        """Show no syncs: another process may lead."""
        self._collector.shown = None

    def record_change(self, before: EstimateSync, after: EstimateSyncStatus) -> None:
        if after.phase != before.status.phase:
            self._record_phase(before, after)
        known = {each.target: each for each in before.status.deliveries}
        for delivery in after.deliveries:
            if _has_attempt(known.get(delivery.target), delivery):
                self._attempts.labels(delivery.state.lower()).inc()
        told = before.status.alert
        if after.alert and _has_attempt(told.delivery if told else None, after.alert.delivery):
            self._alert_attempts.labels(after.alert.delivery.state.lower()).inc()

    def record_pass(self, outcome: str, seconds: float) -> None:
        self._passes.labels(outcome).inc()
        self._pass_time.observe(seconds)
        if outcome != "done":
            self._errors.labels(outcome).inc()

    def _show_zeros(self) -> None:
        """Show each counter before it counts: Prometheus sees no increase in a series that begins with 1."""
        for phase, reason in _ENDS:
            self._finished.labels(phase, reason)
        for kind in _RECORD_KINDS:
            self._records.labels(kind)
        for outcome in _ATTEMPT_OUTCOMES:
            self._attempts.labels(outcome)
            self._alert_attempts.labels(outcome)
        for kind in _REPEATED_PASSES:
            self._errors.labels(kind)

    def _record_phase(self, before: EstimateSync, after: EstimateSyncStatus) -> None:
        created = before.metadata.creation_timestamp
        if after.phase is Phase.RUNNING and created and after.start_time:
            self._queue_wait.observe(max(after.start_time - created, timedelta()).total_seconds())
        if after.phase is not None and after.phase.is_final:
            self._finished.labels(after.phase, after.reason or "").inc()
            self._duration.observe(after.duration_seconds or 0)
            self._record_results(after)

    def _record_results(self, after: EstimateSyncStatus) -> None:
        if (results := after.results) is not None:
            changed = max(results.updated_estimates - results.unchanged_estimates, 0)
            self._records.labels("new").inc(results.new_estimates)
            self._records.labels("changed").inc(changed)
            self._records.labels("unchanged").inc(results.unchanged_estimates)
            self._records.labels("skipped").inc(results.skipped_estimates)
            if results.previous_total_fetched is not UNSET:
                self._fetched.labels("newest").set(results.total_fetched)
                self._fetched.labels("previous").set(results.previous_total_fetched)

    def _count(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="estimatesync", registry=self.registry)

    def _time(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, namespace="estimatesync", buckets=buckets, registry=self.registry)


class _CacheCollector:
    def __init__(self) -> None:
        self.shown: tuple[SyncCache, WatchHealth, Callable[[], bool], Clock] | None = None

    def collect(self) -> Iterator[Metric]:
        shown = self.shown if self.shown is not None and self.shown[2]() else None
        leads = int(shown is not None)
        yield GaugeMetricFamily("estimatesync_operator_leader", "1 for who leads, 0 for who stands by.", value=leads)
        if shown is None:
            return
        cache, health, _, clock = shown
        states = cache.count_states()
        syncs = GaugeMetricFamily("estimatesync_syncs", "Syncs that exist.", labels=("phase", "reason"))
        for (phase, reason), count in sorted(states.items()):
            syncs.add_metric((phase or "New", reason), count)
        yield syncs
        length = sum(count for (phase, _), count in states.items() if phase in _WAITING)
        yield GaugeMetricFamily("estimatesync_queue_length", "Syncs that wait for a slot.", value=length)
        pending = sum(sync.status.owes_callback for sync in cache.iterate_live())
        yield GaugeMetricFamily("estimatesync_callbacks_pending", "Callbacks to be delivered.", value=pending)
        given_up = cache.count_given_up_callbacks()
        yield GaugeMetricFamily("estimatesync_callbacks_given_up", "Callbacks that were given up.", value=given_up)
        yield from _build_last_success(cache, now=clock.now())
        yield _build_watch_times(health.last_events)


def _build_last_success(cache: SyncCache, *, now: datetime) -> Iterator[Metric]:
    """Where no sync has succeeded, the silence began with the oldest that there is; with none, it has not begun."""
    newest, whole = cache.find_newest_success(now=now), cache.find_newest_whole_success(now=now)
    moment = newest.completion_time if newest else cache.find_first_creation()
    if moment is not None:
        yield GaugeMetricFamily(
            "estimatesync_last_success_timestamp_seconds",
            "When a sync has succeeded last; while none has, when the oldest was created.",
            value=moment.timestamp(),
        )
    if whole is not None and whole.total_fetched is not None:
        yield GaugeMetricFamily(
            "estimatesync_last_success_estimates",
            "Estimates that the newest whole sync that has succeeded has read.",
            value=whole.total_fetched,
        )


def _build_watch_times(last_events: dict[str, datetime]) -> Metric:
    name = "estimatesync_watch_last_event_timestamp_seconds"
    family = GaugeMetricFamily(name, "When the watch last showed an object.", labels=("resource",))
    for resource, moment in sorted(last_events.items()):
        family.add_metric((resource,), moment.timestamp())
    return family


def _has_attempt(before: CallbackStatus | None, after: CallbackStatus) -> bool:
    return after.attempts > 0 and (before is None or before.attempts != after.attempts)


@asynccontextmanager
async def serve_metrics(registry: CollectorRegistry, *, address: str, port: int) -> AsyncIterator[None]:
    """Answer `GET /metrics` for the time of the context; port 0 serves nothing.

    Raises:
        SettingsError: It is not possible to listen there.
    """
    if not port:
        yield
        return

    async def answer(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/metrics", answer)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _listen(runner, address, port)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, address: str, port: int) -> None:
    try:
        await web.TCPSite(runner, address, port).start()
    except OSError as error:
        fault = f"METRICS_PORT names a port that cannot be listened on at {address}: {error.strerror}"
        raise SettingsError([fault]) from error
