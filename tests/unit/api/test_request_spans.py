"""Which requests become spans: the authenticated ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from estimatesync_api.app import create_app
from estimatesync_api.settings import parse_settings
from estimatesync_contract.names import SYNCS_PATH
from estimatesync_tracing.context import format_trace_id
from estimatesync_tracing.setup import NoTracer
from estimatesync_tracing.spans import Attributes, Span
from falcon.testing import TestClient

KEY = "made-up-key-of-make"
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Recorder(NoTracer):
    """Keeps the names, the traces and the attributes of spans that have ended."""

    is_on = True  # type: ignore[misc] # it is one that is on

    def __init__(self) -> None:
        self.ended: list[tuple[str, str, dict[str, Any]]] = []

    @contextmanager
    def span(self, name: str, **fields: Any) -> Iterator[Span]:
        self.noted: dict[str, Any] = {}
        yield self
        parent = fields["parent"]
        self.ended.append((name, format_trace_id(parent) if parent else "", self.noted))

    def note(self, attributes: Attributes) -> None:
        self.noted |= attributes

    def fail(self, reason: str) -> None:
        self.noted["fault"] = reason


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(store: Any, recorder: Recorder) -> TestClient:
    return TestClient(create_app(parse_settings({"API_KEYS": f"make:{KEY}"}), store, tracer=recorder))


def test_a_request_with_a_key_is_part_of_its_callers_trace(client: TestClient, recorder: Recorder) -> None:
    client.simulate_get(SYNCS_PATH, headers={"x-api-key": KEY, **CALLER})

    assert recorder.ended == [(f"GET {SYNCS_PATH}", TRACE, {"http.response.status_code": 200})]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        pytest.param("GET", SYNCS_PATH, {}, 401, id="no key"),
        pytest.param("POST", "/sync-estimates", {"x-api-key": "guessed-guessed-guessed"}, 403, id="a wrong key"),
        pytest.param("GET", "/page/trends", {}, 303, id="a page without a session"),
        pytest.param("GET", "/page/sign-in", {}, 200, id="signing in"),
        pytest.param("GET", "/healthz", {}, 200, id="a probe"),
        pytest.param("GET", "/nowhere", {}, 404, id="nowhere"),
    ],
)
def test_unauthenticated_requests_leave_no_span_whatever_they_send(
    client: TestClient, recorder: Recorder, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.simulate_request(method, path, headers={**headers, **CALLER})

    assert (answer.status_code, recorder.ended) == (status, [])


def test_an_open_page_makes_one_span_and_not_one_for_each_refresh(client: TestClient, recorder: Recorder) -> None:
    signed_in = client.simulate_post("/page/sign-in", body=f"key={KEY}", headers=FORM)
    cookie = {"cookie": f"estimatesync={signed_in.cookies['estimatesync'].value}"}

    client.simulate_get("/", headers=cookie)
    client.simulate_get("/", headers={**cookie, "X-Page-Part": "live"})

    assert [name for name, _, _ in recorder.ended] == ["GET /"]
