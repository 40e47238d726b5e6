"""No operator, an operator that cannot work, and objects that another client has made."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.fault_proxy import Answer, Fault, ProxiedRequest

LEAVE_SECONDS = 10.0
SYNCS = "/apis/botzilla.io/v1/namespaces/{}/estimatesyncs"
JOBS = "/apis/batch/v1/namespaces/{}/jobs"
PODS = "/api/v1/namespaces/{}/pods"


def test_without_an_operator_syncs_and_their_jobs_can_be_deleted_at_once(open_world: Any) -> None:
    with open_world(MAX_ACTIVE_SYNCS="2") as world:
        world.start_operator()
        world.create_sync("finished")
        world.wait_over("finished")
        world.slow_down(1.0)
        for name in ("running", "also-running", "waiting"):
            world.create_sync(name, pageSize=1, concurrency=1)
        world.wait_until("a running pod", lambda: world.read_status("running").get("progress"))
        world.wait_until("a waiting sync", lambda: world.read_status("waiting").get("phase") == "Queued")

        world.kill_operators()
        kubectl = ("delete", "estimatesync", "--all", f"--namespace={world.namespace}")
        world.cluster.kubectl(*kubectl, timeout=LEAVE_SECONDS)

        assert world.read_list(SYNCS) == []
        world.wait_until("no job and no pod", lambda: not world.read_list(JOBS) and not world.read_list(PODS))


def test_an_operator_without_rights_says_so_in_one_sentence(world: Any) -> None:
    world.product.kubectl("delete", "rolebinding", "estimatesync-operator")

    operator = world.launch_operator()

    world.wait_until("its end", operator.process.has_ended, seconds=90)
    assert operator.process.exit_code == 1
    assert world.operator_log.read_text().splitlines()[-1].startswith("The operator may not get leases of ")
    assert "Traceback" not in world.operator_log.read_text()


@pytest.fixture
def bare_cluster() -> Iterator[Cluster]:
    """A cluster of the test's own, from which the CustomResourceDefinition can be taken."""
    with running_cluster() as cluster:
        yield cluster


def test_an_operator_without_the_definition_says_so_in_one_sentence(open_world: Any, bare_cluster: Cluster) -> None:
    with open_world(bare_cluster) as world:
        world.product.kubectl("delete", "customresourcedefinition", "estimatesyncs.botzilla.io")

        operator = world.launch_operator()

        world.wait_until("its end", operator.process.has_ended, seconds=90)
        assert operator.process.exit_code == 1
        assert world.operator_log.read_text().splitlines()[-1] == (
            "The cluster does not know estimatesyncs.botzilla.io: apply the CustomResourceDefinition, then start again"
        )
        assert "Traceback" not in world.operator_log.read_text()


def test_an_operator_that_cannot_start_for_an_unexpected_reason_exits_and_does_not_idle(world: Any) -> None:
    world.proxy.fault = Gibberish()

    operator = world.launch_operator()

    world.wait_until("its end", operator.process.has_ended, seconds=90)
    assert operator.process.exit_code == 1
    log = world.operator_log.read_text()
    assert log.splitlines()[-1] == "The operator cannot start, because of an error that it does not know"
    assert "Traceback" in log


class Gibberish(Fault):
    """Listings that no API server sends."""

    def before(self, request: ProxiedRequest) -> Answer | None:
        is_listing = request.path.endswith("/estimatesyncs") and not request.is_watch
        return Answer(status=200, body=b"7", headers={"Content-Type": "application/json"}) if is_listing else None


def test_a_foreign_job_of_our_name_is_reported_and_left_alone(world: Any) -> None:
    world.create_sync("sync")
    job = f"estimatesync-{world.read_sync('sync')['metadata']['uid']}"
    container = {"name": "sync", "image": "another-image", "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    # It bears our labels as well: only ownership counts.
    labels = {"app.kubernetes.io/managed-by": "estimatesync", "botzilla.io/sync": "sync"}
    metadata = {"name": job, "labels": labels}
    foreign = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
    world.product.kubectl("create", "--filename=-", stdin=json.dumps(foreign))
    (before,) = world.list_jobs("sync")

    world.start_operator()

    status = world.wait_over("sync")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "JobConflict")
    assert json.loads(world.list_deliveries("sync")[0].body)["error"] == status["message"]
    (after,) = world.list_jobs("sync")
    assert (after["metadata"]["uid"], after["spec"]) == (before["metadata"]["uid"], before["spec"])
    assert after["metadata"].get("ownerReferences") is None


def test_hostile_but_valid_objects_are_synced_like_any_other(open_world: Any, promise: Any) -> None:
    strange = "\U0001f9e8\u202e{}'\"%s\\"
    objects: list[dict[str, Any]] = [
        {"name": "s" * 63},
        {"name": "a.b-c.d0"},
        {"name": "many", "annotations": {f"example.com/{number}": strange for number in range(5000)}},
        {"name": "large", "annotations": {"example.com/a": "\u00e4" * 120_000}},
        {"name": "labelled", "labels": {f"example.com/{number}": "a" * 63 for number in range(500)}},
    ]
    with open_world(MAX_ACTIVE_SYNCS="9") as world:
        world.start_operator()
        for metadata in objects:
            world.create_object(metadata)

        names = [metadata["name"] for metadata in objects]
        for name in names:
            world.wait_over(name)
        assert {name: world.list_lasting_faults(name, promise(new=None)) for name in names} == {
            name: [] for name in names
        }
        assert {name: world.read_sync(name)["metadata"].get("annotations", {}) for name in names} == {
            metadata["name"]: metadata.get("annotations", {}) for metadata in objects
        }


def test_an_operator_whose_start_met_an_outage_still_says_what_it_lacks(world: Any) -> None:
    world.product.kubectl("delete", "rolebinding", "estimatesync-operator")
    world.proxy.fault = Outage()

    operator = world.start_operator()
    world.wait_until("a call in vain", lambda: [request for request in world.proxy.requests if request.answer])
    assert not operator.process.has_ended()
    world.proxy.fault = Fault()

    world.wait_until("its end", operator.process.has_ended, seconds=90)
    assert operator.process.exit_code == 1
    assert "The operator may not get leases of coordination.k8s.io: grant " in world.operator_log.read_text()


class Outage(Fault):
    """Nothing can be had."""

    def before(self, request: ProxiedRequest) -> Answer:  # noqa: ARG002 - the answer is always the same
        return Answer(status=503)


def test_a_brief_403_at_the_start_is_not_believed(world: Any, promise: Any) -> None:
    world.proxy.fault = forbidden = ForbiddenOnce()
    operator = world.launch_operator()
    world.wait_until("the refusal", lambda: forbidden.count == 1)
    world.create_sync("sync")

    world.wait_over("sync")

    assert world.list_lasting_faults("sync", promise()) == []
    assert "The operator may not list estimatesyncs: grant " in world.operator_log.read_text()
    assert not operator.process.has_ended()


class ForbiddenOnce(Fault):
    """The very first listing is refused, as by an API server that has not read its roles yet."""

    def __init__(self) -> None:
        self.count = 0

    def before(self, request: ProxiedRequest) -> Answer | None:
        if self.count or not request.path.endswith("/estimatesyncs") or request.is_watch:
            return None
        self.count += 1
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}
        return Answer(status=403, body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
