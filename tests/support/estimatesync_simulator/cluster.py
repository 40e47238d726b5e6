"""The rest of the cluster, played: job controller, scheduler, node and garbage collector, as far as a job shows them.

What an object looks like at each stage is what kube-controller-manager, kube-scheduler and a kubelet make of it.
https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
from estimatesync_contract.causes import Reason
from estimatesync_contract.log_lines import format_page, format_page_complete
from estimatesync_contract.names import LABEL_SYNC, PLURAL, SYNC_CONTAINER
from estimatesync_contract.result import ExitCode, ResultError, SyncResult, build_result_bytes
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import Results

from estimatesync_simulator.api_server import EVENTS, JOBS, PODS, ApiServer, Change, Raw, format_time
from estimatesync_simulator.history import Fate, Run

COUNTS: Final = Results(total_fetched=20, new_estimates=3, updated_estimates=17, total_processed=20)
"""What every run that succeeds has stored."""

_RANGE: Final = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
_STEP_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 1.5
"""In which the program ends that was asked to."""
_COLLECT_SECONDS: Final = 3.0
_COMPLAIN_SECONDS: Final = 10.0
_FOREVER: Final = 10_000_000.0
_PAGES: Final = 4
_SIDECAR: Final = "mesh-proxy"

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]

_WAITING: Final = {
    Fate.NO_IMAGE: {"reason": "ImagePullBackOff", "message": "Back-off pulling image"},
    Fate.NO_SECRET: {"reason": "CreateContainerConfigError", "message": 'secret "credentials" not found'},
    Fate.NO_MOUNT: {"reason": "ContainerCreating"},
}


class _RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a pod ended. `counts` says as what the job takes it: succeeded, failed, or None for neither."""

    counts: str | None
    exit_code: int | None = None
    message: str = ""
    reason: str | None = None
    """Of the pod itself."""
    container_reason: str = "Error"
    disruption: str | None = None
    node_message: str = "the node says so"
    init: tuple[Raw, ...] = ()
    """How its init containers ended."""


_REFUSALS: Final = {
    Fate.POD_REFUSED: "pods is forbidden: exceeded quota",
    Fate.NO_LIMIT: "pods is forbidden: failed quota: q: must specify limits.cpu for: sync",
}
_UNSCHEDULED: Final = {
    Fate.UNSCHEDULABLE: ("Unschedulable", "0/1 nodes are available"),
    Fate.GATED: ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"),
}
_STUCK_INIT: Final = {"name": "mesh-init", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}}
_FAILED_INIT: Final = {"name": "mesh-init", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
_SIDECAR_FATES: Final = frozenset({Fate.SIDECAR_STAYS, Fate.SIDECAR_STAYS_BEHIND, Fate.SIDECAR_ON_LOST_NODE})
_FAILURES: Final = frozenset({Fate.FAILS, Fate.FAILS_FOR_GOOD, Fate.SIDECAR_STAYS_BEHIND, Fate.SIDECAR_ON_LOST_NODE})

_OTHER_ENDS: Final = {
    Fate.CRASHES: _RunEnd(counts="failed", exit_code=139),
    Fate.OUT_OF_MEMORY: _RunEnd(counts="failed", exit_code=137, container_reason="OOMKilled"),
    Fate.SILENT: _RunEnd(counts="succeeded", exit_code=0, container_reason="Completed"),
    Fate.GARBLED: _RunEnd(counts="failed", exit_code=1, message="Traceback (most recent call last)"),
    Fate.EVICTED: _RunEnd(counts=None, exit_code=137, reason="Evicted", disruption="EvictionByEvictionAPI"),
    Fate.NODE_LOST: _RunEnd(counts=None, reason="NodeLost", disruption="DeletionByPodGC"),
    Fate.TOO_LARGE: _RunEnd(
        counts="failed",
        exit_code=137,
        reason="Evicted",
        node_message="Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
    ),
    Fate.SHUT_DOWN: _RunEnd(counts="failed", exit_code=137, reason="Terminated"),
}
"""Of the runs whose program has nothing to say."""


class Cluster:
    """Reacts to what changes at the API server, always a moment later."""

    def __init__(
        self,
        server: ApiServer,
        *,
        now: Callable[[], datetime],
        spawn: Spawn,
        log: Callable[[str, str], None],
        find_runs: Callable[[str], Sequence[Run]],
    ) -> None:
        """`find_runs` says what becomes of the pods of a sync, by its name; any further one succeeds."""
        self._server = server
        self._now = now
        self._spawn = spawn
        self._log = log
        self._find_runs = find_runs
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._runs_begun: dict[str, int] = {}
        self._lost: dict[str, float] = {}
        self._complaints = 0
        self.succeeded: set[str] = set()
        """Uids of the syncs whose program has stored everything and said so."""

    def see(self, change: Change) -> None:
        """React to a change."""
        if change.resource == PLURAL and change.type == "DELETED":
            self._spawn(self._collect(JOBS, change.after["metadata"]["uid"]))
        if change.resource != JOBS:
            return
        if change.type == "ADDED":
            self._begin(change.name)
            self._collect_orphan(change.after)
        elif change.type == "DELETED":
            self._stop_control(change.name)
            self._spawn(self._collect(PODS, change.after["metadata"]["uid"]))
        elif change.before and is_newly_deleted(change):
            self._stop_control(change.name)
            self._spawn(self._end_job(change.name))
        elif change.before and change.before["spec"].get("suspend") != change.after["spec"].get("suspend"):
            self._switch(change.name, is_suspended=change.after["spec"].get("suspend", False))

    def _begin(self, name: str) -> None:
        self._jobs[name] = self._spawn(self._control(name))

    def _stop_control(self, name: str) -> None:
        if task := self._jobs.pop(name, None):
            task.cancel()

    def _switch(self, name: str, *, is_suspended: bool) -> None:
        job = self._server.find(JOBS, name)
        if job is None or _has_ended(job):
            return
        self._stop_control(name)
        self._jobs[name] = self._spawn(self._suspend(name) if is_suspended else self._control(name))

    def _collect_orphan(self, job: Raw) -> None:
        owner = _get_owner_uid(job)
        if owner and owner not in {sync["metadata"]["uid"] for sync in self._server.list(PLURAL)}:
            self._spawn(self._collect(JOBS, owner))

    async def _collect(self, resource: str, owner_uid: str) -> None:
        await asyncio.sleep(_COLLECT_SECONDS)
        for thing in self._server.list(resource):
            if _get_owner_uid(thing) == owner_uid:
                self._log("garbage collector", f"deletes {thing['metadata']['name']}")
                self._server.remove(resource, thing["metadata"]["name"])

    # A job.

    async def _control(self, name: str) -> None:
        """Run one pod after the other until the job has ended."""
        await asyncio.sleep(_STEP_SECONDS)
        job = self._server.find(JOBS, name)
        if job is None or not _get_owner_uid(job):
            return
        self._set_job_status(name, startTime=format_time(self._now()))
        try:
            async with asyncio.timeout(job["spec"]["activeDeadlineSeconds"]):
                failure = await self._make_runs(job)
        except TimeoutError:
            failure = "DeadlineExceeded"
        await self._finish(name, failure)

    async def _make_runs(self, job: Raw) -> str | None:
        """Run pods until the job can end; returns why it failed, if it did."""
        name, failed = job["metadata"]["name"], 0
        runs = self._find_runs(job["metadata"]["labels"][LABEL_SYNC])
        while True:
            number = self._runs_begun.get(name, 0)
            self._runs_begun[name] = number + 1
            end = await self._make_run(job, number, runs[number] if number < len(runs) else Run())
            self._set_job_status(name, active=0, ready=0)
            if end.counts == "succeeded":
                self._set_job_status(name, succeeded=1)
                return None
            if end.counts == "failed":
                failed += 1
                self._set_job_status(name, failed=failed)
            if end.exit_code == ExitCode.PERMANENT:
                return "PodFailurePolicy"
            if failed > job["spec"]["backoffLimit"]:
                return "BackoffLimitExceeded"
            await asyncio.sleep(1.0)

    async def _finish(self, name: str, failure: str | None) -> None:
        """First the forerunner, and the end itself once nothing runs."""
        if failure is None:
            self._add_condition(name, "SuccessCriteriaMet", "CompletionsReached")
            await asyncio.sleep(_STEP_SECONDS)
            self._add_condition(name, "Complete", "CompletionsReached")
            return
        self._add_condition(name, "FailureTarget", failure)
        await self._end_pods(name)
        self._add_condition(name, "Failed", failure)

    async def _end_job(self, name: str) -> None:
        await asyncio.sleep(_STEP_SECONDS)
        await self._end_pods(name)
        for pod in self._list_pods(name):
            self._server.remove(PODS, pod["metadata"]["name"])
        self._server.remove(JOBS, name)

    async def _suspend(self, name: str) -> None:
        await self._end_pods(name)
        self._set_job_status(name, active=0, ready=0, startTime=None)
        self._add_condition(name, "Suspended", "JobSuspended")

    async def _end_pods(self, job_name: str) -> None:
        """Have what still runs end; a silent node lets nobody know."""
        pods = [pod for pod in self._list_pods(job_name) if pod["status"].get("phase") not in {"Succeeded", "Failed"}]
        for pod in pods:
            name = pod["metadata"]["name"]
            self._server.mark_deleted(PODS, name)
            await asyncio.sleep(self._lost.get(name, _STOP_SECONDS))
            self._server.remove(PODS, name)
        if pods and self._server.find(JOBS, job_name):
            self._set_job_status(job_name, active=0, ready=0)

    def _list_pods(self, job_name: str) -> list[Raw]:
        return [
            pod
            for pod in self._server.list(PODS)
            if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == job_name
        ]

    def _set_job_status(self, name: str, **fields: Any) -> None:  # noqa: ANN401 - JSON builtins
        job = self._server.find(JOBS, name)
        if job is not None:
            status = {**job.get("status", {}), **fields}
            known = {field: value for field, value in status.items() if value is not None}
            self._server.update(JOBS, name, status=known)

    def _add_condition(self, name: str, kind: str, reason: str) -> None:
        job = self._server.find(JOBS, name)
        if job is not None:
            condition = {"type": kind, "status": "True", "reason": reason, "message": f"{reason} of {name}"}
            condition["lastTransitionTime"] = format_time(self._now())
            self._log("job controller", f"says that {name} is {kind}: {reason}")
            self._set_job_status(name, conditions=[*job.get("status", {}).get("conditions", []), condition])

    # A pod.

    async def _make_run(self, job: Raw, number: int, run: Run) -> _RunEnd:
        job_name = job["metadata"]["name"]
        if run.fate in _REFUSALS:
            await self._complain(job, "FailedCreate", _REFUSALS[run.fate], run.seconds)
        pod = self._create_pod(job, number)
        name = pod["metadata"]["name"]
        self._log("job controller", f"creates pod {name}, which {run.fate}")
        self._set_job_status(job_name, active=1)
        await asyncio.sleep(_STEP_SECONDS)
        if run.fate in _UNSCHEDULED:
            self._set_pod(name, conditions=[_build_condition("PodScheduled", "False", *_UNSCHEDULED[run.fate])])
            await asyncio.sleep(run.seconds)
        self._server.update(PODS, name, spec={"nodeName": "node-1"})
        if run.fate is Fate.NODE_REFUSED:
            return self._end_pod(job, name, _RunEnd(counts="failed", reason="OutOfcpu"))
        if run.fate is Fate.INIT_FAILS:
            return self._end_pod(job, name, _RunEnd(counts="failed", init=(_FAILED_INIT,)))
        if run.fate is Fate.INIT_STUCK:
            self._set_pod(
                name,
                initContainerStatuses=[_STUCK_INIT],
                containerStatuses=[_build_container({"waiting": {"reason": "PodInitializing"}})],
            )
            await asyncio.sleep(run.seconds)
            self._set_pod(name, initContainerStatuses=[])
        if run.fate in _WAITING:
            self._set_pod(name, containerStatuses=[_build_container({"waiting": _WAITING[run.fate]})])
            if run.fate is Fate.NO_MOUNT:
                await self._complain(pod, "FailedMount", 'configmap "authorities" not found', run.seconds)
            else:
                await asyncio.sleep(run.seconds)
        return await self._run_container(job, name, run)

    def _create_pod(self, job: Raw, number: int) -> Raw:
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        metadata = {
            "name": f"{name}-{number}",
            "labels": {"batch.kubernetes.io/job-name": name},
            "ownerReferences": [{"kind": "Job", "name": name, "uid": uid, "controller": True}],
        }
        return self._server.create(PODS, {"metadata": metadata, "spec": {}, "status": {"phase": "Pending"}})

    async def _run_container(self, job: Raw, name: str, run: Run) -> _RunEnd:
        self._set_pod(
            name,
            phase="Running",
            containerStatuses=[_build_container({"running": {"startedAt": format_time(self._now())}})],
            conditions=[_build_condition("Ready", "True", "", "")],
        )
        self._set_job_status(job["metadata"]["name"], active=1, ready=1)
        if run.fate is Fate.TOO_SLOW:
            await asyncio.sleep(_FOREVER)
        seconds = min(run.seconds, 20.0)
        for page in range(1, _PAGES + 1):
            await asyncio.sleep(seconds / _PAGES)
            if self._server.find(PODS, name) is None:
                break
            line = f"{format_page(page, _PAGES, 5)}\n{format_page_complete(page, 5 * page)}\n"
            # A log is no part of the object; nobody watches pods here, so that it does not matter.
            self._server.update(PODS, name, log=line)
        if run.fate is Fate.NODE_LOST:
            await self._fall_silent(job, name, run.seconds)
        end = self._judge(job, run)
        if run.fate in _SIDECAR_FATES:
            await self._outlive(job, name, end, run)
        return self._end_pod(job, name, end)

    async def _outlive(self, job: Raw, name: str, end: _RunEnd, run: Run) -> None:
        """The sync has ended, and another container of its pod goes on, or nobody knows whether it does."""
        lost: Raw = {"phase": "Unknown", "reason": "NodeLost"} if run.fate is Fate.SIDECAR_ON_LOST_NODE else {}
        self._set_pod(
            name,
            containerStatuses=[
                _build_container({"terminated": self._build_terminated(end)}),
                {"name": _SIDECAR, "state": {"running": {"startedAt": format_time(self._now())}}},
            ],
            conditions=[_build_condition("Ready", "False", "ContainersNotReady", "")],
            **lost,
        )
        self._log("node", f"ends the sync in pod {name} with exit code {end.exit_code}, and its sidecar goes on")
        self._set_job_status(job["metadata"]["name"], ready=0)
        if lost:
            await asyncio.sleep(run.seconds)
        elif await self._is_deleted_within(name, run.seconds):
            await asyncio.sleep(_STOP_SECONDS)

    async def _is_deleted_within(self, name: str, seconds: float) -> bool:
        for _ in range(int(seconds / _STEP_SECONDS)):
            await asyncio.sleep(_STEP_SECONDS)
            if "deletionTimestamp" in (self._server.find(PODS, name) or {"metadata": {}})["metadata"]:
                return True
        return False

    async def _fall_silent(self, job: Raw, name: str, seconds: float) -> None:
        """The node controller takes the readiness; later the node is deleted, and its pod with it."""
        self._set_pod(name, conditions=[_build_condition("Ready", "False", "", "")])
        self._set_job_status(job["metadata"]["name"], ready=0)
        self._lost[name] = seconds
        await asyncio.sleep(seconds)
        del self._lost[name]

    def _judge(self, job: Raw, run: Run) -> _RunEnd:
        uid = _get_owner_uid(job)
        if run.fate in _FAILURES:
            return _build_failure(uid, run)
        if end := _OTHER_ENDS.get(run.fate):
            return end
        self.succeeded.add(uid)
        result = SyncResult(sync_uid=uid, date_range=_RANGE, results=COUNTS, seconds=1.0, pages=_PAGES)
        message = build_result_bytes(result).decode()
        counts = "failed" if run.fate is Fate.SIDECAR_FAILS else "succeeded"
        return _RunEnd(counts=counts, exit_code=0, message=message, container_reason="Completed")

    def _end_pod(self, job: Raw, name: str, end: _RunEnd) -> _RunEnd:
        """Show how the pod ended, at first as one that the job has not counted yet."""
        state = self._build_terminated(end)
        disruption = _build_condition("DisruptionTarget", "True", end.disruption or "", "")
        self._set_pod(
            name,
            phase="Succeeded" if end.counts == "succeeded" else "Failed",
            containerStatuses=[] if end.exit_code is None else [_build_container({"terminated": state})],
            conditions=[disruption] if end.disruption else [],
            initContainerStatuses=list(end.init),
            **({"reason": end.reason, "message": end.node_message} if end.reason else {}),
        )
        self._log("node", f"ends pod {name} with exit code {end.exit_code}{f', {end.reason}' if end.reason else ''}")
        self._set_job_status(job["metadata"]["name"], ready=0)
        if "deletionTimestamp" in (self._server.find(PODS, name) or {"metadata": {}})["metadata"]:
            # It has only waited for the job to take notice of it.
            self._server.remove(PODS, name)
        return end

    def _build_terminated(self, end: _RunEnd) -> Raw:
        state = {"exitCode": end.exit_code, "message": end.message, "reason": end.container_reason}
        return {**state, "finishedAt": format_time(self._now())}

    def _set_pod(self, name: str, **fields: Any) -> None:  # noqa: ANN401 - JSON builtins
        if pod := self._server.find(PODS, name):
            self._server.update(PODS, name, status={**pod["status"], **fields})

    async def _complain(self, about: Raw, reason: str, message: str, seconds: float) -> None:
        """Repeat an event for as long as the trouble lasts."""
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0:
            self._complaints += 1
            self._server.create(
                EVENTS,
                {
                    "metadata": {"name": f"complaint-{self._complaints}"},
                    "involvedObject": {"uid": about["metadata"]["uid"]},
                    "reason": reason,
                    "message": message,
                    "lastTimestamp": format_time(self._now()),
                },
            )
            await asyncio.sleep(min(left, _COMPLAIN_SECONDS))


def list_messages(pods: Sequence[Raw]) -> list[str]:
    """What the containers of syncs have left in these pods."""
    statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [])]
    ends = (status["state"].get("terminated") for status in statuses if status["name"] == SYNC_CONTAINER)
    return [end["message"] for end in ends if end]


def is_newly_deleted(change: Change) -> bool:
    """Return whether this change has set a deletion time."""
    before = change.before or {"metadata": {}}
    return "deletionTimestamp" in change.after["metadata"] and "deletionTimestamp" not in before["metadata"]


def _build_failure(uid: str, run: Run) -> _RunEnd:
    is_final = run.fate is Fate.FAILS_FOR_GOOD
    reason = run.reason or Reason.INTERNAL_ERROR
    error = ResultError(reason=reason, message=f"made up: {reason}", retryable=not is_final)
    result = SyncResult(sync_uid=uid, date_range=_RANGE, results=Results(), seconds=1.0, error=error)
    code = ExitCode.PERMANENT if is_final else ExitCode.RETRYABLE
    return _RunEnd(counts="failed", exit_code=int(code), message=build_result_bytes(result).decode())


def _build_condition(kind: str, status: str, reason: str, message: str) -> Raw:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _build_container(state: Raw) -> Raw:
    return {"name": SYNC_CONTAINER, "state": state}


def _get_owner_uid(thing: Raw) -> str:
    """The controlling owner; empty for an object of a person's own."""
    owners = thing["metadata"].get("ownerReferences", [])
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def _has_ended(job: Raw) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return any(condition["type"] in {"Complete", "Failed"} for condition in conditions)
