"""The sample Attic Tech itself: its endpoints over a store of records, and how to run it.

Tests call `running_sample`; `main` does the same in a process of its own. Requests are answered one after the other,
so a hook that edits the store acts between two requests, never within one. Login tokens are what Payload signs: a JWT
(RFC 7519) with HMAC-SHA256, checked without any state.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from threading import Lock, RLock
from typing import Any

import msgspec

from sample_attic_tech.listing import DEFAULT_LIMIT, DEFAULT_SORT, Page, Where, parse_find_query, query
from sample_attic_tech.payload_errors import (
    AuthenticationError,
    ForbiddenError,
    InvalidJsonError,
    LockedAccountError,
    PayloadError,
    RequiredFieldError,
    RouteNotFoundError,
)
from sample_attic_tech.records import Record, format_timestamp
from sample_attic_tech.selection import to_document
from sample_attic_tech.server import Fault, Request, Response, apply_fault, build_json_response, running_server

LOGIN_PATH = "/api/users/login"
ESTIMATES_PATH = "/api/job-estimates"
USER_ID = 1
_SESSION_ID = "8f0f2b9e-6c1e-4a51-9c55-0d3f5a7c1e42"
MAX_LOGIN_ATTEMPTS = 5
LOCK_TIME = timedelta(minutes=10)
"""Payload's defaults: that many wrong passwords in a row lock an account for so long, also for the right one."""


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    exp: int


def build_token(*, user_id: int, email: str, issued_at: datetime, expires_at: datetime, secret: bytes) -> str:
    """Sign a token for a user; times count in whole seconds."""
    header = {"alg": "HS256", "authVersion": 1, "typ": "JWT"}
    times = {"iat": int(issued_at.timestamp()), "exp": int(expires_at.timestamp())}
    claims = {"id": user_id, "collection": "users", "email": email, "sid": _SESSION_ID} | times
    signed = f"{_encode(header)}.{_encode(claims)}"
    return f"{signed}.{_sign(signed, secret)}"


def is_token_valid(token: str, *, secret: bytes, now: datetime) -> bool:
    """Whether we signed this token and it has not expired."""
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_sign(signed, secret).encode(), signature.encode()):
        return False
    return now.timestamp() < _decode(signed.partition(".")[2]).exp


def _sign(text: str, secret: bytes) -> str:
    return _encode_bytes(hmac.digest(secret, text.encode(), hashlib.sha256))


def _encode(value: dict[str, Any]) -> str:
    return _encode_bytes(msgspec.json.encode(value))


def _encode_bytes(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(text: str) -> _Claims:
    padding = "=" * (-len(text) % 4)
    return msgspec.json.decode(base64.urlsafe_b64decode(text + padding), type=_Claims)


class RecordStore:
    """Records by id, in the order of insertion; every method is atomic."""

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        """Store copies of the records.

        Raises:
            ValueError: when two records share an id.
        """
        self._lock = RLock()
        self._records: dict[int, Record] = {}
        for record in records:
            self.insert(record)

    def __len__(self) -> int:
        with self._lock:
            return len(self._records)

    def insert(self, record: Mapping[str, Any]) -> None:
        """Add a record.

        Raises:
            ValueError: when the id is taken.
        """
        with self._lock:
            if record["id"] in self._records:
                raise ValueError(f"There is already a record with id {record['id']}.")
            self._records[record["id"]] = dict(record)

    def update(self, record_id: int, changes: Mapping[str, Any]) -> Record:
        """Replace fields of a record and return it; the caller sets `updatedAt`, as Payload would to its own clock.

        Raises:
            KeyError: when no record has this id.
            ValueError: when the changes name another id.
        """
        with self._lock:
            if changes.get("id", record_id) != record_id:
                raise ValueError("An id never changes.")
            self._records[record_id] = self._records[record_id] | dict(changes)
            return dict(self._records[record_id])

    def delete(self, record_id: int) -> None:
        """Remove a record.

        Raises:
            KeyError: when no record has this id.
        """
        with self._lock:
            del self._records[record_id]

    def read(self, record_id: int) -> Record:
        """Return a copy of a record.

        Raises:
            KeyError: when no record has this id.
        """
        with self._lock:
            return dict(self._records[record_id])

    def read_all(self) -> list[Record]:
        """Return the records as they are now; later changes replace records and leave these alone."""
        with self._lock:
            return list(self._records.values())

    def query(
        self,
        *,
        where: Where | None = None,
        sort: Sequence[str] = DEFAULT_SORT,
        limit: int = DEFAULT_LIMIT,
        page: int = 1,
    ) -> Page:
        """Build one page of the records as they are now; see `query` in listing.py."""
        return query(self.read_all(), where=where, sort=sort, limit=limit, page=page)


def _read_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How the sample behaves; every default is the friendly case.

    Attributes:
        records: what the store holds at first.
        page_delay_seconds: waited before each listing, as the real service thinks.
        record_delay_seconds: waited in addition for each record on the page.
        token_lifetime: how long a login lasts; Payload's default is two hours.
        shuffle_ties: orders records of equal sort values differently in each listing, as PostgreSQL is free to do.
        on_request: called before each answer; may edit the store, may return a fault.
        clock: the time for tokens and the Date header, aware.
    """

    records: Sequence[Record] = ()
    email: str = "sync@attic-tech.example"
    password: str = field(default="made-up-password", repr=False)
    page_delay_seconds: float = 0.0
    record_delay_seconds: float = 0.0
    token_lifetime: timedelta = timedelta(hours=2)
    shuffle_ties: bool = False
    on_request: Callable[[Request], Fault | None] | None = None
    clock: Callable[[], datetime] = _read_clock
    host: str = "127.0.0.1"
    port: int = 0


class RunningSample:
    """A served sample.

    Attributes:
        url: base URL, set once it listens.
        store: the records; edit them at any time.
        requests: every request so far, oldest first.
        on_request: the hook; may be replaced at any time.
    """

    def __init__(self, config: SampleConfig) -> None:
        """Fill the store; `running_sample` serves it."""
        self.url = ""
        self.store = RecordStore(config.records)
        self.requests: list[Request] = []
        self.on_request = config.on_request
        self._config = config
        self._secret = secrets.token_bytes(32)
        self._lock = Lock()
        self._failed_logins = 0
        self._locked_until: datetime | None = None
        self._endpoints = {("POST", LOGIN_PATH): self._login, ("GET", ESTIMATES_PATH): self._find}

    def revoke_tokens(self) -> None:
        """Make every token given out so far invalid."""
        self._secret = secrets.token_bytes(32)

    def respond(self, request: Request) -> Response:
        """Log the request, let the hook act, and answer."""
        with self._lock:
            self.requests.append(request)
            fault = self.on_request(request) if self.on_request else None
            return self._date(apply_fault(fault, self._answer(request)))

    def _date(self, response: Response) -> Response:
        dated = {"Date": format_datetime(self._config.clock(), usegmt=True)}
        return replace(response, headers=dated | dict(response.headers))

    def _answer(self, request: Request) -> Response:
        endpoint = self._endpoints.get((request.method, request.path.rstrip("/")))
        try:
            if endpoint is None:
                raise RouteNotFoundError(request.path)
            return endpoint(request)
        except PayloadError as error:
            return build_json_response(error.to_body(), status=error.status)

    def _login(self, request: Request) -> Response:
        now, email = self._config.clock(), self._config.email
        self._authenticate(*_parse_credentials(request), now)
        expires_at = now + self._config.token_lifetime
        token = build_token(user_id=USER_ID, email=email, issued_at=now, expires_at=expires_at, secret=self._secret)
        user = _build_user(email, now, expires_at)
        body = {"message": "Authentication Passed", "user": user, "token": token, "exp": int(expires_at.timestamp())}
        return build_json_response(body)

    def _authenticate(self, email: str, password: str, now: datetime) -> None:
        """Count wrong passwords, and refuse the right one, too, while the account is locked."""
        if email != self._config.email.lower():
            raise AuthenticationError
        if self._locked_until and now < self._locked_until:
            raise LockedAccountError
        if password != self._config.password:
            self._failed_logins += 1
            self._locked_until = now + LOCK_TIME if self._failed_logins >= MAX_LOGIN_ATTEMPTS else None
            raise AuthenticationError
        self._failed_logins, self._locked_until = 0, None

    def _find(self, request: Request) -> Response:
        self._check_token(request)
        find = parse_find_query(request.query_string)
        page = query(
            self._read_records(),
            where=find.where,
            sort=find.sort,
            limit=find.limit,
            page=find.page,
            is_paged=find.is_paged,
        )
        docs = [to_document(record, find.selection) for record in page.docs]
        delay = self._config.page_delay_seconds + self._config.record_delay_seconds * len(docs)
        return replace(build_json_response(msgspec.structs.replace(page, docs=docs)), delay_seconds=delay)

    def _check_token(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        now = self._config.clock()
        if scheme not in {"Bearer", "JWT"} or not is_token_valid(token, secret=self._secret, now=now):
            raise ForbiddenError

    def _read_records(self) -> list[Record]:
        records = self.store.read_all()
        if self._config.shuffle_ties:
            # Seeded by the number of requests: another order each time, the same in each run.
            Random(len(self.requests)).shuffle(records)  # noqa: S311 - an order, not a secret
        return records


def _parse_credentials(request: Request) -> tuple[str, str]:
    """Read email and password from the login body; Payload ignores a body that is not called JSON."""
    is_json = request.headers.get("content-type", "").startswith("application/json")
    try:
        body = msgspec.json.decode(request.body or b"{}") if is_json else {}
    except msgspec.DecodeError as error:
        raise InvalidJsonError from error
    return _read_text(body, "email").strip().lower(), _read_text(body, "password")


def _build_user(email: str, now: datetime, expires_at: datetime) -> dict[str, Any]:
    """Build what a login shows of the user; the sessions are why no raw record should ever be logged."""
    created_at, expires = format_timestamp(now), format_timestamp(expires_at)
    return {
        "id": USER_ID,
        "name": "Sync",
        "updatedAt": None,
        "createdAt": created_at,
        "email": email,
        "sessions": [{"id": _SESSION_ID, "createdAt": created_at, "expiresAt": expires}],
        "collection": "users",
        "_strategy": "local-jwt",
    }


def _read_text(body: object, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise RequiredFieldError(name)
    return value


@contextmanager
def running_sample(config: SampleConfig | None = None) -> Iterator[RunningSample]:
    """Serve a sample over real sockets, in threads of this process, until the block ends."""
    config = config or SampleConfig()
    sample = RunningSample(config)
    with running_server(sample.respond, host=config.host, port=config.port) as url:
        sample.url = url
        yield sample
