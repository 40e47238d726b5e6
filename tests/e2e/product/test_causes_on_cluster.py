"""Each cause as Kubernetes itself brings it about: what the status says while it lasts, and how it ends."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.control_plane import LocalNode, build_kubelet_command
from estimatesync_cluster.guarded_process import GuardedProcess, guarded

SECRET = "estimatesync-credentials"
MORTAL_NODE = f"mortal-node-{os.getpid()}"


def build_object(kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "provoked"}, **fields}


NO_PODS = build_object("ResourceQuota", spec={"hard": {"pods": "0"}})
NO_JOBS = build_object("ResourceQuota", spec={"hard": {"count/jobs.batch": "0"}})
NO_DATABASE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}
MESSAGE = "/status/containerStatuses/0/state/terminated/message"
LIMITED_CPU = build_object("ResourceQuota", spec={"hard": {"limits.cpu": "4", "limits.ephemeral-storage": "4Gi"}})
SMALL_PODS = build_object("LimitRange", spec={"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]})


@pytest.mark.parametrize(
    ("operator", "provoke", "reason", "words"),
    [
        pytest.param(
            {"SYNC_IMAGE": "registry.test/unknown:1"},
            None,
            "ImagePullFailed",
            "Check its name, its registry and the pull secret",
            id="image unknown",
        ),
        pytest.param(
            {"SYNC_CREDENTIALS_SECRET": "absent"}, None, "SecretMissing", 'secret "absent" not found', id="no secret"
        ),
        pytest.param(
            {},
            [{"op": "remove", "path": "/data/DATABASE_URL"}],
            "SecretMissing",
            "couldn't find key DATABASE_URL",
            id="no key",
        ),
        pytest.param(
            {"SYNC_NODE_SELECTOR": "no=such"}, None, "Unschedulable", "didn't match Pod's node affinity", id="no node"
        ),
        pytest.param({}, NO_PODS, "PodRefused", "exceeded quota: provoked", id="quota of pods"),
        pytest.param({}, LIMITED_CPU, "LimitMissing", "must specify limits.cpu for: sync", id="quota of limits"),
        pytest.param({}, SMALL_PODS, "PodRefused", "maximum memory usage per Container is 64Mi", id="admission"),
        pytest.param(
            {"SYNC_SERVICE_ACCOUNT": "absent"}, None, "PodRefused", 'serviceaccount "absent" not found', id="no account"
        ),
        pytest.param({}, NO_JOBS, "JobRefused", "exceeded quota: provoked", id="quota of jobs"),
    ],
)
def test_what_keeps_a_sync_from_running_shows_while_it_lasts_and_ends_it_by_the_limit(
    run_scenario: Any, operator: dict[str, str], provoke: Any, reason: str, words: str
) -> None:
    with run_scenario(with_api=False, STUCK_SECONDS="4", **operator) as scenario:
        if isinstance(provoke, list):
            scenario.patch("Secret", SECRET, provoke)
        elif provoke:
            scenario.create(provoke)

        scenario.apply("stuck")

        status = scenario.wait_reason("stuck", reason)["status"]
        assert status["phase"] == "Running"
        assert words in status["message"]
        assert {each["type"]: each["status"] for each in status["conditions"]}["Stalled"] == "True"
        ended = scenario.wait_finished("stuck")["status"]
        assert (ended["phase"], ended["reason"]) == ("Failed", reason)
        assert ended["message"].startswith("Gave up after 4 seconds. ")
        assert words in ended["message"]
        assert scenario.wait_callback("stuck")["error"] == ended["message"]
        scenario.wait_until("no job", lambda: scenario.count_jobs() == 0)


def test_a_sync_continues_once_the_blocker_is_gone_even_after_a_restart(run_scenario: Any) -> None:
    with run_scenario(with_api=False) as scenario:
        scenario.delete("Secret", SECRET)
        scenario.apply("patient")
        stalled = scenario.wait_reason("patient", "SecretMissing")["status"]["conditions"]

        scenario.product.stop_operator(grace=0)
        scenario.product.start_operator()
        assert scenario.get_sync("patient")["status"]["conditions"] == stalled
        scenario.product.write_credentials(password=scenario.secrets[0])

        ended = scenario.wait_finished("patient")["status"]
        assert (ended["phase"], ended["results"]["totalProcessed"]) == ("Succeeded", 230)
        assert {each["type"]: each["status"] for each in ended["conditions"]}["Stalled"] == "False"


def test_a_sync_over_its_memory_limit_fails_with_out_of_memory(run_scenario: Any) -> None:
    with run_scenario(with_api=False, SYNC_MEMORY_REQUEST="16Mi", SYNC_MEMORY_LIMIT="16Mi") as scenario:
        scenario.apply("fat", maxRetries=0)

        status = scenario.wait_finished("fat")["status"]

        assert (status["phase"], status["reason"]) == ("Failed", "OutOfMemory")
        assert status["message"] == "The sync ran out of memory. Raise the memory limit of the sync container"


def test_a_sync_past_its_deadline_fails_with_deadline_exceeded(run_scenario: Any) -> None:
    with run_scenario(with_api=False) as scenario:
        with scenario.pages_held():
            scenario.apply("late", timeoutSeconds=3)

            status = scenario.wait_finished("late")["status"]

        assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
        assert status["message"].startswith("The sync did not finish within 3 seconds.")
        assert scenario.wait_callback("late")["error"] == status["message"]


def test_a_job_that_a_person_deletes_ends_the_sync(run_scenario: Any) -> None:
    with run_scenario(with_api=False) as scenario:
        with scenario.pages_held():
            scenario.apply("robbed")
            scenario.wait_running_pod()

            scenario.delete_all("Job")

            status = scenario.wait_finished("robbed")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "JobDeleted")
        assert scenario.count_jobs() == 0


def test_retries_that_run_out_are_counted_in_the_cause(run_scenario: Any) -> None:
    with run_scenario(with_api=False, DATABASE_WAIT_SECONDS="0") as scenario:
        scenario.patch("Secret", SECRET, {"stringData": NO_DATABASE})

        scenario.apply("futile", maxRetries=1)

        status = scenario.wait_finished("futile")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "DatabaseUnavailable")
        assert status["message"].endswith("(gave up after 2 runs)")


@pytest.mark.parametrize(
    ("is_gone", "reason"),
    [
        pytest.param(True, "ResultMissing", id="the pod is gone"),
        pytest.param(False, "ResultBroken", id="the message is cut short"),
    ],
)
def test_a_result_that_cannot_be_had_is_never_made_up(run_scenario: Any, *, is_gone: bool, reason: str) -> None:
    with run_scenario(with_api=False) as scenario:
        with scenario.pages_held():
            scenario.apply("spoilt")
            scenario.wait_running_pod()
            scenario.product.stop_operator(grace=0)
        scenario.wait_complete_job()

        (pod,) = (each["metadata"]["name"] for each in scenario.find_all("Pod"))
        if is_gone:
            scenario.delete("Pod", pod)
            scenario.wait_until("no pod", lambda: not scenario.find_all("Pod"))
        else:
            scenario.patch("Pod", f"{pod}/status", [{"op": "replace", "path": MESSAGE, "value": '{"syncUid'}])
        scenario.product.start_operator()

        status = scenario.wait_finished("spoilt")["status"]
        assert (status["phase"], status["reason"], status["results"]["totalProcessed"]) == ("Failed", reason, 0)


def test_a_run_that_is_killed_says_with_what_exit_code(run_scenario: Any) -> None:
    with run_scenario(with_api=False) as scenario:
        with scenario.pages_held():
            scenario.apply("killed", maxRetries=0)
            scenario.wait_running_pod()

            scenario.kill_runs("killed")

        status = scenario.wait_finished("killed")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "PodFailed")
        assert "exit code 137" in status["message"]


@pytest.fixture
def second_node(cluster: Cluster, tmp_path: Path) -> Iterator[GuardedProcess]:
    """A node that a test may lose."""
    assert cluster.layout is not None, "this needs a cluster of our own"
    node = LocalNode(name=MORTAL_NODE, labels=(f"mortal={os.getpid()}",))
    command = build_kubelet_command(node, cluster.layout, cluster.server)
    with guarded(MORTAL_NODE, command, log=tmp_path / "mortal-node.log") as kubelet:
        yield kubelet
    cluster.api.delete("Node", MORTAL_NODE, missing_ok=True)


def test_a_lost_node_shows_and_ends_the_sync_by_the_limit(run_scenario: Any, second_node: GuardedProcess) -> None:
    with run_scenario(with_api=False, STUCK_SECONDS="2", SYNC_NODE_SELECTOR=f"mortal={os.getpid()}") as scenario:
        with scenario.pages_held():
            scenario.apply("lost")
            scenario.wait_running_pod()

            second_node.stop(grace=0)
            scenario.delete_all("Pod", gracePeriodSeconds="1")

            status = scenario.wait_finished("lost")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "NodeLost")
        assert f"on node {MORTAL_NODE} is not reported on any more" in status["message"]
        assert scenario.wait_callback("lost")["error"] == status["message"]


def evict(scenario: Any, but: str = "") -> str:
    """Ask the API server to take the sync's newest pod off its node, as a drain does, once it runs; return its name."""

    def find() -> str:
        pods = scenario.find_all("Pod")
        alive = [
            pod for pod in pods if pod["status"]["phase"] == "Running" and not pod["metadata"].get("deletionTimestamp")
        ]
        return next((pod["metadata"]["name"] for pod in alive if pod["metadata"]["name"] != but), "")

    scenario.wait_until("a running pod", find)
    name, namespace = find(), scenario.product.namespace
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    scenario.create(eviction, part_of=f"Pod/{name}/eviction")
    return name


def test_an_evicted_pod_is_replaced_without_counting_as_a_failure(run_scenario: Any) -> None:
    with run_scenario(with_api=False) as scenario:
        with scenario.pages_held():
            scenario.apply("moved", maxRetries=0)

            evict(scenario)

        status = scenario.wait_finished("moved")["status"]
        assert (status["phase"], status["results"]["newEstimates"]) == ("Succeeded", 230)
        assert scenario.count_estimates() == 230


def test_a_sync_that_is_drained_again_and_again_ends_by_the_bound_and_changes_no_row(run_scenario: Any) -> None:
    with run_scenario(with_api=False, MAX_EVICTIONS="1") as scenario:
        with scenario.pages_held():
            scenario.apply("hunted", maxRetries=0)
            # From then on its pod is known, and another one counts.
            scenario.wait_reason("hunted", "Running")

            evict(scenario, but=evict(scenario))

            status = scenario.wait_finished("hunted")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "EvictedTooOften")
        assert scenario.wait_callback("hunted")["error"] == status["message"]
        assert scenario.count_estimates() == 0
