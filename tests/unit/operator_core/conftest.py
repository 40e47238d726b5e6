"""Builders of syncs and a small world by hand: fakes that keep state, for asserting what became of it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.result import ResultError, SyncResult, build_result_bytes
from estimatesync_contract.settings import SettingsReader
from estimatesync_contract.spec import DateRange, EstimateSyncSpec
from estimatesync_contract.status import EstimateSyncStatus, Phase, Results
from estimatesync_operator.core.job_manifest import JobSettings
from estimatesync_operator.core.job_observation import ABSENT_JOB, JobObservation, JobState, PodIdentity
from estimatesync_operator.core.plan import ReconcilerSettings, Result
from estimatesync_operator.core.ports import (
    BackendUnavailableError,
    CallbackAttempt,
    JobNameTakenError,
    JobRefusedError,
    RunKeptError,
    StaleSyncError,
    SyncEvent,
    UnreadableSyncError,
)
from estimatesync_operator.core.silence import Silence
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.reconciler import Reconciler
from estimatesync_operator.settings import OperatorSettings, read_operator_settings

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
RANGE = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))


def build_sync(
    name: str = "a", *, age: int = 0, generation: int = 1, spec: EstimateSyncSpec | None = None, **status: Any
) -> EstimateSync:
    metadata = Metadata(
        name=name,
        namespace="ns",
        uid=f"uid-{name}",
        resource_version="1",
        generation=generation,
        creation_timestamp=NOW - timedelta(age),
    )
    return EstimateSync(metadata=metadata, spec=spec or EstimateSyncSpec(), status=EstimateSyncStatus(**status))


class World:
    """Store, jobs, events, callbacks and clock in one, as the reconciler sees them."""

    def __init__(self) -> None:
        self.time = NOW
        self.syncs: dict[str, EstimateSync] = {}
        self.observations: dict[str, JobObservation] = {}
        self.log_tail: tuple[str, ...] = ()
        self.created: list[str] = []
        self.stopped: list[str] = []
        self.leftovers_removed: list[str] = []
        self.stopped_runs: list[PodIdentity] = []
        self.keeps_runs = False
        self.events: list[tuple[str, str]] = []
        self.sent: list[tuple[str, bytes]] = []
        self.targets: list[str | None] = []
        self.answers: list[CallbackAttempt] = []
        self.refusal: str | None = None
        self.names_taken: set[str] = set()
        self.unreadable: set[str] = set()
        self.strays: set[str] = set()
        self.target_configured = True
        self.alert_target_configured = False
        self.unknown_fields: dict[str, Any] = {}
        """What an older CustomResourceDefinition does not have, with its value where it is absent."""
        self.alerts: list[tuple[str, str, bytes]] = []
        self.touch_during_send = False
        self.touch_during_observe = False
        self.is_full = False
        self.writes_under_way = 0
        self.max_writes_at_once = 0

    def now(self) -> datetime:
        return self.time

    def add(self, name: str, **fields: Any) -> EstimateSync:
        self.syncs[name] = build_sync(name, **fields)
        return self.syncs[name]

    async def fetch(self, name: str) -> EstimateSync | None:
        if name in self.unreadable:
            raise UnreadableSyncError(name)
        return self.syncs.get(name)

    async def fetch_unfinished(self) -> tuple[EstimateSync, ...]:
        unfinished = tuple(sync for sync in self.syncs.values() if not sync.is_finished)
        await asyncio.sleep(0)  # where other passes run between a read and the write that follows it
        return unfinished

    async def fetch_silence(self, *, now: datetime) -> Silence | None:
        cache = SyncCache(default_ttl=timedelta(days=7))
        for sync in self.syncs.values():
            cache.upsert(sync)
        return cache.find_silence(now=now)

    async def write_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        self.writes_under_way += 1
        self.max_writes_at_once = max(self.max_writes_at_once, self.writes_under_way)
        await asyncio.sleep(0)
        self.writes_under_way -= 1
        if self.is_full:
            raise BackendUnavailableError("nothing can be written")
        stored = self.syncs.get(sync.name)
        if stored is None or stored.metadata.resource_version != sync.metadata.resource_version:
            raise StaleSyncError(sync.name)
        kept = msgspec.structs.replace(status, **self.unknown_fields)
        return stored if kept == stored.status else self._store(stored, status=kept)

    def touch(self, name: str, **changes: Any) -> None:
        self._store(self.syncs[name], **changes)

    def _store(self, stored: EstimateSync, **changes: Any) -> EstimateSync:
        version = str(int(stored.metadata.resource_version) + 1)
        metadata = msgspec.structs.replace(stored.metadata, resource_version=version)
        fresh = msgspec.structs.replace(stored, metadata=metadata, **changes)
        self.syncs[stored.name] = fresh
        return fresh

    async def delete(self, sync: EstimateSync) -> None:
        self.syncs.pop(sync.name, None)

    async def observe(self, sync: EstimateSync, *, has_result: bool = False, knows_pod: bool = False) -> JobObservation:  # noqa: ARG002 - as is
        if self.touch_during_observe:
            self.touch(sync.name)
        return self.observations.get(sync.name, ABSENT_JOB)

    async def create(self, sync: EstimateSync, date_range: DateRange) -> None:
        assert date_range == sync.status.date_range
        if self.refusal:
            raise JobRefusedError(self.refusal)
        if sync.name in self.names_taken:
            raise JobNameTakenError(sync.name)
        self.created.append(sync.name)
        self.observations.setdefault(sync.name, JobObservation(state=JobState.PENDING))

    async def has_stray(self, sync: EstimateSync) -> bool:
        return sync.name in self.strays

    async def stop(self, sync: EstimateSync) -> None:
        self.strays.discard(sync.name)
        self.stopped.append(sync.name)
        self.observations.pop(sync.name, None)

    async def stop_run(self, sync: EstimateSync, pod: PodIdentity) -> None:
        assert sync.status.phase is Phase.RUNNING
        if self.keeps_runs:
            raise RunKeptError("pods is forbidden")
        self.stopped_runs.append(pod)

    async def remove_leftovers(self, name: str) -> None:
        self.leftovers_removed.append(name)

    async def read_log_tail(self, sync: EstimateSync, *, pod_name: str | None = None) -> tuple[str, ...]:  # noqa: ARG002 - as is
        return self.log_tail if sync.name in self.observations else ()

    async def emit(self, sync: EstimateSync, event: SyncEvent) -> None:
        self.events.append((sync.name, event.reason))

    async def has_target(self, sync: EstimateSync) -> bool:
        return self.target_configured and sync.spec.callback.enabled

    async def has_alert_target(self) -> bool:
        return self.alert_target_configured

    async def send_alert(self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime) -> CallbackAttempt:
        assert now == self.time
        self.alerts.append((sync.name, callback_id, body))
        return self.answers.pop(0) if self.answers else CallbackAttempt(status_code=200)

    async def send(
        self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime, target: str | None = None
    ) -> CallbackAttempt:
        self.targets.append(target)
        assert now == self.time
        self.sent.append((callback_id, body))
        if self.touch_during_send:
            self.touch(sync.name)
        return self.answers.pop(0) if self.answers else CallbackAttempt(status_code=200)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_sync() -> Callable[..., EstimateSync]:
    """A sync of `age` days; other fields become its status."""
    return build_sync


@pytest.fixture
def operator_settings() -> OperatorSettings:
    """Those of a deployment that sets no more than it must."""
    return read_operator_settings(SettingsReader({"NAMESPACE": "ns", "SYNC_IMAGE": "registry.test/estimatesync:1"}))


@pytest.fixture
def make_job_settings(operator_settings: OperatorSettings) -> Callable[..., JobSettings]:
    """The defaults, but for what is given."""
    return partial(msgspec.structs.replace, operator_settings.job)


@pytest.fixture
def make_reconciler_settings(operator_settings: OperatorSettings) -> Callable[..., ReconcilerSettings]:
    """The defaults, but for what is given."""
    return partial(msgspec.structs.replace, operator_settings.reconciler)


@pytest.fixture
def make_reconciler(
    world: World, make_reconciler_settings: Callable[..., ReconcilerSettings]
) -> Callable[..., Reconciler]:
    def make(**settings: Any) -> Reconciler:
        return Reconciler(
            store=world,
            jobs=world,
            events=world,
            callbacks=world,
            clock=world,
            settings=make_reconciler_settings(**settings),
            jitter=lambda: 0.0,
        )

    return make


@pytest.fixture
def reconcile_until_idle() -> Callable[[Reconciler, str], Result]:
    """Run passes for one sync until it asks for a later time."""

    def run(reconciler: Reconciler, name: str) -> Result:
        for _ in range(20):
            result = asyncio.run(reconciler.reconcile(name))
            if result.requeue_after != timedelta(0):
                return result
        raise AssertionError("the reconciler never becomes idle")

    return run


@pytest.fixture
def finished_job() -> Callable[..., JobObservation]:
    """A job that ended with a result, or with an error in it."""

    def make(name: str, error: ResultError | None = None, *, new: int = 45, updated: int = 1564) -> JobObservation:
        total = 0 if error else new + updated
        results = (
            Results()
            if error
            else Results(total_fetched=total, new_estimates=new, updated_estimates=updated, total_processed=total)
        )
        result = SyncResult(
            sync_uid=f"uid-{name}", date_range=RANGE, results=results, seconds=1.0, pages=17, error=error
        )
        return JobObservation(
            state=JobState.FAILED if error else JobState.SUCCEEDED,
            termination_message=build_result_bytes(result).decode(),
            exit_code=20 if error else 0,
            finished_at=NOW + timedelta(seconds=487),
        )

    return make


@pytest.fixture
def running() -> dict[str, Any]:
    """The status of a sync whose job has been seen."""
    return {
        "phase": Phase.RUNNING,
        "reason": "Running",
        "message": "Page 1/17",
        "date_range": RANGE,
        "start_time": NOW,
        "job_name": "estimatesync-x",
        "observed_generation": 1,
    }
