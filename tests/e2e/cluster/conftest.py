"""What the tests of the local cluster share."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from estimatesync_cluster.cluster import Cluster

WAIT_SECONDS = 90.0
POLL_SECONDS = 0.05
IMAGE = "estimatesync-sync:test"

T = TypeVar("T")


@pytest.fixture(scope="session")
def cluster(own_cluster: Cluster) -> Cluster:
    return own_cluster


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """Wait until what is read is as it should be; fail with what was waited for and what was read last."""

    def wait(what: str, read: Callable[[], T], *, until: Callable[[T], object] = bool) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not until(last := read()):
            assert time.monotonic() < deadline, f"waited {WAIT_SECONDS:.0f} s for {what}, and saw {last!r}"
            time.sleep(POLL_SECONDS)

    return wait


@pytest.fixture
def marker() -> str:
    """A value that, put into a container's environment, marks all its processes."""
    return f"marker-{secrets.token_hex(8)}"


@pytest.fixture(scope="session")
def find_processes() -> Callable[[str], list[int]]:
    """Find the processes whose environment holds a marker."""

    def find(marker: str) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if marker.encode() in environment:
                    found.append(int(entry.name))
        return found

    return find


@pytest.fixture
def apply(cluster: Cluster, namespace: str) -> Callable[[dict[str, Any]], None]:
    """Apply a manifest in the test's namespace."""
    return lambda manifest: cluster.api.apply([manifest], namespace=namespace)


@pytest.fixture
def get(cluster: Cluster, namespace: str) -> Callable[[str], dict[str, Any]]:
    """Get an object such as `pod/a` of the test's namespace; empty when there is none."""

    def get_object(name: str) -> dict[str, Any]:
        kind, _, of = name.partition("/")
        return dict(cluster.api.find(kind.capitalize(), of, namespace=namespace) or {})

    return get_object


@pytest.fixture
def wait_for_pod(
    get: Callable[[str], dict[str, Any]], eventually: Callable[..., None]
) -> Callable[..., dict[str, Any]]:
    """Wait until the status of pod `a` meets a condition, or by default until it has ended; return the status."""

    def wait(until: Callable[[dict[str, Any]], object] = has_ended) -> dict[str, Any]:
        status: dict[str, Any] = {}

        def read() -> dict[str, Any]:
            status.clear()
            status.update(get("pod/a").get("status", {}))
            return status

        eventually("the status of the pod", read, until=until)
        return status

    return wait


@pytest.fixture
def run_pod(
    apply: Callable[[dict[str, Any]], None], wait_for_pod: Callable[..., dict[str, Any]]
) -> Callable[..., dict[str, Any]]:
    """Run a shell script once as pod `a`, and wait as wait_for_pod does.

    `spec` is merged into the pod's, all other keywords into its container `main`.
    """

    def run(
        script: str,
        *,
        until: Callable[[dict[str, Any]], object] = has_ended,
        spec: dict[str, Any] | None = None,
        **container: object,
    ) -> dict[str, Any]:
        main = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script], **container}
        whole = {"restartPolicy": "Never", "containers": [main], **(spec or {})}
        apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": whole})
        return wait_for_pod(until)

    return run


@pytest.fixture
def read_logs(cluster: Cluster, namespace: str) -> Callable[..., str]:
    """Read the logs of pod `a` with the real kubectl."""
    return lambda *options: cluster.kubectl("logs", "a", f"--namespace={namespace}", *options).stdout


def has_ended(status: dict[str, Any]) -> bool:
    """Return whether a pod with this status has ended."""
    return status.get("phase") in {"Succeeded", "Failed"}
