"""Hundreds of callbacks for a target that is dead, however it is dead, and one for a target that lives."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.spec import CallbackSpec, EstimateSyncSpec, SecretKeyRef
from estimatesync_operator.callback.sender import HttpCallbackSender, SharedLookups
from estimatesync_operator.callback.settings import CallbackSettings
from estimatesync_operator.core.ports import CallbackAttempt
from sample_attic_tech.receiver import running_receiver

MANY = 200
HOLE = "black-hole.test"
SYNCS = [EstimateSync(metadata=Metadata(name=f"est-{number}", uid=f"u{number}")) for number in range(MANY)]
REFERENCE = SecretKeyRef(name="alive", key="url")
ALIVE = EstimateSync(
    metadata=Metadata(name="alive", uid="alive"), spec=EstimateSyncSpec(callback=CallbackSpec(url_secret_ref=REFERENCE))
)


class OneSecret:
    """Holds the URL of the target that lives."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def read(self, _namespace: str, _name: str, _key: str) -> str | None:
        return self.url


class Resolver:
    """Knows loopback; every other name takes until it is let go, in a thread, as the system's resolver would."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host == HOLE:
            self.let_go.wait(timeout=60)
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Accepts connections, as the kernel does by itself, and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=MANY)) as listener:
        yield int(listener.getsockname()[1])


async def send_all_but_wait_for_one(sender: HttpCallbackSender) -> tuple[CallbackAttempt, int]:
    """Send to the dead target from every other sync, then to the live one; return its outcome and how many hang."""
    hanging = [asyncio.create_task(_send(sender, sync)) for sync in SYNCS]
    await asyncio.sleep(0)
    delivered = await _send(sender, ALIVE)
    still = sum(not task.done() for task in hanging)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    return delivered, still


async def _send(sender: HttpCallbackSender, sync: EstimateSync) -> CallbackAttempt:
    return await sender.send(sync, body=b"{}", callback_id="msg", now=datetime.now(UTC))


def build_sender(dead_url: str, live_url: str, resolver: Resolver) -> HttpCallbackSender:
    settings = CallbackSettings(
        default_url=dead_url, allow_insecure=True, allow_private=True, allowed_secrets=frozenset({"alive"})
    )
    return HttpCallbackSender(lambda: settings, OneSecret(live_url), resolve=SharedLookups(resolver))


def test_a_target_that_never_answers_delays_no_other(silent_port: int) -> None:
    with running_receiver() as receiver:
        sender = build_sender(f"http://127.0.0.1:{silent_port}/", receiver.url, Resolver())

        delivered, still = asyncio.run(send_all_but_wait_for_one(sender))

    assert (delivered.status_code, still) == (200, MANY)


def test_a_name_that_never_resolves_delays_no_other_and_is_asked_for_once() -> None:
    resolver = Resolver()
    with running_receiver() as receiver:
        sender = build_sender(f"http://{HOLE}/", receiver.url, resolver)

        async def run() -> tuple[CallbackAttempt, int]:
            try:
                return await send_all_but_wait_for_one(sender)
            finally:
                resolver.let_go.set()

        delivered, still = asyncio.run(run())

    assert (delivered.status_code, still) == (200, MANY)
    assert resolver.asked.count(HOLE) == 1


def test_a_name_is_resolved_again_for_each_attempt() -> None:
    resolver = Resolver()
    with running_receiver() as receiver:
        sender = build_sender("http://unused.test/", receiver.url, resolver)

        for _ in range(2):
            asyncio.run(_send(sender, ALIVE))

    assert resolver.asked == ["127.0.0.1", "127.0.0.1"]
