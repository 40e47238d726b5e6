"""What only real containers show: images, Pod Security, memory limits, evictions, Services, rollouts."""

import json
import threading
import time
from importlib.metadata import version
from typing import Any

import httpx
import pytest

VERSION = version("estimatesync")

FINISHED = {"Succeeded", "Failed", "Cancelled"}


def slow_down(sample: Any, seconds: float) -> None:
    def delay(request: Any) -> None:
        if request.path == "/api/job-estimates":
            time.sleep(seconds)

    sample.on_request = delay


def read_sync(release: Any, name: str) -> dict[str, Any]:
    status: dict[str, Any] = release.find("EstimateSync", name).get("status", {})
    return status


def apply(release: Any, name: str, **spec: Any) -> None:
    sync = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": name}, "spec": spec}
    release.kubectl("apply", "--filename=-", stdin=json.dumps(sync))


def find_sync_pod(release: Any, name: str) -> str:
    found = release.find_all("Pod", labelSelector=f"botzilla.io/sync={name}", fieldSelector="status.phase=Running")
    return str(found[0]["metadata"]["name"]) if found else ""


def test_containers_are_what_the_images_promise(release: Any) -> None:
    release.deploy("install")
    program = (
        "import os; print(os.getuid(), os.access('/', os.W_OK), os.access('/opt', os.W_OK), os.access('/tmp', os.W_OK))"
    )

    for part in ("api", "operator"):
        printed = release.kubectl("exec", f"deployment/sync-estimatesync-{part}", "--", "python", "-c", program)
        assert printed.split() == ["65532", "False", "False", "True"]


def test_the_log_of_a_sync_is_read_with_kubectl(release: Any, sample: Any) -> None:
    release.deploy("install")
    slow_down(sample, 1.0)
    name = release.post().json()["sync_id"]
    pod = release.wait_until("a sync pod", lambda: find_sync_pod(release, name))

    release.wait_until("its first page", lambda: "Page 1 complete" in release.kubectl("logs", pod))
    release.wait_status(name, "succeeded")
    assert "Background synchronization finished" in release.kubectl("logs", pod)


def test_a_pod_over_its_memory_limit_is_killed_and_the_sync_says_so(release: Any) -> None:
    release.values["sync"]["resources"] = {"requests": {"memory": "12Mi"}, "limits": {"memory": "24Mi"}}
    release.deploy("install")

    apply(release, "greedy", maxRetries=0)

    release.wait_until("its end", lambda: read_sync(release, "greedy").get("phase") in FINISHED)
    assert read_sync(release, "greedy")["reason"] == "OutOfMemory"


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        pytest.param("images", {"syncDigest": f"sha256:{'0' * 64}"}, "ImagePullFailed", id="an image that is nowhere"),
        pytest.param("credentials", {"existingSecret": "nowhere"}, "SecretMissing", id="a Secret that is nowhere"),
    ],
)
def test_what_keeps_a_pod_from_starting_ends_the_sync_with_its_cause(
    release: Any, receiver: Any, part: str, value: dict[str, str], reason: str
) -> None:
    release.values[part] = value
    release.values["settings"]["stuckSeconds"] = 3
    release.deploy("install")

    name = release.post().json()["sync_id"]

    release.wait_until("its end", lambda: read_sync(release, name).get("phase") in FINISHED)
    assert read_sync(release, name)["reason"] == reason
    release.wait_until("the callback", lambda: receiver.deliveries)
    assert json.loads(receiver.deliveries[0].body)["status"] == "error"


def test_an_evicted_pod_costs_no_retry_and_no_estimate(release: Any, sample: Any, count_estimates: Any) -> None:
    release.deploy("install")
    slow_down(sample, 10.0)
    apply(release, "moved", maxRetries=0)
    # From then on its pod is known, and another one counts.
    release.wait_until("its first news", lambda: read_sync(release, "moved").get("reason") == "Running")
    pod = release.wait_until("a sync pod", lambda: find_sync_pod(release, "moved"))

    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": release.namespace},
    }
    path = f"/api/v1/namespaces/{release.namespace}/pods/{pod}/eviction"
    release.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction))
    slow_down(sample, 0.0)

    release.wait_until("its end", lambda: read_sync(release, "moved").get("phase") in FINISHED)
    assert read_sync(release, "moved")["phase"] == "Succeeded"
    assert (read_sync(release, "moved")["podName"] != pod, read_sync(release, "moved")["runs"]) == (True, 2)
    assert count_estimates() == read_sync(release, "moved")["results"]["totalProcessed"]


def test_an_operator_deleted_in_the_middle_loses_nothing_and_sends_one_callback(
    release: Any, sample: Any, receiver: Any
) -> None:
    release.deploy("install")
    slow_down(sample, 1.5)
    name = release.post().json()["sync_id"]
    release.wait_until("a sync pod", lambda: find_sync_pod(release, name))

    release.kubectl("delete", "pod", "--selector=app.kubernetes.io/component=operator", "--force", "--grace-period=0")

    release.wait_status(name, "succeeded")
    release.wait_until("the callback", lambda: receiver.deliveries)
    release.kubectl("wait", f"estimatesync/{name}", "--for=condition=CallbackDelivered", "--timeout=90s")
    assert len(receiver.deliveries) == 1


def read_leader(release: Any) -> str:
    """Name the pod of the operator that leads; empty while none does."""
    holder = release.find("Lease", "estimatesync-operator").get("spec", {}).get("holderIdentity") or ""
    return str(holder).partition("/")[2].rpartition("_")[0]


def test_a_leader_deleted_in_the_middle_leaves_the_sync_to_another_one_which_sends_one_callback(
    release: Any, sample: Any, receiver: Any
) -> None:
    release.values["operator"]["replicas"] = 2
    release.deploy("install")
    leader = read_leader(release)
    slow_down(sample, 1.5)
    name = release.post().json()["sync_id"]
    release.wait_until("a sync pod", lambda: find_sync_pod(release, name))

    release.kubectl("delete", "pod", leader, "--force", "--grace-period=0")

    release.wait_until("another leader", lambda: read_leader(release) not in {"", leader})
    release.wait_status(name, "succeeded")
    release.kubectl("wait", f"estimatesync/{name}", "--for=condition=CallbackDelivered", "--timeout=90s")
    assert len(receiver.deliveries) == 1
    assert len(json.loads(release.kubectl("get", "jobs", "--output=json"))["items"]) == 1


def test_a_rollout_of_the_api_is_not_noticed_by_its_callers(release: Any) -> None:
    del release.values["api"]["drainSeconds"]
    release.deploy("install")
    address = release.kubectl("get", "service", "sync-estimatesync-api", "--output=jsonpath={.spec.clusterIP}")
    answers: list[int] = []
    done = threading.Event()

    def ask_again_and_again() -> None:
        while not done.is_set():
            # A connection of its own for each request, as a caller behind no proxy has.
            answers.append(httpx.get(f"http://{address}/readyz", trust_env=False, timeout=30).status_code)
            time.sleep(0.02)

    caller = threading.Thread(target=ask_again_and_again)
    caller.start()
    try:
        release.kubectl("rollout", "restart", "deployment/sync-estimatesync-api")
        release.kubectl("rollout", "status", "deployment/sync-estimatesync-api", "--timeout=60s")
        api = "app.kubernetes.io/component=api"
        release.wait_until("the old ones' end", lambda: len(release.find_all("Pod", labelSelector=api)) == 2)
    finally:
        done.set()
        caller.join(90)

    assert len(answers) > 100
    assert set(answers) == {200}


def test_budget_lets_one_replica_go_at_a_time(release: Any) -> None:
    release.deploy("install")
    first, second = release.kubectl("get", "pods", "--selector=app.kubernetes.io/component=api", "-oname").split()

    def evict(pod: str) -> str:
        name = pod.removeprefix("pod/")
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": release.namespace},
        }
        path = f"/api/v1/namespaces/{release.namespace}/pods/{name}/eviction"
        return str(release.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(body), check=False))

    assert "Success" in evict(first)
    assert "disruption budget" in evict(second)


WAIT_FOR_THE_END = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); signal.pause()"


def test_a_native_sidecar_runs_beside_a_sync_and_ends_after_it(release: Any) -> None:
    sidecar = {
        "name": "proxy",
        "image": f"estimatesync-sync:{VERSION}",
        "restartPolicy": "Always",
        "command": ["python", "-c", WAIT_FOR_THE_END],
    }
    release.values["sync"]["initContainers"] = [sidecar]
    release.deploy("install")

    name = release.post().json()["sync_id"]
    release.wait_status(name, "succeeded")

    def read_pod() -> dict[str, Any]:
        (pod,) = release.find_all("Pod", labelSelector=f"botzilla.io/sync={name}")
        return dict(pod)

    release.wait_until("its end", lambda: read_pod()["status"]["phase"] == "Succeeded")
    pod = read_pod()
    (beside,) = pod["status"]["initContainerStatuses"]
    (own,) = pod["status"]["containerStatuses"]
    started = beside["state"]["terminated"]["startedAt"]
    assert started <= own["state"]["terminated"]["startedAt"]
    assert own["state"]["terminated"]["finishedAt"] <= beside["state"]["terminated"]["finishedAt"]
    # Restricted as the sync's own, since it says nothing about it: the namespace enforces that.
    assert pod["spec"]["initContainers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
