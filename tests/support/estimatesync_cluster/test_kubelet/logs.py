"""Container logs: how lines are stored, which of them a reader asked for, and serving them to `kubectl logs`.

A stored line is `TIME LINE`, TIME being RFC 3339 with nanoseconds as in `kubectl logs --timestamps`. The server speaks
HTTPS to the API server and only to it, in threads next to the event loop; what it needs to know about a container comes
from a LogCatalog. The path is the kubelet's own, `/containerLogs/NAMESPACE/POD/CONTAINER`, and so are the answers for
containers without a log.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from estimatesync_cluster.credentials import ApiConnection

ADDRESS = "127.0.0.1"
POLL_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """PodLogOptions, as far as they apply; an absent limit is None."""

    follow: bool = False
    timestamps: bool = False
    previous: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: datetime | None = None


def parse_log_options(query: Mapping[str, str], now: datetime) -> LogOptions:
    """Parse the query of a log request; ValueError when a number or a time is none."""
    since = datetime.fromisoformat(query["sinceTime"]) if "sinceTime" in query else None
    if "sinceSeconds" in query:
        since = now - timedelta(seconds=int(query["sinceSeconds"]))
    return LogOptions(
        follow=query.get("follow") == "true",
        timestamps=query.get("timestamps") == "true",
        previous=query.get("previous") == "true",
        tail_lines=int(query["tailLines"]) if "tailLines" in query else None,
        limit_bytes=int(query["limitBytes"]) if "limitBytes" in query else None,
        since=since,
    )


def stamp_lines(carry: bytes, chunk: bytes, now: datetime) -> tuple[bytes, bytes]:
    """Turn output into stored lines: (complete lines with their time, the beginning of a line that has no end yet)."""
    *complete, rest = (carry + chunk).split(b"\n")
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode()
    return b"".join(stamp + line + b"\n" for line in complete), rest


def split_stored(stored: bytes) -> tuple[list[bytes], int]:
    """Split stored text into its complete lines and how many bytes they are; a torn last line waits."""
    end = stored.rfind(b"\n") + 1
    # Not splitlines: a progress bar's carriage return does not end a line.
    return [line + b"\n" for line in stored[:end].split(b"\n")[:-1]], end


def select_lines(lines: Sequence[bytes], options: LogOptions) -> list[bytes]:
    """Select the stored lines that a reader wants to begin with."""
    wanted = [line for line in lines if options.since is None or read_time(line) >= options.since]
    return wanted if options.tail_lines is None else wanted[len(wanted) - min(options.tail_lines, len(wanted)) :]


def format_lines(lines: Sequence[bytes], options: LogOptions) -> bytes:
    """Represent stored lines as the reader sees them, with or without their times."""
    return b"".join(line if options.timestamps else line.partition(b" ")[2] for line in lines)


def read_time(line: bytes) -> datetime:
    """Read a stored line's time."""
    return datetime.fromisoformat(line.partition(b" ")[0].decode())


def compute_message_from_logs(stored: bytes, *, max_lines: int = 80, max_bytes: int = 2048) -> str:
    """Compute the termination message that FallbackToLogsOnError takes from the end of the log."""
    lines, _ = split_stored(stored)
    text = format_lines(lines[-max_lines:], LogOptions())
    return text[-max_bytes:].decode(errors="replace")


class LogRefusedError(Exception):
    """There is no log to give; the message is for the person at kubectl."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class LogSource:
    """A log file, and whether its container may still write to it."""

    path: Path
    is_live: Callable[[], bool]


class LogCatalog(Protocol):
    """Knows the containers of the node."""

    def find_log(self, *, namespace: str, pod: str, container: str, previous: bool) -> LogSource:
        """Find a container's log; raises LogRefusedError."""


@contextmanager
def serving_logs(catalog: LogCatalog, keys: ApiConnection) -> Iterator[int]:
    """Serve for the time of the context, on a port of the system's choice, which is yielded."""
    server = _LogServer((ADDRESS, 0), _Handler)
    server.catalog = catalog
    server.tls = _create_server_context(keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _create_server_context(keys: ApiConnection) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.certificate, keys.key)
    context.load_verify_locations(keys.authority)
    # Logs are for clients that the API server lets read them, not for every process of this machine.
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class _LogServer(ThreadingHTTPServer):
    daemon_threads = True
    catalog: LogCatalog
    tls: ssl.SSLContext

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        # In the request's own thread: a client that never shakes hands must not keep others waiting.
        plain = request if isinstance(request, socket.socket) else request[1]
        with suppress(OSError), self.tls.wrap_socket(plain, server_side=True) as secured:
            super().finish_request(secured, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _LogServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.close_connection = True
        try:
            namespace, pod, container = _parse_path(url.path)
            options = _parse_options(url.query)
            source = self.server.catalog.find_log(
                namespace=namespace, pod=pod, container=container, previous=options.previous
            )
        except LogRefusedError as error:
            self._send_refusal(error)
        else:
            self._send_log(source, options)

    def _send_refusal(self, error: LogRefusedError) -> None:
        body = str(error).encode()
        self.send_response(error.status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_log(self, source: LogSource, options: LogOptions) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in limit(iterate_log(source, options, self._pause), options.limit_bytes):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def _pause(self) -> bool:
        """Wait a moment for more log; false when the reader has hung up."""
        readable, _, _ = select.select([self.connection], [], [], POLL_SECONDS)
        return not readable

    def log_message(self, *_: object) -> None:
        """Say nothing: a follower asks often, and the kubelet's own log is for other news."""


def _parse_path(path: str) -> tuple[str, str, str]:
    match path.strip("/").split("/"):
        case ["containerLogs", namespace, pod, container]:
            return namespace, pod, container
    raise LogRefusedError(HTTPStatus.NOT_FOUND, "404 page not found")


def _parse_options(query: str) -> LogOptions:
    try:
        return parse_log_options(dict(parse_qsl(query)), datetime.now(UTC))
    except ValueError as error:
        raise LogRefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"Invalid request: {error}") from error


def iterate_log(source: LogSource, options: LogOptions, pause: Callable[[], bool]) -> Iterator[bytes]:
    """Yield what the log holds now and, when following, what it gets until its container has ended.

    `pause` waits for more and returns false when the reader is gone.
    """
    position = 0
    more = True
    while more:
        # Asked before reading: what is written before the end is then still read.
        more = options.follow and source.is_live()
        stored = _read_from(source.path, position)
        lines, length = split_stored(stored)
        if lines:
            yield format_lines(lines if position else select_lines(lines, options), options)
        position += length
        more = more and pause()


def _read_from(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as log:
            log.seek(position)
            return log.read()
    except FileNotFoundError:
        return b""


def limit(parts: Iterator[bytes], most: int | None) -> Iterator[bytes]:
    """Cut a stream of parts after so many bytes; empty parts, which would end a chunked answer, are left out."""
    left = most
    for part in parts:
        kept = part if left is None else part[:left]
        if kept:
            yield kept
        if left is not None:
            left -= len(kept)
            if left <= 0:
                return
