"""The source: serves made-up estimates over TLS from a process of its own, as slowly as a scenario says, never slower.

A thread per connection and blocking sockets: encryption and sending leave the interpreter's lock to the others, and a
body goes out in one call. The runner starts it, reads `{"url": …}` from its output, switches generations and reads
what it saw. Run: `python source_server.py CERTIFICATE COUNT MEAN_BYTES FIXED_MS RECORD_MS AT_ONCE HONOURS_SELECT`.
"""

import json
import socket
import ssl
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final
from urllib.parse import parse_qsl

from source_records import GENERATIONS, Records, build_answer, build_records

TOKEN: Final = "made-up-token"
CONTROL_PATH: Final = "/_benchmark/"
"""`generation/N` switches and forgets what was seen; `seen` answers it."""


@dataclass(kw_only=True)
class Seen:
    """What one contender has asked for."""

    first_request: float | None = None
    list_calls: int = 0
    records: int = 0
    in_flight: int = 0
    max_in_flight: int = 0


@dataclass(kw_only=True)
class Source:
    """What all connections share.

    Attributes:
        selected: the same records with nothing but the fields that a sync asks for; empty where `select` is ignored.
        places: taken while a list call is being worked on, if the scenario limits how many are.
    """

    generations: dict[int, Records]
    fixed_seconds: float
    record_seconds: float
    places: AbstractContextManager[object]
    selected: dict[int, Records] = field(default_factory=dict)
    generation: int = GENERATIONS[0]
    seen: Seen = field(default_factory=Seen)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, target: str) -> bytes:
        """Answer one request by its target; every client is let in."""
        path, _, query = target.partition("?")
        if path.startswith(CONTROL_PATH):
            return self._control(path.removeprefix(CONTROL_PATH))
        with self.lock:
            self.seen.first_request = self.seen.first_request or time.monotonic()
        if path.endswith("/login"):
            return json.dumps({"token": TOKEN, "user": {"id": 1}}).encode()
        return self._list(dict(parse_qsl(query)))

    def _control(self, action: str) -> bytes:
        if action.startswith("generation/"):
            self.generation, self.seen = int(action.removeprefix("generation/")), Seen()
        return json.dumps(vars(self.seen)).encode()

    def _list(self, query: dict[str, str]) -> bytes:
        with self.lock:
            self.seen.list_calls += 1
            self.seen.in_flight += 1
            self.seen.max_in_flight = max(self.seen.max_in_flight, self.seen.in_flight)
        with self.places:
            body, records = build_answer(self.generations[self.generation], query)
            record_seconds = self.record_seconds
            if self.selected and any(name.startswith("select[") for name in query):
                whole_bytes = len(body)
                body, records = build_answer(self.selected[self.generation], query)
                record_seconds *= len(body) / whole_bytes
            if seconds := self.fixed_seconds + record_seconds * records:
                time.sleep(seconds)
        with self.lock:
            self.seen.records += records
            self.seen.in_flight -= 1
        return body


def serve(source: Source, listener: socket.socket, context: ssl.SSLContext) -> None:
    """Serve until the process is ended."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve_connection, args=(source, connection, context), daemon=True).start()


def _serve_connection(source: Source, plain: socket.socket, context: ssl.SSLContext) -> None:
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
        reader = connection.makefile("rb", buffering=65_536)
        while request_line := reader.readline():
            length = 0
            while (header := reader.readline()) not in {b"\r\n", b""}:
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            reader.read(length)
            body = source.answer(request_line.split()[1].decode())
            connection.sendall(_build_head(len(body)) + body)


def _build_head(length: int) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {length}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n\r\n"
    ).encode()


def main() -> None:
    """Build both generations, listen on a free port, and say where."""
    certificate, *numbers = sys.argv[1:]
    count, mean_bytes, fixed_ms, record_ms, at_once, honours_select = (float(number) for number in numbers)
    whole, selected = (
        {generation: build_records(int(count), mean_bytes=size, generation=generation) for generation in GENERATIONS}
        for size in (int(mean_bytes), 0)
    )
    source = Source(
        generations=whole,
        selected=selected if honours_select else {},
        fixed_seconds=fixed_ms / 1000,
        record_seconds=record_ms / 1000,
        places=threading.Semaphore(int(at_once)) if at_once else nullcontext(),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    sys.stdout.write(json.dumps({"url": f"https://127.0.0.1:{listener.getsockname()[1]}"}) + "\n")
    sys.stdout.flush()
    serve(source, listener, context)


if __name__ == "__main__":
    main()
