"""What the callback's integration tests share: raw servers that misbehave, certificates, a sync, a way to send."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import trustme
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_operator.callback.sender import HttpCallbackSender
from estimatesync_operator.core.ports import CallbackAttempt

Handle = Callable[[socket.socket], None]


class NoSecrets:
    """A SecretReader without Secrets; these tests use the default URL."""

    async def read(self, _namespace: str, _name: str, _key: str) -> str | None:
        """Find nothing."""
        return None


class ScriptedResolver:
    """Answers each look-up with the next list of addresses, and remembers what it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        """Prepare the answers, in order."""
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Look up a name."""
        self.asked.append((host, port))
        return self.answers.pop(0)


@pytest.fixture
def serve() -> Iterator[Callable[[Handle], int]]:
    """Handle each connection to a free port of 127.0.0.1, one after the other; returns the port."""
    listeners: list[tuple[socket.socket, threading.Thread]] = []

    def start(handle: Handle) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=_accept, args=(listener, handle))
        listeners.append((listener, thread))
        thread.start()
        return int(listener.getsockname()[1])

    yield start
    for listener, thread in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=60)
        listener.close()
        assert not thread.is_alive()


def _accept(listener: socket.socket, handle: Handle) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.settimeout(5)
                handle(connection)


@pytest.fixture
def send() -> Callable[[HttpCallbackSender], CallbackAttempt]:
    """Make one attempt with a fixed sync and body."""
    sync = EstimateSync(metadata=Metadata(name="est-1", namespace="botzilla", uid="6f1c"))

    def attempt(sender: HttpCallbackSender) -> CallbackAttempt:
        coroutine = sender.send(
            sync, body='{"error":"naïve ☕"}'.encode(), callback_id="msg_6f1c", now=datetime.now(UTC)
        )
        return asyncio.run(coroutine, debug=False)

    return attempt


@pytest.fixture
def no_secrets() -> NoSecrets:
    """A SecretReader that has nothing."""
    return NoSecrets()


@pytest.fixture
def resolver() -> type[ScriptedResolver]:
    """Make it with the answers of the look-ups."""
    return ScriptedResolver


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of the tests' own."""
    return trustme.CA()
