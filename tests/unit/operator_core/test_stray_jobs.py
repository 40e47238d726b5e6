"""A job at work for a sync that has ended is remembered until it is stopped, whichever calls fail meanwhile.

Of a sync at work, one pod may be deleted: the very one that was judged.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import build_job_name
from estimatesync_operator.adapters.jobs import JobSnapshots, KubernetesJobs
from estimatesync_operator.core.job_manifest import JobSettings
from estimatesync_operator.core.job_observation import PodIdentity
from estimatesync_operator.core.ports import BackendUnavailableError, RunKeptError
from estimatesync_simulator.api_server import Problem, Request
from estimatesync_simulator.connection import connect

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return NOW


class Server:
    """Holds one job, or none, and has a bad moment at the next call of a method."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job: dict[str, Any] | None = job
        self.failing: list[str] = []
        self.deletions = 0

    async def answer(self, request: Request) -> bytes:
        if request.method in self.failing:
            self.failing.remove(request.method)
            raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", "etcdserver: leader changed")
        if self.job is None:
            raise Problem(HTTPStatus.NOT_FOUND, "NotFound", "not found", name=request.name)
        if request.method == "DELETE":
            self.deletions += 1
            self.job = None
        return msgspec.json.encode(self.job or {})


@pytest.mark.parametrize(
    "failing",
    [
        pytest.param([], id="none"),
        pytest.param(["GET"], id="the job could not be read"),
        pytest.param(["DELETE"], id="the job could not be deleted"),
        pytest.param(["GET", "GET", "DELETE", "DELETE"], id="one after the other"),
    ],
)
def test_a_stray_that_was_shown_once_is_stopped_once(
    make_sync: Callable[..., EstimateSync], make_job_settings: Callable[..., JobSettings], failing: list[str]
) -> None:
    sync = make_sync()
    name = build_job_name(sync.uid)
    job = {"metadata": {"name": name, "ownerReferences": [{"uid": sync.uid, "controller": True}]}, "status": {}}
    server, snapshots = Server(job), JobSnapshots(lambda: 0.0)
    jobs = KubernetesJobs(connect(server.answer), "ns", make_job_settings(), snapshots=snapshots, clock=Clock())
    server.failing = list(failing)

    async def stop_if_stray() -> bool | None:
        try:
            if await jobs.has_stray(sync):
                await jobs.stop(sync)
                return True
        except BackendUnavailableError:
            return None
        return False

    snapshots.put(job)
    passes = [asyncio.run(stop_if_stray()) for _ in range(len(failing) + 2)]

    assert passes == [*(None for _ in failing), True, False]
    assert server.deletions == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        pytest.param(None, None, id="deleted"),
        pytest.param(404, None, id="gone already"),
        pytest.param(409, None, id="another has its name"),
        pytest.param(403, RunKeptError, id="an older Role"),
        pytest.param(401, BackendUnavailableError, id="a token that has expired"),
        pytest.param(500, BackendUnavailableError, id="a bad moment"),
    ],
)
def test_the_pod_that_was_judged_is_deleted_and_no_other(
    make_sync: Callable[..., EstimateSync],
    make_job_settings: Callable[..., JobSettings],
    code: int | None,
    error: type[Exception] | None,
) -> None:
    requests: list[Request] = []

    async def answer(request: Request) -> bytes:
        requests.append(request)
        if code is not None:
            raise Problem(code, "Reason", "a sentence", name=request.name)
        return b"{}"

    snapshots = JobSnapshots(lambda: 0.0)
    jobs = KubernetesJobs(connect(answer), "ns", make_job_settings(), snapshots=snapshots, clock=Clock())
    raised = None
    try:
        asyncio.run(jobs.stop_run(make_sync(), PodIdentity(name="pod-1", uid="uid-1")))
    except (RunKeptError, BackendUnavailableError) as found:
        raised = type(found)

    assert raised is error
    assert {(each.method, each.resource, each.name) for each in requests} == {("DELETE", "pods", "pod-1")}
    assert all(each.body["preconditions"] == {"uid": "uid-1"} for each in requests)
