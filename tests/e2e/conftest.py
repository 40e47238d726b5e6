"""The clusters that end-to-end tests run on: our own control planes, or the one ESTIMATESYNC_TEST_KUBECONFIG names."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from selectors import BaseSelector, DefaultSelector
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster, running_cluster

NAMESPACE_SECONDS = 90.0
CONNECTIONS_SECONDS = 60.0
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
POLL_SECONDS = 0.05
LendNamespaces = Callable[[Cluster], AbstractContextManager[Callable[..., str]]]
RUNNING = ("EstimateSync", "Job", "Pod")
"""What runs, or has something run; what belongs to a release ends with the release."""


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
def restricted_namespace(cluster: Cluster, namespace: str) -> str:
    """The test's namespace, where pods may do little, as it is advised for every one."""
    cluster.api.patch("Namespace", namespace, {"metadata": {"labels": RESTRICTED}})
    return namespace


@pytest.fixture
def namespace(cluster: Cluster, make_namespace: Callable[..., str]) -> str:
    """A namespace of the test's own, in which pods can be created; afterwards nothing runs in it any more."""
    name = make_namespace()
    _wait_for_service_account(cluster, name)
    return name


@pytest.fixture
def make_namespace(cluster: Cluster, lend_namespaces: LendNamespaces) -> Iterator[Callable[..., str]]:
    """Make namespaces of the test's own, without waiting for what the control plane puts into them."""
    with lend_namespaces(cluster) as make:
        yield make


@pytest.fixture(scope="session")
def lend_namespaces() -> LendNamespaces:
    """Make namespaces of a cluster for as long as they are wanted, which may be longer than a test."""
    return _lend_namespaces


@contextmanager
def _lend_namespaces(cluster: Cluster) -> Iterator[Callable[..., str]]:
    names: list[str] = []

    def make(labels: dict[str, str] | None = None) -> str:
        name = f"test-{secrets.token_hex(4)}"
        metadata = {"name": name, "labels": labels or {}}
        cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        names.append(name)
        return name

    yield make
    for name in names:
        _leave(cluster, name)


def _leave(cluster: Cluster, namespace: str) -> None:
    """Delete what runs; where the cluster stays after the tests, the whole namespace.

    The control plane looks for objects of every kind there is before a namespace is gone, which costs a third of a
    second of the processor.
    """
    if cluster.layout is None:
        cluster.api.delete("Namespace", namespace)
        return
    for kind in RUNNING:
        cluster.api.delete_all(kind, namespace=namespace)


def _wait_for_service_account(cluster: Cluster, namespace: str) -> None:
    deadline = time.monotonic() + NAMESPACE_SECONDS
    while cluster.api.find("ServiceAccount", "default", namespace=namespace) is None:
        assert time.monotonic() < deadline, f"namespace {namespace} got no default service account"
        time.sleep(POLL_SECONDS)


@pytest.fixture
def run_async() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """What runs a coroutine until its connections have ended, too: of TLS, aiohttp's `close` only begins the end.

    https://docs.aiohttp.org/en/stable/client_advanced.html#graceful-shutdown. Who collects one that is left open is
    some later test.
    """

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        selector = DefaultSelector()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            runner.get_loop()
            idle = len(selector.get_map())
            result = runner.run(work)
            runner.run(_wait_for_end(selector, idle))
        return result

    return run


async def _wait_for_end(selector: BaseSelector, idle: int) -> None:
    deadline = time.monotonic() + CONNECTIONS_SECONDS
    while (left := len(selector.get_map()) - idle) > 0:
        assert time.monotonic() < deadline, f"{left} connections do not end"
        await asyncio.sleep(POLL_SECONDS)
    # What has left the selector is closed in the loop's next turn.
    await asyncio.sleep(POLL_SECONDS)
