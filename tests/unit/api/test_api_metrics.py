"""What `/metrics` shows, and what it never shows."""

from typing import Any

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
    assert numbers[requests, ("404", "GET", "other")] == 1
    assert numbers["estimatesync_api_request_duration_seconds_count", (f"{SYNCS}/{{sync_id}}", "GET")] == 2
    assert not [labels for _, labels in numbers if "est-1" in labels or "BREW" in labels or "/secret-place" in labels]


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
