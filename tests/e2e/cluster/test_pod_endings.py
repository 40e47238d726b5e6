"""Whatever ends a pod ends every process it started, and Kubernetes hears of it."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import not_
from pathlib import Path
from typing import Any

from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.control_plane import LocalNode, build_kubelet_command

RunPod = Callable[..., dict[str, Any]]
Get = Callable[[str], dict[str, Any]]
FindProcesses = Callable[[str], list[int]]
# A child, one that left the process group, and the main process.
FAMILY = "sleep 300 & setsid sleep 300 & wait"
FAMILY_SIZE = 3


def mark(marker: str) -> list[dict[str, str]]:
    return [{"name": "MARKER", "value": marker}]


def is_running(status: dict[str, Any]) -> bool:
    return bool(status.get("phase") == "Running")


def list_pods(cluster: Cluster, namespace: str) -> list[str]:
    return [each["metadata"]["name"] for each in cluster.api.find_all("Pod", namespace=namespace)]


def build_job(script: str, *, marker: str = "", **spec: object) -> dict[str, Any]:
    container = {"name": "main", "image": "estimatesync", "command": ["sh", "-c", script], "env": mark(marker)}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    metadata = {"name": "j"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template, **spec}}


def test_deleted_pod_takes_all_its_processes_and_files_along(
    cluster: Cluster,
    run_pod: RunPod,
    get: Get,
    namespace: str,
    marker: str,
    find_processes: FindProcesses,
    eventually: Callable[..., None],
) -> None:
    run_pod(FAMILY, env=mark(marker), until=is_running)
    eventually("the whole family", lambda: len(find_processes(marker)), until=lambda count: count >= FAMILY_SIZE)
    assert cluster.layout is not None
    files = cluster.layout.kubelet_root("test-node") / get("pod/a")["metadata"]["uid"]
    assert files.is_dir()

    cluster.kubectl("delete", "pod", "a", f"--namespace={namespace}", "--wait=true", "--timeout=90s")

    assert find_processes(marker) == []
    eventually("the removal of the pod's files", files.exists, until=not_)


def test_pod_that_ignores_sigterm_is_killed_after_its_grace(
    cluster: Cluster, run_pod: RunPod, namespace: str, marker: str, find_processes: FindProcesses
) -> None:
    script = "trap '' TERM; while true; do sleep 0.2; done"
    run_pod(script, env=mark(marker), until=is_running)

    watch = cluster.kubectl("delete", "pod", "a", f"--namespace={namespace}", "--grace-period=1", "--timeout=90s")

    assert "deleted" in watch.stdout
    assert find_processes(marker) == []


def test_deleted_job_leaves_no_process(
    cluster: Cluster,
    apply: Callable[[dict[str, Any]], None],
    namespace: str,
    marker: str,
    find_processes: FindProcesses,
    eventually: Callable[..., None],
) -> None:
    apply(build_job(FAMILY, marker=marker))
    eventually("the whole family", lambda: len(find_processes(marker)), until=lambda count: count >= FAMILY_SIZE)

    cluster.kubectl("delete", "job", "j", f"--namespace={namespace}", "--cascade=background")

    eventually("the end of every process", lambda: find_processes(marker), until=not_)
    eventually("the removal of the pod", lambda: list_pods(cluster, namespace), until=not_)


def test_job_fails_at_once_on_the_exit_code_its_policy_names(
    cluster: Cluster,
    apply: Callable[[dict[str, Any]], None],
    get: Get,
    namespace: str,
    eventually: Callable[..., None],
) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [20]}}
    apply(build_job("echo no use; exit 20", backoffLimit=3, podFailurePolicy={"rules": [rule]}))

    cluster.kubectl("wait", "job/j", "--for=condition=Failed", f"--namespace={namespace}", "--timeout=90s")

    status = get("job/j")["status"]
    reasons = {each["type"]: each["reason"] for each in status["conditions"]}
    assert (reasons["Failed"], status["failed"]) == ("PodFailurePolicy", 1)
    assert cluster.kubectl("logs", "job/j", f"--namespace={namespace}").stdout == "no use\n"
    eventually("one pod", lambda: list_pods(cluster, namespace), until=lambda pods: len(pods) == 1)


def test_pod_past_its_deadline_is_ended(run_pod: RunPod, marker: str, find_processes: FindProcesses) -> None:
    status = run_pod(FAMILY, env=mark(marker), spec={"activeDeadlineSeconds": 1})

    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 128 + signal.SIGTERM
    assert find_processes(marker) == []


def test_killed_kubelet_leaves_no_process_and_the_next_one_reports_the_loss(
    cluster: Cluster,
    run_pod: RunPod,
    wait_for_pod: Callable[..., dict[str, Any]],
    marker: str,
    find_processes: FindProcesses,
    eventually: Callable[..., None],
    tmp_path: Path,
) -> None:
    with second_kubelet(cluster, marker, tmp_path) as kubelet:
        run_pod(FAMILY, env=mark(marker), spec={"nodeSelector": {"node": marker}}, until=is_running)
        eventually("the whole family", lambda: len(find_processes(marker)), until=lambda count: count >= FAMILY_SIZE)

        kubelet.kill()

        eventually("the end of every process", lambda: find_processes(marker), until=not_)
    with second_kubelet(cluster, marker, tmp_path):
        status = wait_for_pod()
    terminated = status["containerStatuses"][0]["state"]["terminated"]
    assert (status["phase"], terminated["reason"], terminated["exitCode"]) == ("Failed", "ContainerStatusUnknown", 137)
    cluster.kubectl("delete", "node", marker)


@contextmanager
def second_kubelet(cluster: Cluster, name: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node of the test's own, which it may kill; no pod without this node's label gets there first."""
    assert cluster.layout is not None
    node = LocalNode(name=name, labels=(f"node={name}",))
    command = build_kubelet_command(node, cluster.layout, cluster.server)
    with (directory / "kubelet.log").open("ab") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()
