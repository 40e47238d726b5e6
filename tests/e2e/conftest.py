"""The clusters that end-to-end tests run on: our own control planes, or the one ESTIMATESYNC_TEST_KUBECONFIG names."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from selectors import BaseSelector, DefaultSelector
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster, running_cluster

NAMESPACE_SECONDS = 90.0
CONNECTIONS_SECONDS = 60.0
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
