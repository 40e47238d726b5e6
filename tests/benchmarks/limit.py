"""The limit: nothing but the pages over so many connections, decoded, copied and upserted into the same columns.

It trusts everything: no retry, no check of a value, no log, no count of what changed, no second pass over the source.
So it shows what this machine, this source and this database allow; it must not be run on data that matters.
Run: `python limit.py CONNECTIONS`, with the sync program's own environment.
"""

import os
import queue
import socket
import ssl
import sys
import threading
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec
import psycopg

_COLUMNS: Final = (
    ("attic_tech_estimate_id", "bigint"),
    ("name", "text"),
    ("customer_name", "text"),
    ("customer_email", "text"),
    ("customer_phone", "text"),
    ("customer_address", "text"),
    ("price", "numeric(12,2)"),
    ("retail_cost", "numeric(12,2)"),
    ("final_price", "numeric(12,2)"),
    ("sub_service_retail_cost", "numeric(12,2)"),
    ("discount", "numeric(12,2)"),
    ("final_price_after_taxes", "numeric(12,2)"),
    ("attic_tech_hours", "numeric"),
    ("crew_notes", "text"),
    ("payment_method", "text"),
    ("at_created_date", "timestamptz"),
    ("at_updated_date", "timestamptz"),
    ("branch_name", "text"),
    ("sales_person_name", "text"),
    ("status_name", "text"),
)
_NAMES: Final = ", ".join(name for name, _ in _COLUMNS)
_TYPES: Final = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS)
_CHANGES: Final = ", ".join(f"{name} = excluded.{name}" for name, _ in _COLUMNS[1:])
_PREPARE: Final = f"""
    CREATE TABLE IF NOT EXISTS estimate_limit ({_TYPES}, PRIMARY KEY (attic_tech_estimate_id));
    CREATE TEMPORARY TABLE staging ({_TYPES}) ON COMMIT DROP
"""
_COPY: Final = f"COPY staging ({_NAMES}) FROM STDIN"
_UPSERT: Final = f"""
    INSERT INTO estimate_limit ({_NAMES}) SELECT {_NAMES} FROM staging
    ON CONFLICT (attic_tech_estimate_id) DO UPDATE SET {_CHANGES}
"""  # noqa: S608 - names from this file
_CHUNK: Final = 262_144


class _Named(msgspec.Struct):
    name: str | None = None


class _Client(msgspec.Struct, rename="camel"):
    full_name: str | None = None
    email: str | None = None
    phone: str | None = None


class _Property(msgspec.Struct):
    address: str | None = None


class _Taxes(msgspec.Struct):
    final_price_after_taxes: msgspec.Raw


class _Record(msgspec.Struct):
    id: int
    name: str
    status: str
    created_at: str = msgspec.field(name="createdAt")
    updated_at: str = msgspec.field(name="updatedAt")
    true_cost: msgspec.Raw
    retail_cost: msgspec.Raw
    final_price: msgspec.Raw
    sub_services_retail_cost: msgspec.Raw
    discount_provided: msgspec.Raw
    labor_hours: msgspec.Raw
    crew_notes: str
    payment_method: str
    tax_details: _Taxes
    branch: _Named
    user: _Named
    client: _Client
    property: _Property


class _Page(msgspec.Struct, rename="camel"):
    docs: list[_Record]
    total_pages: int


class Fetch:
    """Pages over several connections; each takes the next page number until there is none."""

    def __init__(self, connections: int) -> None:
        self.blocks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._address: Final = urlsplit(os.environ["ATTIC_TECH_URL"])
        self._context: Final = ssl.create_default_context()
        self._decoder: Final = msgspec.json.Decoder(_Page)
        self._lock: Final = threading.Lock()
        self._next_page = 1
        self._total_pages: int | None = None
        self._token: Final = self._login()
        self.threads: Final = [threading.Thread(target=self._work, daemon=True) for _ in range(connections)]
        for thread in self.threads:
            thread.start()

    def _login(self) -> str:
        credentials = {"email": os.environ["ATTIC_TECH_EMAIL"], "password": os.environ["ATTIC_TECH_PASSWORD"]}
        body = msgspec.json.encode(credentials)
        head = f"POST /api/users/login HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with self._connect() as connection:
            token: str = msgspec.json.decode(_exchange(connection, head + body))["token"]
        return token

    def _connect(self) -> ssl.SSLSocket:
        host, port = str(self._address.hostname), self._address.port
        plain = socket.create_connection((host, port or 443))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._context.wrap_socket(plain, server_hostname=host)

    def _work(self) -> None:
        with self._connect() as connection:
            while page := self._take_page():
                answer = self._decoder.decode(_exchange(connection, self._build_request(page)))
                self._total_pages = answer.total_pages
                self.blocks.put(b"".join([_build_line(record) for record in answer.docs]))
        self.blocks.put(None)

    def _take_page(self) -> int | None:
        with self._lock:
            page = self._next_page
            self._next_page += 1
        return page if self._total_pages is None or page <= self._total_pages else None

    def _build_request(self, page: int) -> bytes:
        query = {
            "limit": os.environ["SYNC_PAGE_SIZE"],
            "page": page,
            "depth": 2,
            "sort": "createdAt,id",
            "where[updatedAt][greater_than_equal]": f"{os.environ['SYNC_START_DATE']}T00:00:00.000Z",
            "where[updatedAt][less_than_equal]": f"{os.environ['SYNC_END_DATE']}T23:59:59.999Z",
        }
        target = f"/api/job-estimates?{urlencode(query)}"
        return f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._token}\r\n\r\n".encode()


def _exchange(connection: ssl.SSLSocket, request: bytes) -> bytearray:
    """Send a request and receive a body of known length."""
    connection.sendall(request)
    received = bytearray()
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += connection.recv(_CHUNK)
    head, body = received[:end].lower(), received[end + 4 :]
    length, filled = int(head.split(b"content-length:")[1].split(b"\r\n")[0]), len(body)
    body.extend(bytes(length - filled))
    with memoryview(body) as view:
        while filled < length:
            filled += connection.recv_into(view[filled:])
    return body


def _build_line(record: _Record) -> bytes:
    client = record.client
    return (
        b"\t".join(
            (
                b"%d" % record.id,
                *(_text(record.name), _text(client.full_name), _text(client.email), _text(client.phone)),
                _text(record.property.address),
                *(bytes(record.true_cost), bytes(record.retail_cost), bytes(record.final_price)),
                *(bytes(record.sub_services_retail_cost), bytes(record.discount_provided)),
                *(bytes(record.tax_details.final_price_after_taxes), bytes(record.labor_hours)),
                *(_text(record.crew_notes), _text(record.payment_method)),
                *(record.created_at.encode(), record.updated_at.encode()),
                *(_text(record.branch.name), _text(record.user.name), _text(record.status)),
            )
        )
        + b"\n"
    )


def _text(value: str | None) -> bytes:
    if value is None:
        return b"\\N"
    return value.translate(_ESCAPES).encode()


_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def main() -> None:
    """Fetch and copy at once, then upsert and commit."""
    fetch = Fetch(int(sys.argv[1]))
    with psycopg.connect(os.environ["DATABASE_URL"], prepare_threshold=None) as connection:
        connection.execute(_PREPARE)
        with connection.cursor() as cursor:
            with cursor.copy(_COPY.encode()) as copy:
                for _ in fetch.threads:
                    while (block := fetch.blocks.get()) is not None:
                        copy.write(block)
            cursor.execute(_UPSERT.encode())


if __name__ == "__main__":
    main()
