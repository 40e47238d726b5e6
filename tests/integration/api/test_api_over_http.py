"""What only a real server and real sockets can show."""

import http.client
import json
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

URL = "/api/automations/estimates/sync-external"
WAITERS = 20
OUTLIVE_SECONDS = 3.5
WAIT_SECONDS = 60.0


def post(port: int, url: str = URL, **options: Any) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection:
        connection.request("POST", url, **options)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(WAITERS) as threads:
        yield threads


def test_one_connection_serves_many_requests_and_the_log_never_shows_the_key(
    server: Any, headers: dict[str, str]
) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)) as connection:
        connection.connect()
        first = connection.sock.getsockname()
        for _ in range(3):
            connection.request("POST", URL, headers=headers, body=b'{"startDate":"2025-09-01"}')
            response = connection.getresponse()
            body = json.loads(response.read())
            assert (response.status, list(body)) == (202, ["success", "message", "status", "timestamp", "sync_id"])
            assert response.headers["Location"] == f"/api/automations/estimates/syncs/{body['sync_id']}"
            assert connection.sock.getsockname() == first

    assert len(server.stored()) == 3
    server.wait_for_log(rf"POST {URL} -> 202 in .* sync={body['sync_id']} key=make")
    assert headers["x-Api-Key"] not in server.log.read_text()


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param("Content-Length: 1000000000", id="announced"),
        pytest.param("Transfer-Encoding: chunked", id="chunked"),
    ],
)
def test_a_large_body_is_refused_before_it_has_arrived(server: Any, headers: dict[str, str], framing: str) -> None:
    head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nX-API-KEY: {headers['x-Api-Key']}\r\n{framing}\r\n\r\n"
    chunk = b"12000\r\n" + b" " * 0x12000 + b"\r\n"

    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(head.encode() + chunk)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in answer
    assert server.stored() == []


def test_a_body_that_is_cut_off_starts_nothing(server: Any, headers: dict[str, str]) -> None:
    head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nX-API-KEY: {headers['x-Api-Key']}\r\nContent-Length: 50\r\n\r\n"

    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(head.encode() + b" ")

    server.wait_for_log(f"POST {URL} -> 400 ")
    assert server.stored() == []


def test_waiting_callers_do_not_delay_others_and_outlive_the_worker_s_timeout(
    server: Any, headers: dict[str, str], pool: ThreadPoolExecutor
) -> None:
    waiting = [pool.submit(post, server.port, f"{URL}?background=false", headers=headers) for _ in range(WAITERS)]
    names = server.wait_until_stored(WAITERS)

    end = time.monotonic() + OUTLIVE_SECONDS
    while time.monotonic() < end:
        status, _ = post(server.port, headers=headers)
        assert status == 202
        time.sleep(0.2)
    assert not any(caller.done() for caller in waiting)
    for name in names:
        server.finish(name)

    answers = [caller.result(timeout=WAIT_SECONDS) for caller in waiting]
    assert {status for status, _ in answers} == {200}
    assert {body["sync_id"] for _, body in answers} == set(names)
    assert answers[0][1]["message"] == "✅ Background synchronization finished. New: 45, Updated: 1564."


def test_a_caller_who_leaves_ends_the_wait_and_not_the_sync(server: Any, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)
    connection.request("POST", f"{URL}?background=false", headers=headers)
    (name,) = server.wait_until_stored(1)

    connection.close()

    server.wait_for_log(f"sync={name} its caller left before the end; the sync goes on")
    assert server.stored() == [name]


def test_a_server_that_shuts_down_still_answers_waiting_callers(
    server: Any, headers: dict[str, str], pool: ThreadPoolExecutor
) -> None:
    waiting = pool.submit(post, server.port, f"{URL}?background=false", headers=headers)
    (name,) = server.wait_until_stored(1)

    server.process.send_signal(signal.SIGTERM)
    server.wait_for_log("Waiting for 1 connections to finish")
    server.finish(name, "Cancelled")

    status, body = waiting.result(timeout=WAIT_SECONDS)
    assert (status, body["error"], body["log"]) == (500, "Cancelled", ["a line"])
    assert server.process.wait(timeout=WAIT_SECONDS) == 0
    assert (server.syncs / "closed").exists()


def test_faulty_settings_end_the_program_with_one_message(serve: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError, match="API_KEYS must not hold keys of less than 16 characters") as caught:
        serve(API_KEYS="make:short", TIME_ZONE="Mars", WEB_CONCURRENCY="65")

    printed = str(caught.value)
    assert printed.count("TIME_ZONE must be an IANA time zone") == 1
    assert printed.count("WEB_CONCURRENCY must be a whole number from 1 to 64") == 1
    assert "Traceback" not in printed


def test_missing_credentials_for_kubernetes_end_the_program_and_say_what_to_set(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    server = serve(KUBECONFIG=str(tmp_path / "nowhere"))

    assert server.process.wait(timeout=WAIT_SECONDS) == 3
    assert "KUBECONFIG must name a usable kubeconfig" in server.log.read_text()


def test_several_workers_report_one_sum_and_remove_their_files(
    serve_files: Callable[..., Any], headers: dict[str, str]
) -> None:
    before = list_metrics_directories()
    server = serve_files(WEB_CONCURRENCY="2", REPEATED_REQUESTS="start")
    for _ in range(20):
        assert post(server.port, headers=headers)[0] == 202

    numbers = read_text(server.port, "/metrics")
    server.process.send_signal(signal.SIGTERM)

    assert "estimatesync_api_syncs_started_total 20.0" in numbers
    assert server.process.wait(timeout=WAIT_SECONDS) == 0
    assert list_metrics_directories() == before


def list_metrics_directories() -> set[Path]:
    places = (Path("/dev/shm"), Path(tempfile.gettempdir()))  # noqa: S108 - read, not written
    return {path for place in places for path in place.glob("estimatesync-metrics-*")}


def read_text(port: int, url: str) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection:
        connection.request("GET", url)
        return connection.getresponse().read().decode()
