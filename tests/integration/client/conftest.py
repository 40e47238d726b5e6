"""The console script as a process, and servers that answer whatever a test says, over real sockets and TLS."""

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from estimatesync_processes.forked_process import start_program

KEY = "made-up-key-of-this-test"
PROGRAM = Path(sys.executable).with_name("estimatesync")
WAIT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a run of the program came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it wrote, as the one JSON document that it must be."""
        return json.loads(self.out)


class Running:
    """The program at work."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        self.process = start_program(
            [PROGRAM, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.out: list[str] = []
        self.err: list[str] = []
        streams = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in streams]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        with stream:
            lines.extend(stream)

    def wait_for(self, text: str) -> None:
        """Wait until it has said something."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in (said := "".join(self.out + self.err)):
            assert time.monotonic() < deadline, f"never said {text}:\n{said}"
            assert self.process.poll() is None, f"ended without {text}:\n{said}"
            time.sleep(0.02)

    def interrupt(self) -> Ended:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(WAIT_SECONDS)
        for reader in self._readers:
            reader.join(WAIT_SECONDS)
        return Ended(code=code, out="".join(self.out), err="".join(self.err))


class Client:
    """The console script with a server to ask."""

    def __init__(self, url: str, **environment: str) -> None:
        self.url = url
        own = {"ESTIMATESYNC_URL": url, "ESTIMATESYNC_API_KEY": KEY, "NO_COLOR": "1", "TZ": "UTC"}
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **own, **environment}
        self._started: list[Running] = []

    def start(self, *arguments: str, **environment: str) -> Running:
        """Run it in the background."""
        running = Running(arguments, self.environment | environment)
        self._started.append(running)
        return running

    def run(self, *arguments: str, **environment: str) -> Ended:
        """Run it to its end."""
        return self.start(*arguments, **environment).end()

    def stop(self) -> None:
        """Leave nothing behind."""
        for running in self._started:
            if running.process.poll() is None:
                running.process.kill()
                running.end()


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    """Make a client of a server."""
    made: list[Client] = []

    def make(url: str, **environment: str) -> Client:
        made.append(Client(url, **environment))
        return made[-1]

    yield make
    for client in made:
        client.stop()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered; without a status, the connection is closed."""

    status: int | None = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Actor(ThreadingHTTPServer):
    """A server that plays replies in order, the last one again and again."""

    daemon_threads = True

    def __init__(self, replies: list[Reply]) -> None:
        super().__init__(("127.0.0.1", 0), Player)
        self.replies = replies
        self.asked: list[Asked] = []
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def speak_tls(self, context: ssl.SSLContext) -> None:
        self.scheme = "https"
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


class Player(BaseHTTPRequestHandler):
    """Plays one reply."""

    server: Actor

    def _play(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Asked(method=self.command, path=self.path, headers=headers, body=body))
        replies = self.server.replies
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if reply.status is None:
            self.close_connection = True
            return
        raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(raw)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = _play  # noqa: N815 - http.server calls handlers by these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Say nothing."""


@contextmanager
def acting(replies: list[Reply], context: ssl.SSLContext | None) -> Iterator[Actor]:
    with Actor(replies) as actor:
        if context is not None:
            actor.speak_tls(context)
        thread = threading.Thread(target=actor.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield actor
        finally:
            actor.shutdown()
            thread.join(WAIT_SECONDS)


@pytest.fixture
def act() -> Iterator[Callable[..., Actor]]:
    """Start a server that plays replies: each is a status, a body and headers; a status of None hangs up."""
    with ExitStack() as stack:

        def start(*replies: tuple[Any, ...], context: ssl.SSLContext | None = None) -> Actor:
            played = [
                Reply(status=status, body=rest[0] if rest else None, headers=dict(*rest[1:]))
                for status, *rest in replies
            ]
            return stack.enter_context(acting(played, context))

        yield start


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 and localhost, from an authority that is not trusted by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def trust(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """What makes a program trust that authority."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return {"SSL_CERT_FILE": str(path)}
