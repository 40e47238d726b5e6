"""Kubernetes Jobs as the runner of syncs, and whether the API server would take such a job at all.

A job that the watch has just shown is good for one observation: what came a moment ago need not be fetched again.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import JOB_LABEL_SELECTOR, LABEL_SYNC, SYNC_CONTAINER, build_job_name
from estimatesync_contract.settings import SettingsError
from estimatesync_contract.spec import DateRange
from estimatesync_kubernetes.client import KubernetesClient, Propagation, Query, build_path
from estimatesync_kubernetes.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    NotInstalledError,
    StatusError,
)

from estimatesync_operator.adapters.kubernetes_api import translate_failures
from estimatesync_operator.core.job_manifest import JobSettings, build_job_manifest, build_sample_manifest
from estimatesync_operator.core.job_observation import (
    ABSENT_JOB,
    JobObservation,
    PodIdentity,
    find_event_source,
    is_complete,
    is_left_by,
    is_stray,
    list_own,
    needs_pods,
    observe_job,
)
from estimatesync_operator.core.ports import (
    BackendUnavailableError,
    Clock,
    JobNameTakenError,
    JobRefusedError,
    RunKeptError,
)

logger = logging.getLogger(__name__)

Raw = dict[str, Any]

_FRESH_SECONDS: Final = 1.0
_PURGE_ABOVE: Final = 100
_REFUSAL_CODES: Final = frozenset({400, 403, 404, 422, 500})
"""500 is what an admission webhook that does not answer looks like: people must see it, and it must have an end."""

_STRICT: Final = {"fieldValidation": "Strict"}
"""An unknown field is refused, where the API server would drop it: a misspelt one would have no effect."""
_FOR_GOOD: Final = (" is invalid: ", "strict decoding error: ")
"""How the API server begins what it will never take; a policy, a quota or a webhook may think otherwise tomorrow."""

_LOG_TAIL_LINES: Final = 200
"""Enough to find the newest page lines when 32 pages are in flight."""

_JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"


class JobSnapshots:
    """A snapshot is never used twice, nor when it is older than a second: then the job is read."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """`monotonic` answers seconds that never go back."""
        self._monotonic = monotonic
        self._snapshots: dict[str, tuple[float, Raw]] = {}
        self._suspects: set[str] = set()

    def suspect(self, name: str) -> None:
        """A job was at work when it was last shown, some time ago."""
        self._suspects.add(name)

    def pop_suspect(self, name: str) -> bool:
        """Return once for each job whether it was."""
        is_suspect = name in self._suspects
        self._suspects.discard(name)
        return is_suspect

    def put(self, job: Raw) -> None:
        """Keep a job for the pass that follows."""
        now = self._monotonic()
        if len(self._snapshots) > _PURGE_ABOVE:
            self._snapshots = {name: each for name, each in self._snapshots.items() if _is_fresh(each[0], now)}
        self._snapshots[job["metadata"]["name"]] = now, job

    def drop(self, name: str) -> None:
        """Forget a job that has changed or vanished since."""
        self._snapshots.pop(name, None)

    def pop(self, name: str) -> Raw | None:
        """Take a job out, if it is fresh."""
        seen_at, job = self._snapshots.pop(name, (0.0, None))
        return job if job is not None and _is_fresh(seen_at, self._monotonic()) else None

    def pop_hint(self, name: str) -> Raw | None:
        """Take a job out, however old."""
        return self._snapshots.pop(name, (0.0, None))[1]


def _is_fresh(seen_at: float, now: float) -> bool:
    return now - seen_at <= _FRESH_SECONDS


def is_refusal(error: StatusError) -> bool:
    """Distinguish a job that is refused from an API server, or a proxy before it, that has a bad moment."""
    return error.code in _REFUSAL_CODES and not isinstance(error, NotInstalledError)


async def check_job_settings(client: KubernetesClient, namespace: str, settings: JobSettings) -> None:
    """Have the API server judge the job of a sync that there is not, and store none.

    Raises:
        SettingsError: It would never take such a job.
        BackendUnavailableError: That is not known yet.
    """
    sample = build_sample_manifest(settings, namespace)
    with translate_failures("checking what jobs are made of"):
        try:
            path = build_path("batch/v1", namespace, "jobs")
            await client.create(path, sample, {**_STRICT, "dryRun": "All"})
        except StatusError as error:
            if any(words in error.message for words in _FOR_GOOD):
                raise SettingsError([f"The API server takes no job like this: {error.message}"]) from error
            if not is_refusal(error):
                raise
            logger.warning("the API server would not take the job of a sync now: %s", error.explanation)


class _List(msgspec.Struct, frozen=True):
    items: list[Raw]


class KubernetesJobs:
    """The reconciler's JobRunner on a cluster, for one namespace."""

    def __init__(
        self,
        client: KubernetesClient,
        namespace: str,
        settings: JobSettings,
        *,
        snapshots: JobSnapshots,
        clock: Clock,
        format_trace: Callable[[EstimateSync], str | None] = lambda _: None,
    ) -> None:
        """`format_trace` makes the `traceparent` of a sync's job."""
        self._client = client
        self._namespace = namespace
        self._settings = settings
        self._snapshots = snapshots
        self._format_trace = format_trace
        self._clock = clock
        self._strays: set[str] = set()

    async def observe(self, sync: EstimateSync, *, has_result: bool = False, knows_pod: bool = False) -> JobObservation:
        with translate_failures(f"reading the job of {sync.name}"):
            job = self._snapshots.pop(build_job_name(sync.uid)) or await self._fetch_job(sync)
            if job is None:
                return ABSENT_JOB
            is_told = has_result and is_complete(job)
            now = self._clock.now()
            asks_pods = needs_pods(job, now=now, knows_pod=knows_pod) and not is_told
            pods = await self._fetch_pods(sync) if asks_pods else ()
            source = find_event_source(job, list_own(job, pods), now=now)
            events = await self._fetch_events(source) if source else ()
        observation = observe_job(job, pods, events, owner_uid=sync.uid, now=self._clock.now())
        if observation.companions or observation.is_misjudged:
            # It may be at work when its sync has ended, and nothing of it need change any more.
            self._strays.add(build_job_name(sync.uid))
        return observation

    async def create(self, sync: EstimateSync, date_range: DateRange) -> None:
        manifest = build_job_manifest(sync, date_range, self._settings, traceparent=self._format_trace(sync))
        with translate_failures(f"creating the job of {sync.name}"):
            try:
                await self._client.create(self._path(), manifest, _STRICT)
            except AlreadyExistsError as error:
                raise JobNameTakenError(sync.name) from error
            except StatusError as error:
                if is_refusal(error):
                    raise JobRefusedError(error.explanation) from error
                raise

    async def has_stray(self, sync: EstimateSync) -> bool:
        """What the watch shows may be old: only a job that is found at work is believed, and looked at again.

        What it shows is remembered until then: it may not be shown again.
        """
        name = build_job_name(sync.uid)
        shown = self._snapshots.pop_hint(name)
        was_at_work = self._snapshots.pop_suspect(name)
        if was_at_work or (shown is not None and is_stray(shown, owner_uid=sync.uid)):
            self._strays.add(name)
        if name not in self._strays:
            return False
        with translate_failures(f"reading the job of {sync.name}"):
            found = await self._fetch_job(sync)
        if found is not None and is_stray(found, owner_uid=sync.uid):
            return True
        self._strays.discard(name)
        return False

    async def stop(self, sync: EstimateSync) -> None:
        """In the foreground: the job stays visible until its pods have ended."""
        self._snapshots.drop(build_job_name(sync.uid))
        with translate_failures(f"deleting the job of {sync.name}"):
            await self._delete(build_job_name(sync.uid), "Foreground")

    async def stop_run(self, sync: EstimateSync, pod: PodIdentity) -> None:
        """A pod that is deleted counts as a failure of its job once nothing of it runs.

        https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-replacement-policy
        """
        self._snapshots.drop(build_job_name(sync.uid))
        with translate_failures(f"deleting the pod of {sync.name}"):
            path = build_path("v1", self._namespace, "pods", pod.name)
            try:
                await self._client.delete(path, propagation="Background", uid=pod.uid)
            except (NotFoundError, ConflictError):
                # It is gone; another may have its name.
                return
            except ForbiddenError as error:
                if error.code == HTTPStatus.FORBIDDEN:
                    raise RunKeptError(error.explanation) from error
                raise

    async def remove_leftovers(self, name: str) -> None:
        """The garbage collector would do it, but may take half a minute to learn of a new kind."""
        selector = f"{JOB_LABEL_SELECTOR},{LABEL_SYNC}={name}"
        with translate_failures(f"removing the jobs of {name}"):
            for job in await self._fetch_items(self._path(), {"labelSelector": selector}):
                if is_left_by(job, name):
                    await self._delete(job["metadata"]["name"], "Background")

    async def read_log_tail(self, sync: EstimateSync, *, pod_name: str | None = None) -> tuple[str, ...]:
        """A log that cannot be read only means that no progress is shown."""
        try:
            with translate_failures("reading the log"):
                if pod_name is None and (pods := await self._fetch_pods(sync)):
                    pod_name = pods[-1]["metadata"]["name"]
                return await self._fetch_log(pod_name) if pod_name else ()
        except BackendUnavailableError:
            return ()

    async def _delete(self, job_name: str, propagation: Propagation) -> None:
        with suppress(NotFoundError):
            await self._client.delete(self._path(job_name), propagation=propagation)
        self._strays.discard(job_name)

    async def _fetch_job(self, sync: EstimateSync) -> Raw | None:
        try:
            body = await self._client.get(self._path(build_job_name(sync.uid)))
        except NotFoundError:
            return None
        return msgspec.json.decode(body, type=Raw)

    async def _fetch_pods(self, sync: EstimateSync) -> Sequence[Raw]:
        selector = f"{_JOB_NAME_LABEL}={build_job_name(sync.uid)}"
        pods = await self._fetch_items(build_path("v1", self._namespace, "pods"), {"labelSelector": selector})
        return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    async def _fetch_events(self, uid: str) -> Sequence[Raw]:
        path = build_path("v1", self._namespace, "events")
        return await self._fetch_items(path, {"fieldSelector": f"involvedObject.uid={uid}"})

    async def _fetch_items(self, path: str, query: Query) -> Sequence[Raw]:
        return msgspec.json.decode(await self._client.get(path, query), type=_List).items

    async def _fetch_log(self, pod_name: str) -> tuple[str, ...]:
        path = build_path("v1", self._namespace, "pods", pod_name, "log")
        query = {"container": SYNC_CONTAINER, "tailLines": str(_LOG_TAIL_LINES)}
        text = (await self._client.get(path, query)).decode(errors="replace")
        return tuple(text.splitlines())

    def _path(self, name: str | None = None) -> str:
        return build_path("batch/v1", self._namespace, "jobs", name)
