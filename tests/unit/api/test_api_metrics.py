"""What `/metrics` shows, and what it never shows."""

from typing import Any

import pytest
from estimatesync_api.app import create_app
from estimatesync_api.settings import parse_settings
from falcon.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

URL = "/api/automations/estimates/sync-external"
SYNCS = "/api/automations/estimates/syncs"


def read(client: TestClient) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(client.simulate_get("/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name.startswith("estimatesync_")]
    return {(sample.name, tuple(sorted(sample.labels.values()))): sample.value for sample in samples}


def test_requests_are_counted_by_the_route_as_it_was_declared(client: TestClient, unauthenticated: TestClient) -> None:
    for _ in range(2):
        client.simulate_get(f"{SYNCS}/est-1")
    client.simulate_get("/secret-place")
    client.simulate_request("BREW", URL)

    numbers = read(unauthenticated)
    requests = "estimatesync_api_requests_total"
    assert numbers[requests, (f"{SYNCS}/{{sync_id}}", "404", "GET")] == 2
    assert numbers[requests, ("404", "other", "other")] == numbers[requests, ("400", "other", "other")] == 1
    assert numbers["estimatesync_api_request_duration_seconds_count", (f"{SYNCS}/{{sync_id}}", "GET")] == 2
    assert not [labels for _, labels in numbers if "est-1" in labels or "BREW" in labels or "/secret-place" in labels]


def test_only_what_was_declared_becomes_a_label(client: TestClient, unauthenticated: TestClient) -> None:
    for method in ("PUT", "DELETE", "PATCH", "HEAD", "BREW", "CONNECT"):
        for path in (URL, SYNCS, f"{SYNCS}/est-1", "/healthz", "/docs", "/nowhere"):
            client.simulate_request(method, path)
            unauthenticated.simulate_request(method, path)

    labels = {labels for (name, labels) in read(unauthenticated) if name == "estimatesync_api_requests_total"}

    assert {(method, route) for _, method, route in labels} == {("other", "other")}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param("", "text/plain; version=0.0.4", id="nothing"),
        pytest.param("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=0.0.4", id="text"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0", "application/openmetrics-text; version=1", id="open"
        ),
        pytest.param("application/openmetrics-text; version=x", "application/openmetrics-text; version=1", id="odd"),
    ],
)
def test_the_page_has_one_of_two_formats(unauthenticated: TestClient, accept: str, content_type: str) -> None:
    answer = unauthenticated.simulate_get("/metrics", headers={"Accept": accept})

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(content_type)


def test_the_page_is_written_once_a_second(store: Any) -> None:
    seconds = [100.0]
    settings = parse_settings({"API_KEYS": "make:made-up-key-of-make"})
    unauthenticated = TestClient(create_app(settings, store, monotonic=lambda: seconds[0]))

    first = unauthenticated.simulate_get("/metrics").text
    same = unauthenticated.simulate_get("/metrics").text
    seconds[0] += 1
    later = unauthenticated.simulate_get("/metrics").text

    assert first == same
    assert 'route="/metrics"' in later


def test_syncs_are_counted_once_however_often_they_are_asked_for(client: TestClient, store: Any) -> None:
    for _ in range(3):
        client.simulate_post(URL, headers={"Idempotency-Key": "run-17"})

    numbers = read(client)
    assert len(store.syncs) == 1
    assert numbers["estimatesync_api_syncs_started_total", ()] == 1
    assert numbers["estimatesync_api_requests_repeated_total", ()] == 2


def test_unauthenticated_requests_are_counted_without_what_they_sent(unauthenticated: TestClient) -> None:
    unauthenticated.simulate_get(SYNCS)
    unauthenticated.simulate_get(SYNCS, headers={"X-API-KEY": "guessed"})
    unauthenticated.simulate_get(SYNCS, headers={"X-API-KEY": "guessed again"})

    numbers = read(unauthenticated)
    failures = "estimatesync_api_auth_failures_total"
    assert (numbers[failures, ("api_key_missing",)], numbers[failures, ("api_key_wrong",)]) == (1, 2)
    assert "guessed" not in str(numbers)
