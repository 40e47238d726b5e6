"""Traces on a real API server: from the POST, or from `kubectl apply`, through jobs and restarts to the callback."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
LIFE = ["callback attempt", "sync", "sync job", "sync queued", "sync run", "sync starting"]


@pytest.fixture
def traced(run_scenario: Callable[..., Any], collector: Any) -> Iterator[Any]:
    setting = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with run_scenario(api=setting, SYNC_LOG_FORMAT="json", **setting) as scenario:
        yield scenario


def wait_for_life(scenario: Any, collector: Any, trace_id: str) -> dict[str, Any]:
    """The spans of a sync's life, by name, once all are there, each once."""

    def find() -> list[Any]:
        return [span for span in collector.find(trace_id=trace_id) if span.name in LIFE]

    scenario.wait_until("the whole trace", lambda: {span.name for span in find()} == set(LIFE))
    assert sorted(span.name for span in find()) == LIFE
    return {span.name: span for span in find()}


def test_an_operator_that_is_killed_in_the_middle_leaves_one_trace(traced: Any, collector: Any) -> None:
    with traced.pages_held():
        name = traced.post(headers={"traceparent": CALLER}).json()["sync_id"]
        traced.wait_until("the first spans", lambda: "sync starting" in {span.name for span in collector.spans})

        traced.product.stop_operator(grace=0)
    traced.product.start_operator()
    traced.wait_callback(name)

    life = wait_for_life(traced, collector, TRACE)
    (request,) = (span for span in collector.find(trace_id=TRACE) if span.name.startswith("POST "))
    assert (request.parent_id, life["sync"].parent_id) == ("b7ad6b7169203331", request.span_id)
    for child in ("sync queued", "sync starting", "sync job", "callback attempt"):
        assert life[child].parent_id == life["sync"].span_id
    assert life["sync run"].parent_id == life["sync job"].span_id
    pages = [span for span in collector.find(trace_id=TRACE) if span.name == "fetch page"]
    assert {span.parent_id for span in pages} == {life["sync run"].span_id}
    (delivery,) = traced.receiver.deliveries
    assert delivery.headers["traceparent"] == f"00-{TRACE}-{life['callback attempt'].span_id}-01"
    assert traced.get_sync(name)["metadata"]["annotations"]["botzilla.io/traceparent"].split("-")[1] == TRACE


def test_an_applied_sync_begins_a_trace_of_its_own(traced: Any, collector: Any) -> None:
    traced.apply("by-hand")
    traced.wait_callback("by-hand")

    (delivery,) = traced.receiver.deliveries
    trace_id = delivery.headers["traceparent"].split("-")[1]
    life = wait_for_life(traced, collector, trace_id)
    assert life["sync"].parent_id == ""
    assert life["sync"].attributes["estimatesync.sync.id"] == "by-hand"
    lines = [json.loads(line) for line in traced.product.operator_log.read_text().splitlines() if line[:1] == "{"]
    assert {line["trace_id"] for line in lines if line.get("sync_id") == "by-hand"} == {trace_id}
    job = traced.find_all("Job")[0]
    variables = {each["name"]: each.get("value") for each in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["TRACEPARENT"] == f"00-{trace_id}-{life['sync job'].span_id}-01"
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == collector.url


def test_a_failure_is_marked_where_it_happened_and_above(traced: Any, collector: Any) -> None:
    traced.product.write_credentials(password="not-the-password")

    name = traced.post(headers={"traceparent": CALLER}).json()["sync_id"]
    traced.wait_callback(name)

    life = wait_for_life(traced, collector, TRACE)
    assert {life[part].error for part in ("sync", "sync job", "sync run")} == {"LoginFailed"}
    assert life["callback attempt"].attributes["http.response.status_code"] == 200
    (login,) = (span for span in collector.find(trace_id=TRACE) if span.name == "login")
    assert login.error == "CredentialsRefusedError"
