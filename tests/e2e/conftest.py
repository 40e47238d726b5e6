"""The cluster that end-to-end tests run on: our own control plane, or the one ESTIMATESYNC_TEST_KUBECONFIG names."""

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from estimatesync_cluster.audit import AUDIT_DIRECTORY
from estimatesync_cluster.cluster import Cluster, given_or_running_cluster

NAMESPACE_SECONDS = 90.0
POLL_SECONDS = 0.05


@pytest.fixture(scope="session", autouse=True)
def audit_logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What every cluster of this session writes down about its callers: tests/e2e/rights judges it at the end."""
    directory = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(AUDIT_DIRECTORY, str(directory))
        yield directory


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One cluster for the whole session."""
    with given_or_running_cluster(os.environ) as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, in which pods can be created; it is deleted afterwards, and all that is in it."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    try:
        _wait_for_service_account(cluster, name)
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def _wait_for_service_account(cluster: Cluster, namespace: str) -> None:
    deadline = time.monotonic() + NAMESPACE_SECONDS
    while cluster.kubectl("get", "serviceaccount", "default", f"--namespace={namespace}", check=False).returncode:
        assert time.monotonic() < deadline, f"namespace {namespace} got no default service account"
        time.sleep(POLL_SECONDS)
