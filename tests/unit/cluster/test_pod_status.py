"""A pod's status from its containers' states."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from estimatesync_cluster.test_kubelet.manifests import Pod
from estimatesync_cluster.test_kubelet.pod_status import (
    DEADLINE_EXCEEDED,
    LOST,
    ContainerRecord,
    Running,
    Situation,
    State,
    Terminated,
    Waiting,
    build_back_off,
    build_terminated,
    compute_phase,
    next_back_off_seconds,
    parse_record,
    to_container_status,
    to_status_object,
)

BuildPod = Callable[..., Pod]
NOW = datetime(2025, 10, 16, 14, 9, 0, 123456, tzinfo=UTC)
LIVE = Running(started_at=NOW, container_id="process://1")
DONE = Terminated(exit_code=0, reason="Completed", started_at=NOW, finished_at=NOW, container_id="process://1")
BROKEN = replace(DONE, exit_code=10, reason="Error")
CREATING = Waiting()
READINESS = ("ContainersReady", "Ready")


def situate(state: State, *, last: Terminated | None = None, **more: Any) -> Situation:
    return Situation(records={"main": ContainerRecord(state=state, last=last)}, start_time=NOW, **more)


@pytest.mark.parametrize(
    ("policy", "situation", "phase"),
    [
        pytest.param("Never", situate(CREATING), "Pending", id="not started"),
        pytest.param("Never", situate(LIVE), "Running", id="running"),
        pytest.param("Never", situate(DONE), "Succeeded", id="succeeded"),
        pytest.param("Never", situate(BROKEN), "Failed", id="failed"),
        pytest.param("OnFailure", situate(DONE), "Succeeded", id="on failure, succeeded"),
        pytest.param("OnFailure", situate(BROKEN), "Running", id="on failure, about to start again"),
        pytest.param("OnFailure", situate(Waiting(reason="CrashLoopBackOff"), last=BROKEN), "Running", id="back-off"),
        pytest.param("Always", situate(DONE), "Running", id="always"),
        pytest.param("Always", situate(BROKEN, stopping=True), "Failed", id="always, stopping"),
        pytest.param("Never", situate(CREATING, ended=True), "Failed", id="deleted before it started"),
        pytest.param("Never", situate(LIVE, failure=DEADLINE_EXCEEDED), "Running", id="deadline, still ending"),
        pytest.param("Never", situate(DONE, failure=DEADLINE_EXCEEDED, ended=True), "Failed", id="deadline, ended"),
    ],
)
def test_phase(build_pod: BuildPod, policy: str, situation: Situation, phase: str) -> None:
    computed = compute_phase(build_pod(restartPolicy=policy), situation)

    assert computed == phase


@pytest.mark.parametrize(
    ("situation", "ready"),
    [
        pytest.param(situate(LIVE), ("True", None, None), id="running"),
        pytest.param(
            situate(CREATING),
            ("False", "ContainersNotReady", "containers with unready status: [main]"),
            id="not started",
        ),
        pytest.param(situate(DONE), ("False", "PodCompleted", None), id="succeeded"),
        pytest.param(situate(BROKEN), ("False", "PodFailed", None), id="failed"),
    ],
)
def test_readiness(build_pod: BuildPod, situation: Situation, ready: tuple[str, str | None, str | None]) -> None:
    status = to_status_object(build_pod(restartPolicy="Never"), situation, previous=(), now=NOW)

    conditions = {each["type"]: each for each in status["conditions"]}
    shown = [tuple(conditions[kind][key] for key in ("status", "reason", "message")) for kind in READINESS]
    assert shown == [ready, ready]
    assert conditions["PodScheduled"]["status"] == conditions["Initialized"]["status"] == "True"


def test_transition_times_stay_while_the_condition_does(build_pod: BuildPod) -> None:
    pod, later = build_pod(restartPolicy="Never"), NOW + timedelta(minutes=1)
    first = to_status_object(pod, situate(LIVE), previous=(), now=NOW)

    second = to_status_object(pod, situate(DONE), previous=first["conditions"], now=later)

    times = {each["type"]: each["lastTransitionTime"] for each in second["conditions"]}
    assert times["Ready"] == "2025-10-16T14:10:00Z"
    assert times["PodScheduled"] == "2025-10-16T14:09:00Z"


def test_failure_of_the_pod_is_on_its_status(build_pod: BuildPod) -> None:
    situation = situate(BROKEN, failure=DEADLINE_EXCEEDED, ended=True)

    status = to_status_object(build_pod(), situation, previous=(), now=NOW)

    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert status["message"] == "Pod was active on the node longer than the specified deadline"


def test_terminated_container_is_represented_whole(build_pod: BuildPod) -> None:
    ended = build_terminated(LIVE, exit_code=10, message="why", now=NOW + timedelta(seconds=2))

    represented = to_container_status(build_pod().spec.containers[0], ContainerRecord(state=ended, restarts=1))

    assert represented["state"] == {
        "terminated": {
            "exitCode": 10,
            "reason": "Error",
            "message": "why",
            "startedAt": "2025-10-16T14:09:00Z",
            "finishedAt": "2025-10-16T14:09:02Z",
            "containerID": "process://1",
        }
    }
    assert (represented["ready"], represented["restartCount"], represented["lastState"]) == (False, 1, {})


@pytest.mark.parametrize(
    ("raw", "record"),
    [
        pytest.param(None, ContainerRecord(), id="never seen"),
        pytest.param({"state": {"waiting": {"reason": "ErrImagePull"}}}, ContainerRecord(), id="waited"),
        pytest.param(
            {"state": {"running": {"startedAt": "2025-10-16T14:09:00Z"}}, "restartCount": 2},
            ContainerRecord(state=LOST, restarts=2),
            id="ran: lost",
        ),
        pytest.param(
            {"state": {"terminated": {"exitCode": 10, "reason": "Error", "message": "why"}}},
            ContainerRecord(state=Terminated(exit_code=10, reason="Error", message="why")),
            id="ended: kept",
        ),
    ],
)
def test_status_of_an_earlier_kubelet_is_taken_over(raw: dict[str, Any] | None, record: ContainerRecord) -> None:
    parsed = parse_record(raw)

    assert parsed == record


@pytest.mark.parametrize(("restarts", "seconds"), [(0, 10), (1, 20), (4, 160), (5, 300), (10_000, 300)])
def test_back_off_doubles_up_to_five_minutes(restarts: int, seconds: float) -> None:
    computed = next_back_off_seconds(restarts)

    assert computed == seconds


def test_back_off_remembers_how_the_last_run_ended(build_pod: BuildPod) -> None:
    record = build_back_off(build_pod().spec.containers[0], ContainerRecord(state=BROKEN), BROKEN)

    assert record.last == BROKEN
    assert record.state == Waiting(reason="CrashLoopBackOff", message="back-off 10s restarting failed container=main")
