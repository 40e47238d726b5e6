"""What a node says of a sync's pod, said by the test in a kubelet's place; all else is the real control plane's."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster

NODE = f"played-node-{os.getpid()}"
TAKEN_OFF = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
LOW_ON_MEMORY = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
OVER_LIMIT = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."
CONTAINER = {"image": "i", "imageID": "", "ready": False, "restartCount": 0}
INITIALIZING = [{"name": "sync", **CONTAINER, "state": {"waiting": {"reason": "PodInitializing"}}}]


@pytest.fixture
def played_node(cluster: Cluster) -> Iterator[None]:
    """A node without a kubelet, that no scheduler knows of."""
    cluster.api.create(build_object("Node", NODE))
    yield
    cluster.api.delete("Node", NODE)


@pytest.fixture
def run_on_played_node(run_scenario: Callable[..., Any], played_node: None) -> Callable[..., Any]:  # noqa: ARG001 - it is there
    """Run the product; its pods wait for the test to take them."""

    def run(**operator: str) -> Any:
        return run_scenario(with_api=False, SYNC_NODE_SELECTOR="played=true", **operator)

    return run


def build_object(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}


def list_waiting(scenario: Any) -> list[str]:
    return [pod["metadata"]["name"] for pod in scenario.find_all("Pod") if not pod["spec"].get("nodeName")]


def take(scenario: Any) -> str:
    """Bind the sync's next pod to the node."""
    scenario.wait_until("a pod without a node", lambda: list_waiting(scenario))
    (pod,) = list_waiting(scenario)
    binding = build_object("Binding", pod, target={"apiVersion": "v1", "kind": "Node", "name": NODE})
    scenario.create(binding, part_of=f"Pod/{pod}/binding")
    return pod


def say(scenario: Any, pod: str, **status: Any) -> None:
    scenario.patch("Pod", f"{pod}/status", {"status": status})


def test_a_container_that_the_node_cannot_start_shows_and_ends_the_sync_by_the_limit(run_on_played_node: Any) -> None:
    with run_on_played_node(STUCK_SECONDS="20") as scenario:
        scenario.apply("refused")
        waiting = {"reason": "CreateContainerError", "message": "exec format error"}
        container = {"name": "sync", "image": "i", "imageID": "", "ready": False, "restartCount": 0}

        say(scenario, take(scenario), phase="Pending", containerStatuses=[{**container, "state": {"waiting": waiting}}])

        status = scenario.wait_reason("refused", "ContainerRefused")["status"]
        assert status["message"].endswith(": exec format error")
        ended = scenario.wait_finished("refused")["status"]
        assert (ended["phase"], ended["reason"]) == ("Failed", "ContainerRefused")
        assert scenario.wait_callback("refused")["error"] == ended["message"]


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        pytest.param(
            {"phase": "Failed", "reason": "OutOfmemory", "message": "Node didn't have enough resource: memory"},
            "NodeRefused",
            "The node refused the pod of the sync (OutOfmemory). ",
            id="no capacity on the node",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": OVER_LIMIT},
            "OutOfStorage",
            "The pod of the sync used more disk than it may. ",
            id="over its own limit",
        ),
        pytest.param(LOW_ON_MEMORY, "Evicted", "The cluster took the sync off its node. ", id="evicted at last"),
    ],
)
def test_a_pod_that_its_node_turns_away_ends_a_sync_without_retries(
    run_on_played_node: Any, said: dict[str, str], reason: str, words: str
) -> None:
    with run_on_played_node() as scenario:
        scenario.apply("turned-away", maxRetries=0)

        say(scenario, take(scenario), **said)

        status = scenario.wait_finished("turned-away")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", reason)
        assert status["message"].startswith(words)
        assert status["message"].endswith(f": {said['message']}")
        assert scenario.wait_callback("turned-away")["error"] == status["message"]


def test_a_sync_that_its_nodes_evict_again_and_again_ends_by_the_bound(run_on_played_node: Any) -> None:
    with run_on_played_node(MAX_EVICTIONS="1") as scenario:
        scenario.apply("unwanted", maxRetries=0)

        for _ in range(2):
            say(scenario, take(scenario), **LOW_ON_MEMORY, conditions=[TAKEN_OFF])

        status = scenario.wait_finished("unwanted")["status"]
        assert (status["phase"], status["reason"], status["runs"]) == ("Failed", "EvictedTooOften", 3)
        assert status["message"].startswith("The cluster took the sync off its node 2 times. ")
        assert scenario.wait_callback("unwanted")["error"] == status["message"]
        scenario.wait_until("no job", lambda: scenario.count_jobs() == 0)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        pytest.param(
            {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}},
            ": mesh-init: ImagePullBackOff: Back-off pulling image",
            id="its image is missing",
        ),
        pytest.param(
            {"running": {"startedAt": "2025-10-16T14:09:02Z"}}, ": mesh-init: it has been running since", id="it hangs"
        ),
        pytest.param(
            {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            ": mesh-init: CrashLoopBackOff: back-off 10s",
            id="it crashes",
        ),
    ],
)
def test_an_init_container_that_is_not_ours_is_named_while_it_is_in_the_way_and_ends_the_sync_by_the_limit(
    run_on_played_node: Any, state: dict[str, Any], words: str
) -> None:
    with run_on_played_node(STUCK_SECONDS="20") as scenario:
        scenario.apply("meshed")
        init = [{"name": "mesh-init", **CONTAINER, "state": state}]

        say(scenario, take(scenario), phase="Pending", initContainerStatuses=init, containerStatuses=INITIALIZING)

        assert words in scenario.wait_reason("meshed", "InitContainerStuck")["status"]["message"]
        ended = scenario.wait_finished("meshed")["status"]
        assert (ended["phase"], ended["reason"]) == ("Failed", "InitContainerStuck")


def test_an_init_container_that_fails_ends_the_sync_and_is_named(run_on_played_node: Any) -> None:
    with run_on_played_node() as scenario:
        scenario.apply("meshed", maxRetries=0)
        ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
        init = [{"name": "mesh-init", **CONTAINER, "state": ended}]

        say(scenario, take(scenario), phase="Failed", initContainerStatuses=init, containerStatuses=INITIALIZING)

        status = scenario.wait_finished("meshed")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "InitContainerFailed")
        assert status["message"].endswith(": mesh-init ended with exit code 1 (Error)")
