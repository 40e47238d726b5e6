"""Clients that break the rules, by mistake or on purpose: each gets an answer, and no other client is affected."""

import gzip
import http.client
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest

URL = "/api/automations/estimates/sync-external"
SYNCS = "/api/automations/estimates/syncs"
SLOW_CLIENTS = 200
WAIT_SECONDS = 60.0


def ask(port: int, method: str, url: str, **options: Any) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection:
        connection.request(method, url, **options)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def send_raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(scope="module")
def shared_server(serve_module: Callable[..., Any]) -> Any:
    """Its worker may not be silent for more than two seconds."""
    return serve_module("--timeout", "2", REPEATED_REQUESTS="start", REQUESTS_PER_MINUTE="0")


@pytest.fixture
def server(shared_server: Any) -> Iterator[Any]:
    yield shared_server
    shared_server.forget()


@pytest.fixture
def connections(server: Any) -> Iterator[Callable[[], socket.socket]]:
    """Open any number of connections."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS))


def test_clients_that_never_finish_their_request_do_not_block_others(
    server: Any, headers: dict[str, str], connections: Callable[[], socket.socket]
) -> None:
    head = f"POST {URL} HTTP/1.1\r\nHost: x\r\n"
    body = f"{head}X-API-KEY: {headers['x-Api-Key']}\r\nContent-Length: 50\r\n\r\n{{"
    slow = [connections() for _ in range(SLOW_CLIENTS)]
    for number, connection in enumerate(slow):
        connection.sendall((body if number % 2 else head).encode())

    status, _ = ask(server.port, "POST", URL, headers=headers)

    assert status == 202
    answered, _, _ = select.select(slow, [], [], 0)
    assert not answered, "nobody was sent away to make room"


@pytest.mark.parametrize(
    ("open_files", "from_several"),
    [
        pytest.param((1024, 4096), False, id="a soft limit"),
        pytest.param((1024, 1024), False, id="a hard limit"),
        pytest.param((1024, 4096), True, id="several addresses"),
    ],
)
def test_a_thousand_half_sent_requests_leave_room_for_others(
    serve_files: Callable[..., Any], headers: dict[str, str], open_files: tuple[int, int], *, from_several: bool
) -> None:
    server = serve_files(open_files=open_files)
    with ExitStack() as stack:
        for number in range(1020):
            own = (f"127.0.0.{2 + number % 3}", 0) if from_several else None
            connection = socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS, source_address=own)
            stack.enter_context(connection).sendall(b"GET /healthz HTTP/1.1\r\nHost:")

        started = time.monotonic()
        status, _ = ask(server.port, "POST", URL, headers=headers)
        seconds = time.monotonic() - started

    assert status == 202
    assert seconds < 10, "a half-sent request has to be waited for"
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"\r\n", b"HTTP/1.1 408 ", id="an empty line"),
        pytest.param(b"GET /healthz HT", b"HTTP/1.1 408 ", id="half a line"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 408 ", id="half a head"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 ", id="a whole one"),
    ],
)
def test_a_head_has_a_time_limit_and_a_request_has_none(server: Any, sent: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(sent)
        answer = connection.recv(65536)
        is_open = b"200" in answer
        if is_open:
            # Longer than a head may take: the connection is kept, and serves the next request.
            time.sleep(2.5)
            connection.sendall(sent)
            answer = connection.recv(65536)

    assert answer.startswith(status)


def test_a_connection_that_is_opened_ahead_serves_its_request_later(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS) as connection:
        # Longer than a head may take, which has not begun.
        time.sleep(2.5)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_connection_that_stays_unused_is_closed_without_a_word(serve_files: Callable[..., Any]) -> None:
    server = serve_files("--keep-alive", "1")

    assert send_raw(server.port, b"") == b""
    assert send_raw(server.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_caller_who_waits_longer_than_a_head_may_take_is_answered(server: Any, headers: dict[str, str]) -> None:
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(ask, server.port, "POST", f"{URL}?background=false", headers=headers)
        (name,) = server.wait_until_stored(1)
        time.sleep(2.5)
        server.finish(name)
        status, body = waiting.result(WAIT_SECONDS)

    assert (status, body["sync_id"]) == (200, name)


WRONG_ADDRESSES = [
    ("GET", "/nowhere", 404, "not_found"),
    ("GET", f"{SYNCS}/a/b", 404, "not_found"),
    ("PUT", URL, 405, "method_not_allowed"),
    ("DELETE", f"{SYNCS}/est-1", 405, "method_not_allowed"),
    ("BREW", URL, 400, "invalid_request"),
    ("GET", f"{SYNCS}/est-1/cancel", 405, "method_not_allowed"),
    ("GET", f"{SYNCS}?limit=x", 400, "invalid_request"),
    ("GET", f"{SYNCS}/%00", 404, "sync_not_found"),
    ("GET", f"{SYNCS}/%FF", 404, "sync_not_found"),
]


def test_wrong_methods_and_addresses_are_answered_in_json(server: Any, headers: dict[str, str]) -> None:
    answers = [ask(server.port, method, url, headers=headers) for method, url, _, _ in WRONG_ADDRESSES]

    assert [(status, body["code"]) for status, body in answers] == [row[2:] for row in WRONG_ADDRESSES]
    assert not any(body["success"] for _, body in answers)


def test_a_body_that_is_not_json_is_400_whatever_its_content_type(server: Any, headers: dict[str, str]) -> None:
    for media in ("text/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        named = {**headers, "Content-Type": media}
        status, body = ask(server.port, "POST", URL, body="<startDate>2025-09-01</startDate>", headers=named)

        assert (status, body["code"]) == (400, "invalid_json")
    assert server.stored() == []


TARGETS = [
    pytest.param(f"http://127.0.0.1{URL}", 202, id="absolute"),
    pytest.param(f"HTTP://estimates.example:8080{URL}?background=true", 202, id="another host, and a query"),
    pytest.param(f"https://estimates.example{URL}", 202, id="https, as behind a proxy"),
    pytest.param(f"http://estimates.example{URL.replace('e', '%65')}", 202, id="escaped"),
    pytest.param("http://estimates.example/nowhere", 404, id="nowhere"),
    pytest.param("http://estimates.example", 303, id="no path: the sign-in form"),
    pytest.param(f"ftp://estimates.example{URL}", 404, id="another scheme"),
    pytest.param(f"http://user@estimates.example{URL}", 404, id="with a user"),
]


@pytest.mark.parametrize(("target", "status"), TARGETS)
def test_a_target_may_be_absolute(server: Any, headers: dict[str, str], target: str, status: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)) as connection:
        connection.request("POST", target, headers=headers)

        assert connection.getresponse().status == status


@pytest.mark.parametrize(
    ("path", "status"),
    [("/healthz", 200), ("/nowhere", 404), (SYNCS, 200), (URL, 405), ("/page/sign-in", 200)],
)
def test_who_asks_for_a_websocket_is_answered_by_http(
    server: Any, headers: dict[str, str], path: str, status: int
) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)) as connection:
        connection.request("GET", path, headers={**headers, **upgrade})
        answered = connection.getresponse().status

    assert answered == status
    assert "Traceback" not in server.log.read_text()


def test_a_packed_body_is_unpacked(server: Any, headers: dict[str, str]) -> None:
    body = gzip.compress(b'{"startDate":"2025-09-01","endDate":"2025-09-02"}')

    status, answer = ask(server.port, "POST", URL, body=body, headers={**headers, "Content-Encoding": "gzip"})

    stored = json.loads((server.syncs / f"{answer['sync_id']}.json").read_text())
    assert status == 202
    assert stored["spec"]["dateRange"] == {"start": "2025-09-01", "end": "2025-09-02"}


NOT_HTTP = [
    (b"nonsense\r\n\r\n", b"400"),
    (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", b"414"),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"x" * 9000 + b"\r\n\r\n", b"431"),
]


def test_what_is_not_http_is_answered_by_the_server_itself_as_plain_text(server: Any) -> None:
    for request, status in NOT_HTTP:
        answer = send_raw(server.port, request)

        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"Content-Type: text/plain" in answer
        assert b"Traceback" not in answer


def test_guessing_is_slowed_and_the_log_shows_no_guess(serve_files: Callable[..., Any]) -> None:
    server = serve_files()
    statuses = [ask(server.port, "GET", SYNCS, headers={"X-API-KEY": f"guess-{n}"})[0] for n in range(12)]

    assert statuses == [403] * 10 + [429] * 2
    server.wait_for_log(rf"GET {SYNCS} -> 429 .* client=127\.0\.0\.1")
    assert "guess-" not in server.log.read_text()


def test_a_key_that_asks_too_often_is_429_until_it_may_again(
    serve_files: Callable[..., Any], headers: dict[str, str]
) -> None:
    server = serve_files(REQUESTS_PER_MINUTE="3", READ_ONLY_API_KEYS="look:made-up-key-that-may-look")

    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)) as connection:
        for status in (200, 200, 200, 429):
            connection.request("GET", SYNCS, headers=headers)
            response = connection.getresponse()
            body = json.loads(response.read())
            assert response.status == status
    other, _ = ask(server.port, "GET", SYNCS, headers={"X-API-KEY": "made-up-key-that-may-look"})
    denied, denial = ask(server.port, "POST", URL, headers={"X-API-KEY": "made-up-key-that-may-look"})

    assert body["code"] == "too_many_requests"
    assert 1 <= int(response.headers["Retry-After"]) <= 20
    assert (other, denied, denial["code"]) == (200, 403, "api_key_read_only")
