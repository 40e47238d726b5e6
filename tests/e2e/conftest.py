"""The clusters that end-to-end tests run on: our own control planes, or the one ESTIMATESYNC_TEST_KUBECONFIG names."""

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from estimatesync_cluster.cluster import Cluster, running_cluster

NAMESPACE_SECONDS = 90.0
POLL_SECONDS = 0.05


@pytest.fixture(scope="session", autouse=True)
def _audited(audit_logs: Path) -> None:
    """Have the clusters of these tests write down their callers, too, whichever of them starts one."""


@pytest.fixture(autouse=True)
def _ended(request: pytest.FixtureRequest, run_directory: Path) -> Iterator[None]:
    """Write down that this test has ended, after all that it began: the judgement waits for every worker's tests."""
    yield
    ended = run_directory / "ended"
    ended.mkdir(exist_ok=True)
    with (ended / str(os.getpid())).open("a") as file:
        file.write(f"{request.node.nodeid}\n")


@pytest.fixture(scope="session")
def own_cluster() -> Iterator[Cluster]:
    """A cluster of our own, and of this worker alone, for tests that change what belongs to no namespace."""
    with running_cluster() as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, in which pods can be created; it is deleted afterwards, and all that is in it."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        _wait_for_service_account(cluster, name)
        yield name
    finally:
        cluster.api.delete("Namespace", name)


def _wait_for_service_account(cluster: Cluster, namespace: str) -> None:
    deadline = time.monotonic() + NAMESPACE_SECONDS
    while cluster.api.find("ServiceAccount", "default", namespace=namespace) is None:
        assert time.monotonic() < deadline, f"namespace {namespace} got no default service account"
        time.sleep(POLL_SECONDS)
