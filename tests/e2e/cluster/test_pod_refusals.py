"""A pod that cannot start says why, in the words that a real node uses."""

from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster

RunPod = Callable[..., dict[str, Any]]
ENVIRONMENT = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]


def read_waiting(status: dict[str, Any]) -> dict[str, str]:
    containers = status.get("containerStatuses") or [{"state": {}}]
    waiting: dict[str, str] = containers[0]["state"].get("waiting", {})
    return waiting


def waits_for(reason: str) -> Callable[[dict[str, Any]], bool]:
    return lambda status: read_waiting(status).get("reason") == reason


def find_scheduled_condition(status: dict[str, Any]) -> dict[str, str]:
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    return conditions.get("PodScheduled", {})


def is_unschedulable(status: dict[str, Any]) -> bool:
    scheduled = find_scheduled_condition(status)
    return (scheduled.get("status"), scheduled.get("reason")) == ("False", "Unschedulable")


def test_missing_secret_is_named_and_the_pod_starts_once_it_is_there(
    run_pod: RunPod,
    wait_for_pod: Callable[..., dict[str, Any]],
    apply: Callable[[dict[str, Any]], None],
    namespace: str,
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}

    no_secret = run_pod('test "$PASSWORD" = made-up', env=ENVIRONMENT, until=waits_for("CreateContainerConfigError"))
    apply({**secret, "stringData": {"other": "x"}})
    no_key = wait_for_pod(lambda status: "find key" in read_waiting(status).get("message", ""))
    apply({**secret, "stringData": {"password": "made-up"}})
    ended = wait_for_pod()

    assert read_waiting(no_secret)["message"] == 'secret "s" not found'
    assert no_secret["phase"] == "Pending"
    assert read_waiting(no_key)["message"] == f"couldn't find key password in Secret {namespace}/s"
    assert ended["phase"] == "Succeeded"


def test_unknown_image_ends_in_pull_back_off(cluster: Cluster, run_pod: RunPod, namespace: str) -> None:
    status = run_pod("exit 0", image="nowhere.example/sync:9", until=waits_for("ImagePullBackOff"))

    logs = cluster.kubectl("logs", "a", f"--namespace={namespace}", check=False)

    assert read_waiting(status)["message"].startswith('Back-off pulling image "nowhere.example/sync:9": ErrImagePull: ')
    assert status["phase"] == "Pending"
    assert 'container "main" in pod "a" is waiting to start: trying and failing to pull image' in logs.stderr


def test_container_without_command_is_refused(run_pod: RunPod) -> None:
    status = run_pod("", command=[], until=waits_for("CreateContainerError"))

    assert read_waiting(status)["message"].startswith("no command specified")


def test_command_that_is_not_there_fails_to_start(run_pod: RunPod) -> None:
    status = run_pod("", command=["no-such-program"])

    terminated = status["containerStatuses"][0]["state"]["terminated"]
    assert (status["phase"], terminated["exitCode"], terminated["reason"]) == ("Failed", 128, "StartError")
    assert terminated["message"] == 'exec: "no-such-program": executable file not found in $PATH'


def test_pod_that_is_too_big_for_every_node_says_so(run_pod: RunPod) -> None:
    status = run_pod("exit 0", resources={"requests": {"memory": "1Pi"}}, until=is_unschedulable)

    assert status["phase"] == "Pending"
    assert "1 Insufficient memory" in find_scheduled_condition(status)["message"]


def test_pod_waits_while_the_node_is_cordoned(
    cluster: Cluster, run_pod: RunPod, wait_for_pod: Callable[..., dict[str, Any]]
) -> None:
    cluster.kubectl("cordon", "test-node")
    try:
        waiting = run_pod("exit 0", until=is_unschedulable)
    finally:
        cluster.kubectl("uncordon", "test-node")
    ended = wait_for_pod()

    assert "node(s) were unschedulable" in find_scheduled_condition(waiting)["message"]
    assert ended["phase"] == "Succeeded"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"initContainers": [{"name": "i", "image": "x"}]}, "runs no init containers", id="init container"),
        pytest.param({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "volume v is a hostPath", id="volume"),
    ],
)
def test_what_processes_cannot_have_fails_the_pod(run_pod: RunPod, spec: dict[str, Any], message: str) -> None:
    status = run_pod("exit 0", spec=spec)

    assert (status["phase"], status["reason"]) == ("Failed", "UnsupportedByTestKubelet")
    assert message in status["message"]


def test_pod_that_does_not_fit_waits_until_the_node_changes(
    cluster: Cluster, run_pod: RunPod, wait_for_pod: Callable[..., dict[str, Any]], namespace: str
) -> None:
    waiting = run_pod("exit 0", spec={"nodeSelector": {"zone": namespace}}, until=lambda status: "conditions" in status)
    condition = next(each for each in waiting["conditions"] if each["type"] == "PodScheduled")

    cluster.api.patch("Node", "test-node", {"metadata": {"labels": {"zone": namespace}}})
    ended = wait_for_pod()

    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    # The scheduler goes on to say what preemption would not change.
    words = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    assert condition["message"].startswith(words)
    assert ended["phase"] == "Succeeded"


def test_node_is_labelled_and_ready(cluster: Cluster) -> None:
    nodes = cluster.api.find_all("Node", labelSelector="estimatesync.botzilla.io/test-node=true")

    assert [node["metadata"]["name"] for node in nodes] == ["test-node"]
