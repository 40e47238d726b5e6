"""A node falls silent, or is taken out of the cluster, while it runs a sync: the sync waits for it, or moves."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.control_plane import LocalNode, build_kubelet_command
from estimatesync_cluster.guarded_process import GuardedProcess, guarded

WAIT_SECONDS = 180.0
"""The node controller waits 50 s for a node; the garbage collector of pods checks every 20 s, twice."""


@pytest.fixture
def mortal_node(cluster: Cluster, tmp_path: Path) -> Iterator[GuardedProcess]:
    """A node besides the usual one, which a test may lose."""
    assert cluster.layout is not None
    command = build_kubelet_command(
        LocalNode(name="mortal-node", labels=("mortal=true",)), cluster.layout, cluster.server
    )
    with guarded("mortal-node", command, log=tmp_path / "mortal-node.log") as kubelet:
        yield kubelet
    cluster.kubectl("delete", "node", "mortal-node", "--ignore-not-found")


def find_child(kubelet: GuardedProcess) -> int:
    (child,) = Path(f"/proc/{kubelet.pid}/task/{kubelet.pid}/children").read_text().split()
    return int(child)


def start_slow_sync(world: Any) -> None:
    world.start_operator()
    world.slow_down(5.0)
    world.create_sync("sync", pageSize=1, concurrency=1)
    world.wait_until("progress", lambda: world.read_status("sync").get("progress"))


def test_a_node_that_falls_silent_shows_and_the_sync_goes_on_when_it_is_back(
    open_world: Any, promise: Any, mortal_node: GuardedProcess
) -> None:
    with open_world(SYNC_NODE_SELECTOR="mortal=true") as world:
        start_slow_sync(world)

        os.kill(find_child(mortal_node), signal.SIGSTOP)
        world.wait_until("a lost node", lambda: world.read_status("sync")["reason"] == "NodeLost", seconds=WAIT_SECONDS)
        os.kill(find_child(mortal_node), signal.SIGCONT)
        world.slow_down(0.0)

        world.wait_over("sync", seconds=WAIT_SECONDS)
        assert world.list_lasting_faults("sync", promise()) == []
        assert "NodeLost" in world.count_events(world.read_sync("sync")["metadata"]["uid"])


def test_a_node_that_is_taken_away_gives_its_sync_to_another(
    open_world: Any, promise: Any, mortal_node: GuardedProcess
) -> None:
    with open_world(SYNC_NODE_SELECTOR="mortal=true") as world:
        start_slow_sync(world)

        mortal_node.stop(grace=0)
        world.cluster.kubectl("delete", "node", "mortal-node")
        world.slow_down(0.0)
        # The collector of garbage removes the pod; its successor waits for a node with the label.
        world.wait_until(
            "another pod", lambda: world.read_status("sync")["reason"] == "Unschedulable", seconds=WAIT_SECONDS
        )
        mortal_node.start_again()

        world.wait_over("sync", seconds=WAIT_SECONDS)
        assert world.list_lasting_faults("sync", promise(pods=2)) == []
        assert world.read_status("sync")["runs"] == 2
