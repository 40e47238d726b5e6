"""The source: serves made-up estimates over TLS from a process of its own, as slowly as a scenario says, never slower.

A thread per connection and blocking sockets: encryption and sending leave the interpreter's lock to the others, and a
body goes out in one call. The runner starts it, reads `{"url": …}` from its output, switches generations and reads
what it saw. Run: `python source_server.py CERTIFICATE SCENARIO`, the scenario as JSON.
"""

import json
import socket
import ssl
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Final
from urllib.parse import parse_qsl

from scenarios import GENERATIONS, LoadKind, Scenario
from source_records import Records, build_answer, build_records

TOKEN: Final = "made-up-token"
CONTROL_PATH: Final = "/_benchmark/"
"""`generation/N` switches and forgets what was seen; `seen` answers it."""
_SINCE_EDITED: Final = timedelta(minutes=10)


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
        places: taken while a list call is being worked on, if the scenario limits how many are.
        generations: built so far; each is served as it is, and with nothing but the fields that a sync asks for.
    """

    scenario: Scenario
    places: AbstractContextManager[object]
    generations: dict[int, tuple[Records, Records]] = field(default_factory=dict)
    generation: int = GENERATIONS[LoadKind.FIRST]
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
            self._switch(int(action.removeprefix("generation/")))
        return json.dumps(vars(self.seen)).encode()

    def _switch(self, generation: int) -> None:
        is_moment = generation == GENERATIONS[LoadKind.MOMENT]
        if generation not in self.generations or is_moment:
            edited_at = datetime.now(UTC) - _SINCE_EDITED if is_moment else None
            self.generations[generation] = (
                self._build(generation, self.scenario.mean_bytes, edited_at),
                self._build(generation, 0, edited_at),
            )
        self.generation, self.seen = generation, Seen()

    def _build(self, generation: int, mean_bytes: int, edited_at: datetime | None) -> Records:
        """Build the records; those of a source that ignores `select` are built once."""
        count = self.scenario.records if mean_bytes or self.scenario.honours_select else 0
        return build_records(
            count, mean_bytes=mean_bytes, generation=generation, id_step=self.scenario.id_step, edited_at=edited_at
        )

    def _list(self, query: dict[str, str]) -> bytes:
        with self.lock:
            self.seen.list_calls += 1
            fixed_ms = self.scenario.fixed_ms
            if self.scenario.first_ms and self.seen.list_calls == 1:
                fixed_ms = self.scenario.first_ms
            self.seen.in_flight += 1
            self.seen.max_in_flight = max(self.seen.max_in_flight, self.seen.in_flight)
        with self.places:
            whole, selected = self.generations[self.generation]
            body, records = build_answer(whole, query)
            record_ms = self.scenario.record_ms
            if self.scenario.honours_select and any(name.startswith("select[") for name in query):
                whole_bytes = len(body)
                body, records = build_answer(selected, query)
                record_ms *= len(body) / whole_bytes
            if milliseconds := fixed_ms + record_ms * records:
                time.sleep(milliseconds / 1000)
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
    """Listen on a free port, and say where; records are built when a generation is asked for, before a load."""
    certificate, text = sys.argv[1:]
    scenario = Scenario(**json.loads(text))
    source = Source(
        scenario=scenario, places=threading.Semaphore(scenario.at_once) if scenario.at_once else nullcontext()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    sys.stdout.write(json.dumps({"url": f"https://127.0.0.1:{listener.getsockname()[1]}"}) + "\n")
    sys.stdout.flush()
    serve(source, listener, context)


if __name__ == "__main__":
    main()
