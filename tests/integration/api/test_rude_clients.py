"""Clients that break the rules, by mistake or on purpose: each gets an answer, and no other client is affected."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
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


@pytest.fixture
def connections(server: Any) -> Iterator[Callable[[], socket.socket]]:
    """Open any number of connections."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS))


def test_clients_that_never_finish_their_request_do_not_block_others(
    server: Any, headers: dict[str, str], connections: Callable[[], socket.socket]
) -> None:
    for number in range(SLOW_CLIENTS):
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\n"
        body = f"{head}X-API-KEY: {headers['x-Api-Key']}\r\nContent-Length: 50\r\n\r\n{{"
        connections().sendall((body if number % 2 else head).encode())

    started = time.monotonic()
    status, _ = ask(server.port, "POST", URL, headers=headers)

    assert status == 202
    assert time.monotonic() - started < 1


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


def test_guessing_is_slowed_and_the_log_shows_no_guess(server: Any) -> None:
    statuses = [ask(server.port, "GET", SYNCS, headers={"X-API-KEY": f"guess-{n}"})[0] for n in range(12)]

    assert statuses == [403] * 10 + [429] * 2
    server.wait_for_log(f"GET {SYNCS} -> 429")
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
