"""Callers who wait for the end of a sync, over real sockets: how many, how long, and when the server ends."""

import http.client
import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

URL = "/api/automations/estimates/sync-external"
SYNCS = "/api/automations/estimates/syncs"
WAITERS = 100
WAIT_SECONDS = 180.0

Answer = tuple[int, http.client.HTTPMessage, dict[str, Any]]


def post(port: int, url: str = URL, **options: Any) -> Answer:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection:
        connection.request("POST", url, **options)
        response = connection.getresponse()
        return response.status, response.headers, json.loads(response.read())


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(WAITERS) as threads:
        yield threads


def test_a_hundred_callers_wait_and_others_are_answered_as_ever(
    server: Any, headers: dict[str, str], pool: ThreadPoolExecutor
) -> None:
    waiting = [pool.submit(post, server.port, f"{URL}?background=false", headers=headers) for _ in range(WAITERS)]
    names = server.wait_until_stored(WAITERS)

    answers = [post(server.port, headers=headers)[0] for _ in range(5)]
    assert not any(caller.done() for caller in waiting)
    for name in names:
        server.finish(name)

    assert answers == [202] * 5
    assert {caller.result(timeout=WAIT_SECONDS)[2]["sync_id"] for caller in waiting} == set(names)


def test_callers_who_ask_for_the_same_days_wait_for_one_sync(
    serve_files: Callable[..., Any], headers: dict[str, str], pool: ThreadPoolExecutor
) -> None:
    server = serve_files()
    waiting = [pool.submit(post, server.port, f"{URL}?background=false", headers=headers) for _ in range(20)]
    (name,) = server.wait_until_stored(1)
    server.wait_for_log("(?s)" + f"sync={name} is at work.*" * 19)

    server.finish(name)

    assert [(a[0], a[2]["sync_id"]) for a in (caller.result(timeout=WAIT_SECONDS) for caller in waiting)] == [
        (200, name)
    ] * 20
    assert server.stored() == [name]


def test_who_waits_longer_than_allowed_gets_504_with_the_sync_s_id(
    serve_files: Callable[..., Any], headers: dict[str, str]
) -> None:
    server = serve_files(FOREGROUND_SECONDS="1")

    status, answered, body = post(server.port, f"{URL}?background=false", headers=headers)

    (name,) = server.stored()
    assert (status, body["code"], body["sync_id"]) == (504, "sync_still_running", name)
    assert answered["Location"] == f"{SYNCS}/{name}"
    assert int(answered["Retry-After"]) > 0


def test_callers_still_waiting_at_shutdown_get_503_with_the_sync_s_id(
    serve_files: Callable[..., Any], headers: dict[str, str], pool: ThreadPoolExecutor
) -> None:
    server = serve_files("--graceful-timeout", "7", REPEATED_REQUESTS="start")
    waiting = [pool.submit(post, server.port, f"{URL}?background=false", headers=headers) for _ in range(5)]
    names = server.wait_until_stored(5)

    server.process.send_signal(signal.SIGTERM)

    answers = [caller.result(timeout=WAIT_SECONDS) for caller in waiting]
    assert {(status, body["code"]) for status, _, body in answers} == {(503, "restarting")}
    assert {body["sync_id"] for _, _, body in answers} == set(names)
    assert {answered["Retry-After"] for _, answered, _ in answers} == {"10"}
    assert server.process.wait(timeout=WAIT_SECONDS) == 0


def test_a_log_is_streamed_while_it_is_written(server: Any, headers: dict[str, str]) -> None:
    name = post(server.port, headers=headers)[2]["sync_id"]
    log = server.syncs / f"{name}.log"
    log.write_text("one\n")

    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)) as connection:
        connection.request("GET", f"{SYNCS}/{name}/logs?follow=true", headers=headers)
        response = connection.getresponse()
        first = response.readline()
        log.write_text("one\ntwo\n")
        second = response.readline()
        server.finish(name)
        rest = response.read()

    assert (first, second, rest) == (b"one\n", b"two\n", b"")


def test_a_followed_log_that_the_server_cannot_finish_is_seen_to_be_cut_off(
    serve_files: Callable[..., Any], headers: dict[str, str]
) -> None:
    server = serve_files("--graceful-timeout", "1")
    name = post(server.port, headers=headers)[2]["sync_id"]
    (server.syncs / f"{name}.log").write_text("one\n")

    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)) as connection:
        connection.request("GET", f"{SYNCS}/{name}/logs?follow=true", headers=headers)
        response = connection.getresponse()
        first = response.readline()
        server.process.send_signal(signal.SIGTERM)

        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            response.read()

    assert first == b"one\n"
    assert server.process.wait(timeout=WAIT_SECONDS) == 0
    assert "Traceback" not in server.log.read_text()
