"""The sample Attic Tech itself: its endpoints over a record store, and how to run it.

Tests call `running_sample`; `main` does the same in a process of its own. Requests are answered one after the other,
so a hook that edits the store acts between two requests, never within one.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Lock

import msgspec

from sample_attic_tech.faults import Fault, apply_fault
from sample_attic_tech.find_queries import parse_find_query
from sample_attic_tech.loopback_server import running_server
from sample_attic_tech.messages import Request, Response, build_json_response
from sample_attic_tech.paging import query
from sample_attic_tech.payload_errors import (
    AuthenticationError,
    ForbiddenError,
    InvalidJsonError,
    PayloadError,
    RequiredFieldError,
    RouteNotFoundError,
)
from sample_attic_tech.relations import Record, populate
from sample_attic_tech.store import RecordStore
from sample_attic_tech.tokens import build_token, is_token_valid

LOGIN_PATH = "/api/users/login"
ESTIMATES_PATH = "/api/job-estimates"
USER_ID = 1


def _read_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How the sample behaves; every default is the friendly case.

    Attributes:
        records: what the store holds at the start.
        page_delay_seconds: waited before each listing, as the real service thinks.
        record_delay_seconds: waited besides for each record on the page.
        token_lifetime: how long a login lasts; Payload's default is two hours.
        shuffle_ties: orders records of equal sort values anew for each listing, which PostgreSQL is free to do.
        on_request: called before each answer; may edit the store, may return a fault.
        clock: tells the time for tokens; must return aware instants.
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
        self._endpoints = {("POST", LOGIN_PATH): self._login, ("GET", ESTIMATES_PATH): self._find}

    def revoke_tokens(self) -> None:
        """Make every token given out so far invalid."""
        self._secret = secrets.token_bytes(32)

    def respond(self, request: Request) -> Response:
        """Log the request, let the hook act, and answer."""
        with self._lock:
            self.requests.append(request)
            fault = self.on_request(request) if self.on_request else None
            return apply_fault(fault, self._answer(request))

    def _answer(self, request: Request) -> Response:
        endpoint = self._endpoints.get((request.method, request.path))
        try:
            if endpoint is None:
                raise RouteNotFoundError(request.path)
            return endpoint(request)
        except PayloadError as error:
            return build_json_response(error.to_body(), status=error.status)

    def _login(self, request: Request) -> Response:
        if _parse_credentials(request) != (self._config.email.lower(), self._config.password):
            raise AuthenticationError
        expires_at = self._config.clock() + self._config.token_lifetime
        email = self._config.email
        token = build_token(user_id=USER_ID, email=email, expires_at=expires_at, secret=self._secret)
        user = {"id": USER_ID, "email": email}
        body = {"message": "Authentication Passed", "user": user, "token": token, "exp": int(expires_at.timestamp())}
        return build_json_response(body)

    def _find(self, request: Request) -> Response:
        self._check_token(request)
        find = parse_find_query(request.query_string)
        page = query(self._read_records(), where=find.where, sort=find.sort, limit=find.limit, page=find.page)
        docs = [populate(record, find.depth) for record in page.docs]
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
    return _read_text(body, "email").lower(), _read_text(body, "password")


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
