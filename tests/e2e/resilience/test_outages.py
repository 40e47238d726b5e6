"""The API server or etcd goes away and comes back, or ends the watches: the operator lives on and recovers."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from estimatesync_cluster.cluster import Cluster, running_cluster

OUTAGE_LOOKS = 40
"""How often the liveness is asked for during an outage, at least."""
LOOK_SECONDS = 0.1
GONE = {"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410}}


@pytest.fixture(scope="module")
def fragile() -> Iterator[Cluster]:
    """A cluster of this module's own, whose parts may be killed."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def break_down(fragile: Cluster) -> Callable[..., None]:
    """Kill a part of the control plane, act while it is away, and start it again with the same data."""

    def break_down(part: str, act: Callable[[], object]) -> None:
        assert fragile.control_plane is not None
        component = fragile.control_plane.get_component(part)
        component.stop(grace=0)
        try:
            for _ in range(OUTAGE_LOOKS):
                act()
                time.sleep(LOOK_SECONDS)
        finally:
            component.start_again()

    return break_down


@pytest.mark.parametrize("part", ["kube-apiserver", "etcd"])
def test_a_sync_outlives_a_restart_of_the_control_plane(
    open_world: Any, fragile: Cluster, promise: Any, break_down: Any, part: str
) -> None:
    with open_world(fragile) as world:
        operator = world.start_operator()
        world.slow_down(0.4)
        world.create_sync("sync", pageSize=1, concurrency=1)
        world.wait_until("progress", lambda: world.read_status("sync").get("progress"))

        answers: list[bool] = []
        break_down(part, lambda: answers.append(operator.is_healthy()))

        world.wait_until("the API server", lambda: is_ready(world))
        world.wait_over("sync")
        # What happened during the outage is reported, except for an event that meets it itself.
        assert world.list_lasting_faults("sync", promise(may_lose=1)) == []
        assert all(answers), "restarting the operator would not have helped"
        assert not operator.process.has_ended()

        world.create_sync("next")
        world.wait_over("next")
        assert world.list_lasting_faults("next", promise(new=0)) == []


def test_an_operator_that_starts_while_the_api_server_is_away_lives_and_begins_when_it_is_back(
    open_world: Any, fragile: Cluster, promise: Any, break_down: Any
) -> None:
    with open_world(fragile) as world:
        # An operator that was here before has left a sync undone.
        world.start_operator()
        world.kill_operators()
        world.create_sync("sync")
        answers: list[bool] = []

        def act() -> None:
            operator = world.operators[0] if world.operators else world.start_operator()
            answers.append(operator.is_healthy())

        break_down("kube-apiserver", act)

        world.wait_until("the API server", lambda: is_ready(world))
        world.wait_over("sync")
        assert world.list_lasting_faults("sync", promise()) == []
        assert all(answers), "restarting the operator would not have helped"
        assert not world.operators[0].process.has_ended()


def test_watches_that_get_410_gone_restart(open_world: Any, promise: Any) -> None:
    with open_world() as world:
        operator = world.start_operator()
        world.wait_until("both watches", lambda: world.proxy.count_watches() == 2)

        assert world.proxy.end_watches(GONE) == 2
        world.create_sync("sync")

        world.wait_over("sync")
        assert world.list_lasting_faults("sync", promise()) == []
        listings = [request for request in world.proxy.requests if request.path.endswith("/estimatesyncs")]
        assert len([request for request in listings if request.is_watch]) == 2
        assert not operator.process.has_ended()


def is_ready(world: Any) -> bool:
    try:
        return bool(world.client.get("/readyz").is_success)
    except httpx.TransportError:
        return False
