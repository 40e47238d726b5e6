"""Everything but POST: one sync, health, and addresses and methods that are not there."""

import asyncio
from collections.abc import Callable
from typing import Any

import falcon.asgi
import pytest
from estimatesync_api.app import Asgi, create_app, create_token
from estimatesync_api.core.problems import StoreUnavailableError
from estimatesync_api.health import ReadyResource
from estimatesync_api.settings import parse_settings
from estimatesync_contract.estimate_sync import EstimateSync
from falcon.testing import ASGIConductor, TestClient

SYNCS = "/api/automations/estimates/syncs"


def test_a_sync_is_shown(client: TestClient, store: Any, make_sync: Callable[..., EstimateSync]) -> None:
    store.syncs["est-1"] = make_sync("est-1")

    result = client.simulate_get(f"{SYNCS}/est-1")

    assert result.status_code == 200
    assert (result.json["success"], result.json["sync_id"], result.json["status"]) == (True, "est-1", "queued")


@pytest.mark.parametrize("name", ["est-2", "EST-1", "est_1", "x" * 64, "..", "%2e%2e%2fsecrets", "est-1%0a", "%C3%A4"])
def test_an_id_that_no_sync_has_is_404(
    client: TestClient, store: Any, make_sync: Callable[..., EstimateSync], name: str
) -> None:
    store.syncs["est-1"] = make_sync("est-1")

    result = client.simulate_get(f"{SYNCS}/{name}")

    assert result.status_code == 404
    assert result.json["code"] in {"sync_not_found", "not_found"}


def test_a_sync_is_not_shown_without_a_key(unauthenticated: TestClient) -> None:
    assert unauthenticated.simulate_get(f"{SYNCS}/est-1").json["code"] == "api_key_missing"


def test_a_store_that_is_away_is_503(client: TestClient, store: Any, unavailable: Exception) -> None:
    store.fetches = [unavailable]

    assert client.simulate_get(f"{SYNCS}/est-1").status_code == 503


@pytest.mark.parametrize(
    ("method", "url", "status", "code", "allow"),
    [
        ("GET", "/sync-estimates", 405, "method_not_allowed", "POST, OPTIONS"),
        ("DELETE", f"{SYNCS}/est-1", 405, "method_not_allowed", "GET, OPTIONS"),
        ("GET", "/nothing", 404, "not_found", None),
        ("POST", "/api", 404, "not_found", None),
    ],
)
def test_wrong_methods_and_addresses_are_json(
    client: TestClient, method: str, url: str, status: int, code: str, allow: str | None
) -> None:
    result = client.simulate_request(method, url)

    assert (result.status_code, result.json["code"]) == (status, code)
    assert result.headers.get("allow") == allow


def test_health_needs_neither_key_nor_store(unauthenticated: TestClient, store: Any, unavailable: Exception) -> None:
    store.check_fault = unavailable

    assert unauthenticated.simulate_get("/healthz").json == {"status": "ok"}


def test_readiness_is_the_store_s_and_its_verdict_is_kept_for_two_seconds(store: Any, unavailable: Exception) -> None:
    seconds = [100.0]
    settings = parse_settings({"API_KEYS": "make:made-up-key-of-make"})
    unauthenticated = TestClient(create_app(settings, store, monotonic=lambda: seconds[0]))

    ready = unauthenticated.simulate_get("/readyz")
    store.check_fault = unavailable
    seconds[0] += 1.5
    still = unauthenticated.simulate_get("/readyz")
    seconds[0] += 0.5
    away = unauthenticated.simulate_get("/readyz")
    store.check_fault = None
    seconds[0] += 1.5
    still_away = unauthenticated.simulate_get("/readyz")
    seconds[0] += 0.5
    again = unauthenticated.simulate_get("/readyz")

    assert [each.status_code for each in (ready, still, away, still_away, again)] == [200, 200, 503, 503, 200]
    assert store.checks == 3
    assert (still_away.json, still_away.headers["retry-after"]) == (away.json, "10")
    assert ready.json == {"status": "ready"}
    assert away.json["code"] == "unavailable"


def test_many_who_ask_at_once_share_one_look(app: Asgi, store: Any) -> None:
    async def ask_together() -> set[int]:
        began, may_end = asyncio.Event(), asyncio.Event()

        async def look() -> None:
            began.set()
            await may_end.wait()

        store.while_checking = look
        async with ASGIConductor(app) as conductor:
            asked = [asyncio.create_task(conductor.simulate_get("/readyz")) for _ in range(20)]
            await began.wait()
            may_end.set()
            return {answer.status_code for answer in await asyncio.gather(*asked)}

    assert asyncio.run(ask_together()) == {200}
    assert store.checks == 1


def test_who_leaves_before_the_verdict_leaves_the_question_to_the_next(store: Any, unavailable: Exception) -> None:
    async def ask_after_another_left() -> None:
        began = asyncio.Event()

        async def look() -> None:
            began.set()
            await asyncio.sleep(0 if store.checks > 1 else 60)

        store.while_checking, store.check_fault = look, unavailable
        resource = ReadyResource(store, monotonic=lambda: 100.0)
        first, second = (asyncio.create_task(resource.on_get(Any, falcon.asgi.Response())) for _ in range(2))
        await began.wait()
        first.cancel()
        await second

    with pytest.raises(StoreUnavailableError):
        asyncio.run(ask_after_another_left())

    assert store.checks == 2


def test_a_new_address_is_closed_without_a_key_unless_it_says_otherwise(app: Asgi, unauthenticated: TestClient) -> None:
    class Forgotten:
        async def on_get(self, _req: falcon.asgi.Request, _resp: falcon.asgi.Response) -> None:
            """Answer anything."""

    app.add_route("/new", Forgotten())

    assert unauthenticated.simulate_get("/new").status_code == 401


async def serve_once(app: Asgi) -> None:
    async with ASGIConductor(app) as conductor:
        await conductor.simulate_get("/healthz")


def test_the_store_is_opened_and_closed_with_the_process(app: Asgi, store: Any) -> None:
    falcon.async_to_sync(serve_once, app)

    assert store.lifespan == ["opened", "closed"]


def test_tokens_fit_into_names_and_differ() -> None:
    tokens = {create_token() for _ in range(100)}

    assert len(tokens) == 100
    assert all(token.isascii() and token.isalnum() and token.islower() | token.isdigit() for token in tokens)
