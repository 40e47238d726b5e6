"""Serves container logs over HTTPS to the API server, and only to it: `kubectl logs` ends here.

Runs in threads beside the event loop; what it needs to know about a container comes from a LogCatalog. The path is the
kubelet's own, `/containerLogs/NAMESPACE/POD/CONTAINER`, and so are the answers for containers without a log.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from estimatesync_cluster.api_connection import ApiConnection
from estimatesync_cluster.test_kubelet.log_lines import (
    LogOptions,
    format_lines,
    parse_log_options,
    select_lines,
    split_stored,
)

ADDRESS = "127.0.0.1"
POLL_SECONDS = 0.1


class LogRefusedError(Exception):
    """There is no log to give; the message is for the person at kubectl."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        """Keep the HTTP status beside the message."""
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
    # Logs are for whoever the API server lets read them, not for every process of this machine.
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

    `pause` waits for more and returns false when nobody reads any longer.
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
