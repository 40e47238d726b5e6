"""Requests that no well-meaning caller sends, made up by chance, without end."""

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass

START = "/api/automations/estimates/sync-external"
SYNCS = "/api/automations/estimates/syncs"

_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
_PATHS = (
    *(START, SYNCS, "/sync-estimates", f"{SYNCS}/est-1", f"{SYNCS}/est-1/cancel", f"{SYNCS}/est-1/redeliver"),
    *(
        f"{SYNCS}/est-1/logs",
        f"{SYNCS}/..%2f..%2fsecrets",
        f"{SYNCS}/%00%ff",
        "/",
        "/api",
        "/metrics/x",
        "//",
        "/%F0%9F%92%A9",
    ),
)
_BODIES = (
    *(b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"[" * 5000, b'{"startDate":"2025-02-30"}'),
    *(b'{"startDate":[]}', b'{"endDate":{"a":1}}', b'{"startDate":"9999-99-99","x":1}', b'{"startDate":1e999}'),
    *(b"x" * 70_000, b'{"startDate":"2025-09-02","endDate":"2025-09-01"}', b'{"start_date":"a","startDate":"b"}'),
)
_QUERIES = (
    *("", "limit=0", "limit=x", "limit=99999999999999999999", "cursor=%ff", "cursor=W10", "status=done", "since=0"),
    *("until=9999-12-31", "since=2025-09-01T99:99:99Z", "background=%00", "startDate=x", "&&&===", "a" * 3000),
)


@dataclass(frozen=True, kw_only=True)
class BadRequest:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def iterate_bad_requests(chance: random.Random, key: str) -> Iterator[BadRequest]:
    """Make up requests: most at an address that is served, with a method that it knows; none stores anything."""
    while True:
        path, method = chance.choice(_PATHS), chance.choice(_METHODS)
        if chance.random() < 0.6:
            path, method = chance.choice([(START, "POST"), ("/sync-estimates", "POST"), (SYNCS, "GET")])
        body = _make_body(chance)
        if not body.strip() or body == b"null":
            body = b"{"
        yield BadRequest(
            method=method,
            target=f"{path}?{chance.choice(_QUERIES)}",
            headers=_make_headers(chance, key),
            body=body if method in {"POST", "PUT", "PATCH"} else b"",
        )


def _make_body(chance: random.Random) -> bytes:
    if chance.random() < 0.7:
        return chance.choice(_BODIES)
    text = "".join(chance.choices(string.printable, k=chance.randrange(1, 200)))
    return f'{{"startDate":"{text}"'.encode()


def _make_headers(chance: random.Random, key: str) -> dict[str, str]:
    headers = {"X-API-KEY": key} if chance.random() < 0.7 else {}
    if chance.random() < 0.3:
        headers["Idempotency-Key"] = chance.choice(["", '"', "x" * 300, "\t", "a,b;c"])
    if chance.random() < 0.3:
        headers["Content-Type"] = chance.choice(["text/xml", "application/json; charset=utf-99", ";", "x" * 500])
    if chance.random() < 0.2:
        headers["If-None-Match"] = chance.choice(["*", '"', 'W/"x', "x" * 1000, '"a", "b"'])
    return headers
