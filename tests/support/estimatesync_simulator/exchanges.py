"""What the operator's adapters make of an API server: one table of cases for the real one and for the simulated one.

Each case is a small course of events, and answers what came of it in plain values. `tests/unit/simulator` runs them on
the simulation, `tests/e2e/product/test_exchanges_on_cluster.py` on a kube-apiserver: both must come to the same.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import msgspec
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync, parse_estimate_sync
from estimatesync_contract.names import API_VERSION, KIND, PLURAL, build_job_name
from estimatesync_contract.spec import EstimateSyncSpec, compute_default_range
from estimatesync_contract.status import EstimateSyncStatus, Phase
from estimatesync_kubernetes.client import KubernetesClient, build_path
from estimatesync_kubernetes.errors import KubernetesError, NotFoundError
from estimatesync_operator.adapters.events import KubernetesEvents
from estimatesync_operator.adapters.jobs import JobSnapshots, KubernetesJobs
from estimatesync_operator.adapters.sync_store import KubernetesSyncStore
from estimatesync_operator.core.job_observation import JobState
from estimatesync_operator.core.ports import EventType, JobNameTakenError, StaleSyncError, SyncEvent, SystemClock
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.core.watch_health import WatchHealth

from estimatesync_simulator.operator_process import DEFAULT_TTL, build_settings

Raw = dict[str, Any]

_TODAY: Final = datetime(2025, 10, 16, tzinfo=UTC).date()
_NAME: Final = "sync"
_POLL_SECONDS: Final = 0.1
_POLLS: Final = 300

Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """An API server with an empty namespace; `record` answers the changes of syncs, in order, while something acts."""

    client: KubernetesClient
    namespace: str
    record: Callable[[Act], Awaitable[list[tuple[str, int]]]]

    def build_store(self) -> KubernetesSyncStore:
        """A store as an operator that has just started has it."""
        return KubernetesSyncStore(
            self.client,
            self.namespace,
            cache=SyncCache(default_ttl=DEFAULT_TTL),
            health=WatchHealth(),
            clock=SystemClock(),
        )

    def build_jobs(self, snapshots: JobSnapshots | None = None) -> KubernetesJobs:
        """The jobs as an operator sees them; the service account of their pods does not exist, so that none comes."""
        settings = msgspec.structs.replace(build_settings(max_active=1).job, service_account="nobody")
        snapshots = snapshots or JobSnapshots(asyncio.get_running_loop().time)
        return KubernetesJobs(self.client, self.namespace, settings, snapshots=snapshots, clock=SystemClock())

    async def create_sync(self, name: str = _NAME, **fields: Any) -> EstimateSync:  # noqa: ANN401 - JSON builtins
        """Create a sync as a person does, and read it as the operator does."""
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": {}, **fields}
        return parse_estimate_sync(msgspec.json.decode(await self.client.create(self.path(), body)))

    async def read_sync(self, name: str = _NAME) -> Raw:
        """The object as it is stored."""
        return msgspec.json.decode(await self.client.get(self.path(name)), type=Raw)

    async def label(self, value: str, name: str = _NAME) -> None:
        """Touch a sync as a person does."""
        await self.client.patch(self.path(name), {"metadata": {"labels": {"touched": value}}})

    async def remove_sync(self, name: str = _NAME) -> None:
        """Delete a sync as a person does."""
        await self.client.delete(self.path(name), propagation="Background")

    def path(self, name: str | None = None) -> str:
        """The path of the syncs, or of one."""
        return build_path(API_VERSION, self.namespace, PLURAL, name)

    def job_path(self, name: str | None = None) -> str:
        """The path of the jobs, or of one."""
        return build_path("batch/v1", self.namespace, "jobs", name)


def _build_status(message: str = "made up") -> EstimateSyncStatus:
    return EstimateSyncStatus(
        observed_generation=1,
        phase=Phase.RUNNING,
        reason=Reason.STARTING,
        message=message,
        date_range=compute_default_range(_TODAY),
    )


async def _name_error(call: Awaitable[object]) -> str:
    """Say which error a call ends with; empty for none."""
    try:
        await call
    except (KubernetesError, StaleSyncError, JobNameTakenError) as error:
        return type(error).__name__
    return ""


async def _write_stale(lab: Laboratory) -> object:
    sync = await lab.create_sync()
    await lab.label("meanwhile")
    error = await _name_error(lab.build_store().write_status(sync, _build_status()))
    return error, (await lab.read_sync()).get("status")


async def _write_twice(lab: Laboratory) -> object:
    sync = await lab.create_sync()
    store = lab.build_store()
    first = await store.write_status(sync, _build_status())
    second = await store.write_status(first, _build_status())
    third = await store.write_status(second, _build_status("another"))
    versions = [int(each.metadata.resource_version) for each in (sync, first, second, third)]
    return [after > before for before, after in pairwise(versions)]


async def _write_more_than_status(lab: Laboratory) -> object:
    sync = await lab.create_sync()
    changed = msgspec.structs.replace(
        sync,
        spec=EstimateSyncSpec(timeout_seconds=5),
        metadata=msgspec.structs.replace(sync.metadata, labels={"smuggled": "in"}),
    )
    await lab.build_store().write_status(changed, _build_status())
    stored = await lab.read_sync()
    metadata = stored["metadata"]
    return stored["status"]["phase"], "smuggled" in metadata.get("labels", {}), metadata["generation"]


async def _write_to_the_next_one(lab: Laboratory) -> object:
    """A status that was meant for a sync of the same name, but of another uid."""
    old = await lab.create_sync()
    await lab.remove_sync()
    new = await lab.create_sync()
    version = msgspec.structs.replace(old.metadata, resource_version=new.metadata.resource_version)
    error = await _name_error(
        lab.build_store().write_status(msgspec.structs.replace(old, metadata=version), _build_status())
    )
    return error, old.uid != new.uid, (await lab.read_sync()).get("status")


async def _write_to_nothing(lab: Laboratory) -> object:
    sync = await lab.create_sync()
    await lab.remove_sync()
    return await _name_error(lab.build_store().write_status(sync, _build_status()))


async def _create_with_status(lab: Laboratory) -> object:
    sync = await lab.create_sync(status={"phase": "Succeeded"})
    return sync.status.phase, sync.metadata.generation, bool(sync.uid), sync.metadata.creation_timestamp is not None


async def _create_twice(lab: Laboratory) -> object:
    await lab.create_sync()
    return await _name_error(lab.create_sync())


async def _fetch_missing(lab: Laboratory) -> object:
    return await lab.build_store().fetch("nothing"), await _name_error(lab.client.get(lab.path("nothing")))


async def _change_generation(lab: Laboratory) -> object:
    """Only what changes the spec makes a generation; each merge changes what it names, and nothing else."""
    sync = await lab.create_sync(spec={"maxRetries": 1})
    await lab.label("once")
    labelled = await lab.read_sync()
    await lab.client.patch(lab.path(_NAME), {"spec": {"cancel": True}})
    cancelled = await lab.read_sync()
    await lab.client.patch(lab.path(_NAME), {"spec": {"cancel": True}})
    again = await lab.read_sync()
    generations = [each["metadata"]["generation"] for each in (labelled, cancelled, again)]
    is_same = again["metadata"]["resourceVersion"] == cancelled["metadata"]["resourceVersion"]
    return sync.metadata.generation, generations, is_same, cancelled["spec"]["maxRetries"], cancelled["spec"]["cancel"]


async def _patch_stale(lab: Laboratory) -> object:
    sync = await lab.create_sync()
    await lab.label("meanwhile")
    patch = {"metadata": {"resourceVersion": sync.metadata.resource_version, "labels": {"late": "yes"}}}
    return await _name_error(lab.client.patch(lab.path(_NAME), patch))


async def _delete_another(lab: Laboratory) -> object:
    old = await lab.create_sync()
    await lab.remove_sync()
    new = await lab.create_sync()
    error = await _name_error(lab.build_store().delete(old))
    return error, (await lab.read_sync())["metadata"]["uid"] == new.uid


async def _delete_changed(lab: Laboratory) -> object:
    """Somebody may have asked for its callback again since it was read."""
    sync = await lab.create_sync()
    await lab.label("meanwhile")
    error = await _name_error(lab.build_store().delete(sync))
    return error, (await lab.read_sync())["metadata"]["uid"] == sync.uid


async def _delete_twice(lab: Laboratory) -> object:
    """The second time there is nothing to delete, and that is fine."""
    sync = await lab.create_sync()
    store = lab.build_store()
    errors = [await _name_error(store.delete(sync)), await _name_error(store.delete(sync))]
    return errors, await _name_error(lab.client.get(lab.path(_NAME)))


async def _watch(lab: Laboratory) -> object:
    """One kind's changes come in order, each with a greater version, and a deletion is a version, too."""

    async def act() -> None:
        sync = await lab.create_sync()
        await lab.build_store().write_status(sync, _build_status())
        await lab.label("once")
        await lab.label("once")
        await lab.remove_sync()

    changes = await lab.record(act)
    versions = [version for _, version in changes]
    return [kind for kind, _ in changes], versions == sorted(set(versions))


async def _page(lab: Laboratory) -> object:
    names = [f"sync-{number}" for number in range(5)]
    for name in reversed(names):
        await lab.create_sync(name)
    sizes, found, versions, token = [], [], set(), ""
    while True:
        query = {"limit": "2", **({"continue": token} if token else {})}
        page = msgspec.json.decode(await lab.client.get(lab.path(), query), type=Raw)
        sizes.append(len(page["items"]))
        found += [item["metadata"]["name"] for item in page["items"]]
        versions.add(page["metadata"]["resourceVersion"])
        token = page["metadata"].get("continue", "")
        if not token:
            return sizes, found == names, len(versions)
        # What comes in between belongs to no page of this listing.
        await lab.create_sync(f"sync-0-{len(sizes)}")


async def _create_job_twice(lab: Laboratory) -> object:
    sync = await lab.create_sync()
    jobs = lab.build_jobs()
    days = compute_default_range(_TODAY)
    states = [(await jobs.observe(sync)).state]
    errors = [await _name_error(jobs.create(sync, days)), await _name_error(jobs.create(sync, days))]
    states.append((await jobs.observe(sync)).state)
    # A real node may have begun its pod by now.
    return [state is JobState.ABSENT for state in states], errors


async def _meet_foreign_job(lab: Laboratory) -> object:
    sync = await lab.create_sync()
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "sync", "image": "registry.test/other:1"}]}}
    spec = {"suspend": True, "template": template}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": build_job_name(sync.uid)}, "spec": spec}
    await lab.client.create(lab.job_path(), job)
    jobs = lab.build_jobs()
    error = await _name_error(jobs.create(sync, compute_default_range(_TODAY)))
    await jobs.remove_leftovers(sync.name)
    return error, str((await jobs.observe(sync)).state)


async def _stop_job(lab: Laboratory) -> object:
    """A job without pods goes soon; stopping one that is gone, or was never there, is fine."""
    sync = await lab.create_sync()
    jobs = lab.build_jobs()
    errors = [await _name_error(jobs.stop(sync))]
    await jobs.create(sync, compute_default_range(_TODAY))
    errors.append(await _name_error(jobs.stop(sync)))
    for _ in range(_POLLS):
        if (state := str((await jobs.observe(sync)).state)) == "absent":
            break
        await asyncio.sleep(_POLL_SECONDS)
    errors.append(await _name_error(jobs.stop(sync)))
    return errors, state


async def _remove_leftovers(lab: Laboratory) -> object:
    """Only the jobs of the sync of that name, and at once."""
    sync, other = await lab.create_sync(), await lab.create_sync("other")
    jobs = lab.build_jobs()
    for each in (sync, other):
        await jobs.create(each, compute_default_range(_TODAY))
    await jobs.remove_leftovers(_NAME)
    await jobs.remove_leftovers(_NAME)
    return [await _name_error(lab.client.get(lab.job_path(build_job_name(each.uid)))) for each in (sync, other)]


async def _find_stray(lab: Laboratory) -> object:
    """Only a job that the watch has just shown at work, and that is there."""
    sync = await lab.create_sync()
    snapshots = JobSnapshots(asyncio.get_running_loop().time)
    jobs = lab.build_jobs(snapshots)
    await jobs.create(sync, compute_default_range(_TODAY))
    shown = msgspec.json.decode(await lab.client.get(lab.job_path(build_job_name(sync.uid))), type=Raw)
    found = [await jobs.has_stray(sync)]
    snapshots.put(shown)
    found.append(await jobs.has_stray(sync))
    await jobs.remove_leftovers(sync.name)
    snapshots.put(shown)
    found.append(await jobs.has_stray(sync))
    return found


async def _emit_event(lab: Laboratory) -> object:
    sync = await lab.create_sync()
    events = KubernetesEvents(lab.client, lab.namespace, reporting_instance="laboratory", clock=_SlowClock())
    for reason in ("First", "Second"):
        await events.emit(sync, SyncEvent(type=EventType.NORMAL, reason=reason, message="made up"))
    query = {"fieldSelector": f"involvedObject.uid={sync.uid}"}
    found = msgspec.json.decode(await lab.client.get(build_path("v1", lab.namespace, "events"), query), type=Raw)
    return [event["reason"] for event in found["items"]]


class _SlowClock:
    """A second passes between two looks at it, so that events have different names in the order of their times."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


async def _read_missing_log(lab: Laboratory) -> object:
    """A job without pods has no log, and a pod that is not there is a 404."""
    sync = await lab.create_sync()
    jobs = lab.build_jobs()
    await jobs.create(sync, compute_default_range(_TODAY))
    path = build_path("v1", lab.namespace, "pods", "nothing", "log")
    return await jobs.read_log_tail(sync), await _name_error(lab.client.get(path, {"tailLines": "1"}))


async def _look_up_nothing(lab: Laboratory) -> object:
    try:
        await lab.client.get(lab.job_path("nothing"))
    except NotFoundError as error:
        return error.code
    return None


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A case, and what it must come to on either server."""

    id: str
    happen: Callable[[Laboratory], Awaitable[object]]
    outcome: object


EXCHANGES: Final = (
    Exchange(id="a stale status is refused", happen=_write_stale, outcome=("StaleSyncError", None)),
    Exchange(id="an equal status is no new version", happen=_write_twice, outcome=[True, False, True]),
    Exchange(
        id="the status subresource leaves all else alone", happen=_write_more_than_status, outcome=("Running", False, 1)
    ),
    Exchange(
        id="a status for another uid is refused",
        happen=_write_to_the_next_one,
        outcome=("StaleSyncError", True, None),
    ),
    Exchange(id="a status of a missing sync is refused", happen=_write_to_nothing, outcome="StaleSyncError"),
    Exchange(id="a new sync has no status", happen=_create_with_status, outcome=(None, 1, True, True)),
    Exchange(id="a name is taken once", happen=_create_twice, outcome="AlreadyExistsError"),
    Exchange(id="a missing sync is a 404", happen=_fetch_missing, outcome=(None, "NotFoundError")),
    Exchange(id="only the spec makes a generation", happen=_change_generation, outcome=(1, [1, 2, 2], True, 1, True)),
    Exchange(id="a patch from a stale version is refused", happen=_patch_stale, outcome="ConflictError"),
    Exchange(id="a deletion spares another uid", happen=_delete_another, outcome=("StaleSyncError", True)),
    Exchange(id="a deletion spares a newer version", happen=_delete_changed, outcome=("StaleSyncError", True)),
    Exchange(id="a deletion may be repeated", happen=_delete_twice, outcome=(["", ""], "NotFoundError")),
    Exchange(
        id="a watch shows one kind in order",
        happen=_watch,
        outcome=(["ADDED", "MODIFIED", "MODIFIED", "DELETED"], True),
    ),
    Exchange(id="a listing in pages is of one version", happen=_page, outcome=([2, 2, 1], True, 1)),
    Exchange(
        id="a job is created once",
        happen=_create_job_twice,
        outcome=([True, False], ["", "JobNameTakenError"]),
    ),
    Exchange(
        id="a job of somebody else's is foreign, and stays",
        happen=_meet_foreign_job,
        outcome=("JobNameTakenError", "foreign"),
    ),
    Exchange(id="a job is stopped", happen=_stop_job, outcome=(["", "", ""], "absent")),
    Exchange(id="leftovers go at once, and no other job", happen=_remove_leftovers, outcome=["NotFoundError", ""]),
    Exchange(id="a job at work after the end is found", happen=_find_stray, outcome=[False, True, False]),
    Exchange(id="events are found by their object", happen=_emit_event, outcome=["First", "Second"]),
    Exchange(id="there is no log without a pod", happen=_read_missing_log, outcome=((), "NotFoundError")),
    Exchange(id="a missing job is a 404", happen=_look_up_nothing, outcome=404),
)
