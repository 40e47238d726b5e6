"""Real HTTP/1.1 over sockets for one handler function, and what can go wrong on the way.

The sample and the callback receiver both stand on it. Requests and responses are values; a fault is what a test's
`on_request` hook returns, and says what becomes of an answer. As a process, a server prints one line of JSON when it is
ready, and ends quickly on SIGTERM.

A thread per connection: the few dozen keep-alive connections of a sync are far below where that ends. Stopping is
immediate: answers still waiting are dropped, open connections are shut, and every thread is joined.
"""

import argparse
import errno
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Protocol, assert_never
from urllib.parse import parse_qsl

import msgspec

# SO_LINGER on with zero seconds: closing sends RST instead of FIN.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_LAST_PORT = 65_534


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived.

    Attributes:
        path: without the query string, still percent-encoded.
        query_string: what follows `?`, still percent-encoded.
        headers: names in lower case; a repeated header is joined by `, `.
    """

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime

    @property
    def parameters(self) -> dict[str, str]:
        """The query string decoded; the last of a repeated name."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))


@dataclass(frozen=True, kw_only=True)
class Response:
    """What to send, and how badly.

    Attributes:
        delay_seconds: waited before the first byte.
        cut_after: bytes of the body to send before the connection closes; None sends all.
        is_reset: closes the connection with a TCP reset and sends nothing.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_seconds: float = 0.0
    cut_after: int | None = None
    is_reset: bool = False


def build_json_response(body: Any, *, status: int = 200) -> Response:  # noqa: ANN401 - any JSON value
    """Build a response from a JSON value."""
    return Response(status=status, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(body))


@dataclass(frozen=True, kw_only=True)
class Reset:
    """The connection is reset and nothing is answered."""


@dataclass(frozen=True, kw_only=True)
class Truncate:
    """The true answer's headers arrive, then `after` bytes of its body, then the connection closes."""

    after: int = 0


@dataclass(frozen=True, kw_only=True)
class Delay:
    """The true answer, `seconds` late."""

    seconds: float


Fault = Response | Reset | Truncate | Delay


def apply_fault(fault: Fault | None, answer: Response) -> Response:
    """Build what is really sent in place of the true answer."""
    match fault:
        case None:
            return answer
        case Response():
            return fault
        case Reset():
            return replace(answer, is_reset=True)
        case Truncate(after=after):
            return replace(answer, cut_after=after)
        case Delay(seconds=seconds):
            return replace(answer, delay_seconds=answer.delay_seconds + seconds)
        case _:
            assert_never(fault)


Handle = Callable[[Request], Response]


class _ConnectionHandler(BaseHTTPRequestHandler):
    """One connection: reads requests into values, writes responses out of them."""

    protocol_version = "HTTP/1.1"
    server_version = "sample-attic-tech"
    # Headers and body are written apart: with Nagle's algorithm each answer would wait for a delayed ACK.
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self) -> None:
        if "Transfer-Encoding" in self.headers:
            # http.server cannot read chunks, and an unread body would be taken for the next request.
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
        else:
            self._answer(self.server.handle(self._read_request()))

    # http.server looks methods up by these names.
    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = do_GET  # noqa: N815

    def _answer(self, response: Response) -> None:
        is_stopping = self.server.stopping.wait(response.delay_seconds)
        if response.is_reset:
            self._reset()
        elif is_stopping:
            self.close_connection = True
        else:
            self._write_response(response)

    def log_message(self, *_: object) -> None:
        """Say nothing: callers read the request log instead."""

    def _read_request(self) -> Request:
        path, _, query_string = self.path.partition("?")
        names = {name.lower() for name in self.headers}
        return Request(
            method=self.command,
            path=path,
            query_string=query_string,
            headers={name: ", ".join(self.headers.get_all(name, [])) for name in names},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            received_at=datetime.now(UTC),
        )

    def _write_response(self, response: Response) -> None:
        self.send_response_only(response.status)
        for name, value in self._build_headers(response).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body[: response.cut_after])
        self.close_connection = self.close_connection or response.cut_after is not None

    def _build_headers(self, response: Response) -> dict[str, str]:
        return {
            "Date": self.date_time_string(),
            "Server": self.server_version,
            "Content-Length": str(len(response.body)),
            **response.headers,
        }

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.server.forget(self.connection)
        self.connection.close()
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that stopping never waits for a client."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handle: Handle) -> None:
        self.handle = handle
        self.stopping = Event()
        self._connections: set[socket.socket] = set()
        self._lock = Lock()
        super().__init__(address, _ConnectionHandler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - typeshed's signature
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - typeshed's signature
        self.forget(request)
        super().shutdown_request(request)

    def forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - typeshed's signature
        # A client that hangs up is everyday life; anything else is a defect of the handler and must be seen.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        with self._lock:
            for connection in self._connections:
                # The client may have hung up a moment ago.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


@contextmanager
def running_server(handle: Handle, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `handle` (called from many threads at once) until the block ends; yields the base URL.

    Raises:
        OSError: when the port cannot be bound.
    """
    server = _Server((host, port), handle)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="loopback-server")
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.stop()
        thread.join()


class Served(Protocol):
    """Something that listens at a URL."""

    url: str


def add_port_options(parser: argparse.ArgumentParser, *, default: int) -> None:
    """Add `--port`, and how a person chooses another one, whom `make` may know by another name."""
    parser.add_argument("--port", type=int, default=default, help="0 takes a free one")
    parser.add_argument("--port-setting", default="--port ", help="what a person writes before another port")


def serve_until_stopped(serving: AbstractContextManager[Served], *, port: int, port_setting: str) -> None:
    """Print `{"url": …}` once the server listens, and stop it on SIGTERM or SIGINT.

    Raises:
        SystemExit: when it cannot listen; the message says why, and how to choose another port.
    """
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with serving as served:
            sys.stdout.write(msgspec.json.encode({"url": served.url}).decode() + "\n")
            sys.stdout.flush()
            stopping.wait()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise SystemExit(f"Cannot serve at port {port}: {error.strerror}.") from error
        other = port + 2 if port < _LAST_PORT else 0
        raise SystemExit(
            f"Another program listens at port {port}. Stop it, or choose another port: {port_setting}{other}"
        ) from error
