"""What a node says of a sync's pod, said by the test in a kubelet's place; all else is the real control plane's."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster

NODE = "played-node"
TAKEN_OFF = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
LOW_ON_MEMORY = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}


@pytest.fixture
def played_node(cluster: Cluster) -> Iterator[None]:
    """A node without a kubelet, that no scheduler knows of."""
    cluster.kubectl("create", "--filename=-", stdin=build_object("Node", NODE))
    yield
    cluster.kubectl("delete", "node", NODE)


@pytest.fixture
def tell_played_story(tell_story: Callable[..., Any], played_node: None) -> Callable[..., Any]:  # noqa: ARG001 - it is there
    """Run the product; its pods wait for the test to take them."""

    def tell(**operator: str) -> Any:
        return tell_story(with_api=False, SYNC_NODE_SELECTOR="played=true", **operator)

    return tell


def build_object(kind: str, name: str, **fields: Any) -> str:
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields})


def list_waiting(story: Any) -> list[str]:
    pods = json.loads(story.product.kubectl("get", "pods", "--output=json"))["items"]
    return [pod["metadata"]["name"] for pod in pods if not pod["spec"].get("nodeName")]


def take(story: Any) -> str:
    """Bind the sync's next pod to the node."""
    story.wait_until("a pod without a node", lambda: list_waiting(story))
    (pod,) = list_waiting(story)
    binding = build_object("Binding", pod, target={"apiVersion": "v1", "kind": "Node", "name": NODE})
    path = f"/api/v1/namespaces/{story.product.namespace}/pods/{pod}/binding"
    story.product.kubectl("create", f"--raw={path}", "--filename=-", stdin=binding)
    return pod


def say(story: Any, pod: str, **status: Any) -> None:
    patch = f"--patch={json.dumps({'status': status})}"
    story.product.kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", patch)


def test_a_container_that_the_node_cannot_start_shows_and_ends_the_sync_by_the_limit(tell_played_story: Any) -> None:
    with tell_played_story(STUCK_SECONDS="20") as story:
        story.apply("refused")
        waiting = {"reason": "CreateContainerError", "message": "exec format error"}
        container = {"name": "sync", "image": "i", "imageID": "", "ready": False, "restartCount": 0}

        say(story, take(story), phase="Pending", containerStatuses=[{**container, "state": {"waiting": waiting}}])

        status = story.wait_reason("refused", "ContainerRefused")["status"]
        assert status["message"].endswith(": exec format error")
        ended = story.wait_finished("refused")["status"]
        assert (ended["phase"], ended["reason"]) == ("Failed", "ContainerRefused")
        assert story.wait_callback("refused")["error"] == ended["message"]


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        pytest.param(
            {"phase": "Failed", "reason": "OutOfmemory", "message": "Node didn't have enough resource: memory"},
            "NodeRefused",
            "The node refused the pod of the sync (OutOfmemory). ",
            id="no room on the node",
        ),
        pytest.param(LOW_ON_MEMORY, "Evicted", "The cluster took the sync off its node. ", id="evicted at last"),
    ],
)
def test_a_pod_that_its_node_turns_away_ends_a_sync_without_retries(
    tell_played_story: Any, said: dict[str, str], reason: str, words: str
) -> None:
    with tell_played_story() as story:
        story.apply("turned-away", maxRetries=0)

        say(story, take(story), **said)

        status = story.wait_finished("turned-away")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", reason)
        assert status["message"].startswith(words)
        assert status["message"].endswith(f": {said['message']}")
        assert story.wait_callback("turned-away")["error"] == status["message"]


def test_a_sync_that_its_nodes_evict_again_and_again_ends_by_the_bound(tell_played_story: Any) -> None:
    with tell_played_story(MAX_EVICTIONS="1") as story:
        story.apply("unwanted", maxRetries=0)

        for _ in range(2):
            say(story, take(story), **LOW_ON_MEMORY, conditions=[TAKEN_OFF])

        status = story.wait_finished("unwanted")["status"]
        assert (status["phase"], status["reason"], status["runs"]) == ("Failed", "EvictedTooOften", 3)
        assert status["message"].startswith("The cluster took the sync off its node 2 times. ")
        assert story.wait_callback("unwanted")["error"] == status["message"]
        story.wait_until("no job", lambda: story.count_jobs() == 0)
