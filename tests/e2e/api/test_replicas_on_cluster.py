"""Several API servers at once, with nothing in common but the cluster."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

URL = "/api/automations/estimates/sync-external"
SYNCS = "/api/automations/estimates/syncs"
RACERS = 20
ROUNDS = 3
CLIENTS = 4
WAIT_SECONDS = 90.0


@pytest.fixture
def replicas(launch: Callable[..., Any], kubeconfig: Path) -> list[Any]:
    replicas = [launch(KUBECONFIG=str(kubeconfig)) for _ in range(2)]
    for replica in replicas:
        replica.wait_until("readiness", lambda replica=replica: replica.ask("GET", "/readyz").status == 200)
    return replicas


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(RACERS) as threads:
        yield threads


def test_twenty_requests_with_one_key_at_two_replicas_are_one_sync(
    replicas: list[Any], pool: ThreadPoolExecutor
) -> None:
    answers = list(pool.map(lambda number: replicas[number % 2].ask("POST", URL, key="run-17"), range(RACERS)))
    other = replicas[1].ask("POST", URL, key="run-17", body='{"startDate":"2025-09-01","endDate":"2025-09-02"}')

    (sync,) = replicas[0].stored()
    assert {(answer.status, answer.body["sync_id"]) for answer in answers} == {(202, sync["metadata"]["name"])}
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    assert "2025-09-01 to 2025-09-02" in other.body["message"]
    # The key is known as long as the sync is there: the operator decides, which keeps it for a day at least.
    assert "ttlSecondsAfterFinished" not in sync["spec"]


def test_a_request_at_one_replica_joins_the_sync_that_another_has_stored(replicas: list[Any]) -> None:
    first = replicas[0].ask("POST", URL).body["sync_id"]
    replicas[1].wait_until("the news", lambda: replicas[1].ask("GET", SYNCS).body["syncs"])

    joined = replicas[1].ask("POST", URL)
    replicas[0].write_status(first, {"phase": "Succeeded"})
    started = replicas[1].ask("POST", URL)

    assert (joined.status, joined.body["sync_id"]) == (202, first)
    assert (started.status, started.body["sync_id"] != first) == (202, True)
    assert len(replicas[0].stored()) == 2


@dataclass
class Load:
    """Clients that keep their connections, as Make.com's do, until a response says that one closes."""

    port: int
    key: str
    accepted: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def applied(self, pool: ThreadPoolExecutor) -> Iterator[None]:
        """Keep the clients going while the context lasts, and end them however it ends."""
        clients = [pool.submit(self.run) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            self.is_over.set()
        for client in clients:
            client.result(timeout=WAIT_SECONDS)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        with closing(connection):
            while not self.is_over.is_set():
                try:
                    connection.request("POST", URL, headers={"X-API-KEY": self.key}, body="{}")
                    response = connection.getresponse()
                    body = json.loads(response.read())
                except (OSError, http.client.HTTPException) as error:
                    self.failures.append(repr(error))
                    connection.close()
                    continue
                if response.status == 202:
                    self.accepted.append(body["sync_id"])
                else:
                    self.failures.append(f"{response.status} {body}")


@pytest.fixture
def shared(kubeconfig: Path) -> Iterator[dict[str, Any]]:
    """Settings of servers that accept from one socket, as the pods of a Service take connections of one address."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield {
            "listener": listener.fileno(),
            "BIND": f"fd://{listener.fileno()}",
            "KUBECONFIG": str(kubeconfig),
            "REPEATED_REQUESTS": "start",
        }


def test_a_rolling_restart_under_load_loses_no_request(
    launch: Callable[..., Any], shared: dict[str, Any], pool: ThreadPoolExecutor
) -> None:
    running = [launch(**shared) for _ in range(2)]
    first = running[0]
    first.wait_until("readiness", lambda: first.ask("GET", "/readyz").status == 200)
    load = Load(port=first.port, key=first.key)
    with load.applied(pool):
        for _ in range(ROUNDS):
            running.append(launch(**shared))
            running[-1].wait_until("its worker", lambda: "ASGI server listening" in running[-1].log.read_text())
            count = len(load.accepted)
            oldest = running.pop(0)
            oldest.process.send_signal(signal.SIGTERM)
            assert oldest.process.wait(timeout=WAIT_SECONDS) == 0
            first.wait_until("more requests", lambda count=count: len(load.accepted) > count + 20)

    stored = {sync["metadata"]["name"] for sync in first.stored()}
    assert load.failures == []
    assert set(load.accepted) == stored
    assert len(load.accepted) == len(stored) > 60


def test_what_was_accepted_is_stored_even_if_servers_are_killed_at_any_moment(
    launch: Callable[..., Any], shared: dict[str, Any], pool: ThreadPoolExecutor
) -> None:
    running = [launch(**shared) for _ in range(2)]
    first = running[0]
    load = Load(port=first.port, key=first.key)
    with load.applied(pool):
        for _ in range(ROUNDS):
            count = len(load.accepted)
            first.wait_until("more requests", lambda count=count: len(load.accepted) > count + 20)
            victim = running.pop(0)
            kill_with_workers(victim.process.pid)
            running.append(launch(**shared))

    stored = {sync["metadata"]["name"] for sync in first.stored()}
    assert len(set(load.accepted)) == len(load.accepted)
    # A request whose answer was cut off may have stored its sync all the same.
    assert set(load.accepted) <= stored
    assert len(stored) <= len(load.accepted) + len(load.failures)


def kill_with_workers(pid: int) -> None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for number in (pid, *map(int, children)):
        os.kill(number, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_SECONDS
    while alive := [child for child in children if Path(f"/proc/{child}/exe").exists()]:
        assert time.monotonic() < deadline, f"killed, and alive still: {alive}"
        time.sleep(0.02)
