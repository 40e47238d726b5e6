"""What people do to a running release on a real node: drains, cordons, new keys, rollouts; and crashes."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from estimatesync_cluster.node_configuration import NODE_NAME
from estimatesync_cluster.real_node import SOCKET

ESTIMATES = 120


def slow_down(sample: Any, seconds: float) -> None:
    def delay(request: Any) -> None:
        if request.path == "/api/job-estimates":
            time.sleep(seconds)

    sample.on_request = delay


def read_status(release: Any, name: str) -> dict[str, Any]:
    status: dict[str, Any] = release.find("EstimateSync", name).get("status", {})
    return status


def list_pods(release: Any, *, field: str, component: str) -> list[str]:
    selector = f"--selector=app.kubernetes.io/component={component}"
    return str(release.kubectl("get", "pods", selector, f"--output=jsonpath={{.items[*]{field}}}")).split()


def find_reading_pod(release: Any, name: str) -> str:
    """Find the sync's pod once it is at work, with pages still to come."""
    running = list_sync_pods(release, name, phase="Running")
    is_reading = running and "Fetching page" in release.kubectl("logs", running[0], check=False)
    return running[0] if is_reading else ""


def list_sync_pods(release: Any, name: str, *, phase: str) -> list[str]:
    pods = release.find_all("Pod", labelSelector=f"botzilla.io/sync={name}", fieldSelector=f"status.phase={phase}")
    return [each["metadata"]["name"] for each in pods]


def is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def wait_for_callback(release: Any, receiver: Any, name: str) -> dict[str, Any]:
    """Wait for the sync's end, and return the one callback that reported it."""
    release.wait_until("its end", lambda: read_status(release, name).get("phase") in {"Succeeded", "Failed"})
    release.kubectl("wait", f"estimatesync/{name}", "--for=condition=CallbackDelivered", "--timeout=60s")
    bodies = [json.loads(each.body) for each in receiver.deliveries]
    (callback,) = [each for each in bodies if each["sync_id"] == name]
    return dict(callback)


@pytest.fixture
def usable_again(cluster: Any) -> Iterator[None]:
    """Whatever a test does to the only node, the next one finds it in service."""
    yield
    cluster.kubectl("uncordon", NODE_NAME)
    cluster.kubectl("wait", f"node/{NODE_NAME}", "--for=condition=Ready", "--timeout=60s")


@pytest.mark.usefixtures("usable_again")
def test_a_drained_node_costs_a_sync_a_pause_and_nothing_else(
    release: Any, sample: Any, receiver: Any, count_estimates: Callable[[], int]
) -> None:
    release.deploy("install")
    slow_down(sample, 10.0)
    name = release.post().json()["sync_id"]
    pod = release.wait_until("a sync at work", lambda: find_reading_pod(release, name))

    drain = ("drain", NODE_NAME, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=20s")
    said = release.kubectl(*drain, check=False)

    # There is no other node: the budget holds the last replica, so that requests are taken all the while.
    assert f"pod/{pod} evicted" in said
    assert "disruption budget" in said
    assert list_pods(release, field=".status.phase", component="operator") == ["Pending"]
    later = release.post().json()["sync_id"]
    assert later == name, "the same days, while a sync of them is at work"
    slow_down(sample, 0.0)
    release.kubectl("uncordon", NODE_NAME)
    callback = wait_for_callback(release, receiver, name)
    assert (callback["status"], callback["results"]["total_processed"]) == ("success", ESTIMATES)
    assert count_estimates() == callback["results"]["new_estimates"] == ESTIMATES
    (after,) = list_sync_pods(release, name, phase="Succeeded")
    assert after != pod


@pytest.mark.usefixtures("usable_again")
def test_a_sync_without_a_node_says_so_and_goes_on_once_there_is_one(release: Any, receiver: Any) -> None:
    release.deploy("install")
    release.kubectl("cordon", NODE_NAME)

    name = release.post().json()["sync_id"]

    release.wait_until("its reason", lambda: read_status(release, name).get("reason") == "Unschedulable")
    assert "were unschedulable" in read_status(release, name)["message"]
    release.kubectl("uncordon", NODE_NAME)
    assert wait_for_callback(release, receiver, name)["results"]["total_processed"] == ESTIMATES


def test_authorities_that_are_gone_hold_a_sync_up_that_says_so_and_goes_on_once_they_are_back(
    release: Any, receiver: Any
) -> None:
    authority = trustme.CA().cert_pem.bytes().decode()
    create = ("create", "configmap", "authorities", f"--from-literal=ca.crt={authority}")
    release.kubectl(*create)
    release.values["network"] = {"caConfigMap": "authorities"}
    release.deploy("install")
    release.kubectl("delete", "configmap", "authorities")

    name = release.post().json()["sync_id"]

    release.wait_until("its reason", lambda: read_status(release, name).get("reason") == "ContainerRefused")
    assert 'configmap "authorities" not found' in read_status(release, name)["message"]
    release.kubectl(*create)
    assert wait_for_callback(release, receiver, name)["results"]["total_processed"] == ESTIMATES


@pytest.mark.usefixtures("usable_again")
def test_a_node_that_crashes_and_comes_back_costs_a_sync_a_run_and_no_estimate(
    release: Any, cluster: Any, sample: Any, receiver: Any, count_estimates: Callable[[], int]
) -> None:
    release.deploy("install")
    slow_down(sample, 10.0)
    name = release.post().json()["sync_id"]
    pod = release.wait_until("a sync at work", lambda: find_reading_pod(release, name))

    # Its containers, API and operator among them, end with containerd.
    kubelet, containerd = (cluster.control_plane.get_component(each) for each in ("kubelet", "containerd"))
    kubelet.stop(grace=0)
    containerd.stop(grace=0)
    slow_down(sample, 0.0)
    containerd.start_again()
    release.wait_until("containerd", lambda: is_listening(SOCKET))
    kubelet.start_again()

    callback = wait_for_callback(release, receiver, name)
    assert (callback["status"], callback["results"]["total_processed"]) == ("success", ESTIMATES)
    assert count_estimates() == callback["results"]["new_estimates"] == ESTIMATES
    (after,) = list_sync_pods(release, name, phase="Succeeded")
    assert after != pod
    release.wait_until("both replicas", lambda: len(release.find_api_urls()) == 2)


def test_a_new_key_in_the_mounted_secret_works_and_the_old_one_does_not_without_a_restart(release: Any) -> None:
    release.deploy("install")
    before = list_pods(release, field=".status.containerStatuses[*].containerID", component="api")
    urls = release.find_api_urls()
    keys = {"stringData": {"API_KEYS": "make:made-up-key-after-the-change"}}

    release.kubectl("patch", "secret", "sync-estimatesync-api-keys", f"--patch={json.dumps(keys)}")

    def list_answers(key: str) -> set[int]:
        listing = [f"{url}/api/automations/estimates/syncs" for url in urls]
        return {httpx.get(url, headers={"X-API-KEY": key}, trust_env=False, timeout=30).status_code for url in listing}

    new = "made-up-key-after-the-change"
    release.wait_until("the new key", lambda: list_answers(new) == {200})
    assert release.post(url=urls[0]).status_code == 403
    assert release.post(url=urls[1], key=new).status_code == 202
    assert list_pods(release, field=".status.containerStatuses[*].containerID", component="api") == before


def test_a_rollout_of_the_api_under_load_loses_no_request(release: Any, sample: Any, receiver: Any) -> None:
    del release.values["api"]["drainSeconds"]
    release.deploy("install")
    slow_down(sample, 3.0)
    service = ("get", "service", "sync-estimatesync-api", "--output=jsonpath={.spec.clusterIP}")
    url = f"http://{release.kubectl(*service)}"
    answers: list[tuple[int, str]] = []
    done = threading.Event()

    def post_again_and_again() -> None:
        while not done.is_set():
            # A connection of its own for each request, as each run of a scenario has.
            answer = release.post(url=url)
            answers.append((answer.status_code, answer.json().get("sync_id", "")))

    callers = [threading.Thread(target=post_again_and_again) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        release.kubectl("rollout", "restart", "deployment/sync-estimatesync-api")
        release.kubectl("rollout", "status", "deployment/sync-estimatesync-api", "--timeout=60s")

        api = "app.kubernetes.io/component=api"
        release.wait_until("the old ones' end", lambda: len(release.find_all("Pod", labelSelector=api)) == 2)
    finally:
        done.set()
        for caller in callers:
            caller.join(60)

    assert len(answers) > 100
    assert {code for code, _ in answers} == {202}
    for name in {name for _, name in answers}:
        assert wait_for_callback(release, receiver, name)["status"] == "success"
