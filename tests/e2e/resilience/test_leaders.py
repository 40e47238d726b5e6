"""Two operators, one of which leads until it ends, dies, or is paused for longer than its lease lasts."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest

SYNCS = "/apis/botzilla.io/v1/namespaces/{}/estimatesyncs"
NAMES = [f"sync-{number}" for number in range(6)]


@contextmanager
def counting_slots(world: Any) -> Iterator[list[int]]:
    """Count the syncs that run, as often as the API server answers."""
    counts: list[int] = []
    is_over = Event()

    def count() -> None:
        while not is_over.is_set():
            phases = [sync.get("status", {}).get("phase") for sync in world.read_list(SYNCS)]
            counts.append(phases.count("Running"))
            is_over.wait(0.02)

    thread = Thread(target=count)
    thread.start()
    try:
        yield counts
    finally:
        is_over.set()
        thread.join()


def test_the_second_operator_stands_by_and_says_so(world: Any, promise: Any) -> None:
    leader, second = world.start_two()

    world.create_sync("sync")
    world.wait_over("sync")

    assert world.list_lasting_faults("sync", promise()) == []
    assert leader.read_state() == "leads"
    world.wait_until("its state", lambda: second.read_state().startswith("stands by: estimatesync/operator-a_"))
    assert world.read_leader() == "operator-a"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_another_operator_goes_on_where_the_leader_ended(open_world: Any, promise: Any, end: str) -> None:
    with open_world(MAX_ACTIVE_SYNCS="2") as world, counting_slots(world) as counts:
        leader, _ = world.start_two()
        world.slow_down(0.3)
        for name in NAMES:
            world.create_sync(name, pageSize=2, concurrency=1)
        world.wait_until("progress", lambda: world.read_status(NAMES[0]).get("progress"))

        getattr(leader, end)()
        world.wait_until("another leader", lambda: world.read_leader() == "operator-b")
        world.slow_down(0.0)

        for name in NAMES:
            world.wait_over(name)
        lenient = promise(new=None, may_lose=1, may_repeat=1)
        assert {name: world.list_lasting_faults(name, lenient) for name in NAMES} == {name: [] for name in NAMES}
        assert max(counts) == 2
        if end == "stop":
            assert leader.process.exit_code == 0


def test_a_leader_that_was_paused_past_its_lease_gives_no_slot_and_makes_no_job(open_world: Any, promise: Any) -> None:
    with open_world(MAX_ACTIVE_SYNCS="2") as world, counting_slots(world) as counts:
        leader, second = world.start_two()
        world.slow_down(0.3)
        for name in NAMES:
            world.create_sync(name, pageSize=2, concurrency=1)
        world.wait_until("progress", lambda: world.read_status(NAMES[0]).get("progress"))

        leader.signal(signal.SIGSTOP)
        world.wait_until("another leader", lambda: world.read_leader() == "operator-b")
        leader.signal(signal.SIGCONT)

        for name in NAMES:
            world.wait_over(name)
        lenient = promise(new=None, may_lose=1, may_repeat=1)
        assert {name: world.list_lasting_faults(name, lenient) for name in NAMES} == {name: [] for name in NAMES}
        assert max(counts) == 2
        world.wait_until("its state", lambda: leader.read_state().startswith("stands by: estimatesync/operator-b_"))
        assert second.read_state() == "leads"


def test_a_second_release_in_the_namespace_is_refused_in_one_sentence(world: Any, promise: Any) -> None:
    world.start_operator(POD_NAME="operator-a", RELEASE_NAME="shop")
    world.wait_until("a leader", lambda: world.read_leader() == "operator-a")

    second = world.launch_operator(POD_NAME="operator-c", RELEASE_NAME="copy")

    world.wait_until("its end", second.process.has_ended, seconds=90)
    assert second.process.exit_code == 1
    log = world.operator_log.read_text()
    assert "\nRelease shop serves the EstimateSyncs of this namespace already (pod operator-a): " in log
    assert "Traceback" not in log
    world.create_sync("sync")
    world.wait_over("sync")
    assert world.list_lasting_faults("sync", promise()) == []


def test_a_leader_that_loses_its_right_to_the_lease_leads_no_more_and_ends_by_naming_it(world: Any) -> None:
    leader = world.start_operator(POD_NAME="operator-a")
    world.wait_until("its state", lambda: leader.read_state() == "leads")
    role = json.loads(world.product.kubectl("get", "role", "estimatesync-operator", "--output=json"))
    role["rules"] = [rule for rule in role["rules"] if "leases" not in rule["resources"]]

    world.product.kubectl("replace", "--filename=-", stdin=json.dumps(role))

    world.wait_until("its state", lambda: leader.read_state() == "waits for the API server")
    world.wait_until("its end", leader.process.has_ended, seconds=90)
    assert leader.process.exit_code == 1
    log = world.operator_log.read_text()
    assert "\nThe operator may not get leases of coordination.k8s.io: grant its Role in this namespace" in log


def test_the_lease_says_who_leads_and_names_no_sync_that_runs(world: Any) -> None:
    world.start_operator(POD_NAME="operator-a")
    world.create_sync("sync")
    world.wait_over("sync")

    lease = json.loads(world.product.kubectl("get", "lease", "estimatesync-operator", "--output=json"))

    assert lease["spec"]["holderIdentity"].startswith("estimatesync/operator-a_")
    assert (lease["spec"]["leaseDurationSeconds"], lease["spec"]["leaseTransitions"]) == (10, 0)
    world.wait_until("no name", lambda: "annotations" not in read_metadata(world))


def read_metadata(world: Any) -> dict[str, Any]:
    lease = json.loads(world.product.kubectl("get", "lease", "estimatesync-operator", "--output=json"))
    metadata: dict[str, Any] = lease["metadata"]
    return metadata
