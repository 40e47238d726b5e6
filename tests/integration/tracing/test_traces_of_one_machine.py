"""Traces from a POST to a real collector, by the real programs of one machine."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from sample_attic_tech import Reset

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
SERVER, CLIENT = 2, 3
LIFE = {"sync", "sync queued", "sync starting", "sync job", "callback attempt"}
PARTS = ("estimatesync_api.main", "estimatesync_operator.main", "estimatesync_job.main", "estimatesync_local.main")


def build_tree(spans: list[Any]) -> dict[str, set[str]]:
    """The names of the children, by the name of the parent; every parent must be there."""
    names = {span.span_id: span.name for span in spans} | {"b7ad6b7169203331": "the caller", "": "no parent"}
    tree: dict[str, set[str]] = {}
    for span in spans:
        tree.setdefault(names[span.parent_id], set()).add(span.name)
    return tree


def wait_for_the_whole_trace(machine: Any, collector: Any, trace_id: str = TRACE) -> list[Any]:
    wanted = LIFE | {"sync run"}
    machine.until(lambda: wanted <= {span.name for span in collector.find(trace_id=trace_id)})
    return list(collector.find(trace_id=trace_id))


def test_one_trace_leads_from_the_callers_request_to_the_callback(machine: Any, collector: Any) -> None:
    machine.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    sync_id = machine.post(traceparent=CALLER)

    (delivery,) = machine.receiver.wait_for(1, 60)
    spans = wait_for_the_whole_trace(machine, collector)
    assert build_tree(spans) == {
        "the caller": {"POST /api/automations/estimates/sync-external"},
        "POST /api/automations/estimates/sync-external": {"sync"},
        "sync": {"sync queued", "sync starting", "sync job", "callback attempt"},
        "sync job": {"sync run"},
        "sync run": {"connect database", "login", "fetch page", "fetch changes", "copy rows", "merge"},
    }
    by_name = {span.name: span for span in spans}
    assert {span.service for span in spans} == {f"estimatesync-{part}" for part in ("api", "operator", "sync")}
    assert (by_name["POST /api/automations/estimates/sync-external"].kind, by_name["login"].kind) == (SERVER, CLIENT)
    assert by_name["merge"].attributes["estimatesync.new"] == 230
    assert sorted(span.attributes["estimatesync.records"] for span in spans if span.name == "fetch page")[-3:] == [
        30,
        100,
        100,
    ]
    assert {span.attributes.get("estimatesync.sync.id", sync_id) for span in spans} == {sync_id}
    assert all(span.start <= span.end and span.error is None for span in spans)
    assert delivery.headers["traceparent"] == f"00-{TRACE}-{by_name['callback attempt'].span_id}-01"


def test_traces_contain_no_secrets(machine: Any, collector: Any) -> None:
    machine.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_HEADERS="x-token=made-up-token")

    machine.post(traceparent=CALLER)
    wait_for_the_whole_trace(machine, collector)

    sent = b"".join(delivery.body for delivery in collector.receiver.deliveries)
    for secret in (b"made-up", b"/hook", b"password", b"postgresql:", b"where["):
        assert secret not in sent
    assert {delivery.headers["x-token"] for delivery in collector.receiver.deliveries} == {"made-up-token"}
    assert "made-up-token" not in machine.log + machine.read_run_logs()


def test_every_line_in_json_names_its_trace(machine: Any, collector: Any) -> None:
    machine.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    sync_id = machine.post(traceparent=CALLER)
    machine.wait_delivered(sync_id)

    lines = [json.loads(line) for line in machine.read_run_logs().splitlines()]
    assert {line["trace_id"] for line in lines} == {TRACE}
    assert len({line["span_id"] for line in lines}) > 3
    assert f"CallbackDelivered: Attempt 1: HTTP 200 trace_id={TRACE}" in machine.log


def test_a_server_that_is_killed_and_restarted_continues_the_trace(machine: Any, collector: Any, sample: Any) -> None:
    killed = threading.Event()
    sample.on_request = lambda _: None if killed.wait(60) else Reset()
    machine.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    sync_id = machine.post(traceparent=CALLER)
    machine.until(lambda: "sync starting" in {span.name for span in collector.spans})

    machine.stop(signal.SIGKILL)
    killed.set()
    machine.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    machine.wait_delivered(sync_id)

    spans = wait_for_the_whole_trace(machine, collector)
    assert sorted(span.name for span in spans if span.name in LIFE) == sorted(LIFE), "each once"
    assert build_tree(spans)["sync job"] == {"sync run"}


def test_a_repeated_request_keeps_the_first_trace_and_points_to_it(machine: Any, collector: Any) -> None:
    other = CALLER.replace("0af7", "0bf7")
    machine.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    first = machine.post(traceparent=CALLER, **{"Idempotency-Key": "k"})
    second = machine.post(traceparent=other, **{"Idempotency-Key": "k"})
    wait_for_the_whole_trace(machine, collector)

    assert first == second
    (repeated,) = machine.until(lambda: collector.find(trace_id=TRACE.replace("0af7", "0bf7")))
    assert (repeated.links, repeated.attributes["estimatesync.sync.id"]) == ((TRACE,), first)


@pytest.mark.parametrize(
    ("headers", "settings"),
    [
        pytest.param({"traceparent": CALLER[:-2] + "00"}, {}, id="its caller does not record"),
        pytest.param({}, {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, id="the sampler leaves it out"),
        pytest.param({"traceparent": CALLER}, {"OTEL_SDK_DISABLED": "true"}, id="tracing is switched off"),
    ],
)
def test_what_is_not_to_be_traced_is_not(
    machine: Any, collector: Any, headers: dict[str, str], settings: dict[str, str]
) -> None:
    machine.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **settings)

    machine.wait_delivered(machine.post(**headers))
    machine.stop()

    # This test's poll of the sync is a request, too.
    assert {span.name for span in collector.spans} - {"GET /api/automations/estimates/syncs/{sync_id}"} == set()


@pytest.fixture
def closed_port() -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def black_hole() -> Iterator[str]:
    """Takes every connection, and never says a word."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen(128)
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize("absent", ["closed_port", "black_hole"])
def test_a_collector_that_is_away_costs_the_traces_alone(
    machine: Any, absent: str, request: pytest.FixtureRequest
) -> None:
    machine.start(OTEL_EXPORTER_OTLP_ENDPOINT=request.getfixturevalue(absent), OTEL_EXPORTER_OTLP_TIMEOUT="1")

    for key in ("1", "2"):
        sync = machine.wait_delivered(machine.post(**{"Idempotency-Key": key}))
        assert (sync["status"], sync["results"]["total_fetched"]) == ("succeeded", 230)
    machine.until(lambda: machine.log.count("traces cannot be delivered") == 2)
    machine.stop()

    warned = [line for line in machine.log.splitlines() if "traces cannot be delivered" in line]
    assert {line.split()[3] for line in warned} == {
        "estimatesync_api.middleware",
        "estimatesync_local.reconcile_loop",
    }
    assert len(warned) == 2, "one from each process, however many spans are lost"
    actions = [json.loads(line)["action"] for line in machine.read_run_logs().splitlines()]
    assert actions.count("tracing") <= 2, "one from each run at most"
    assert all(b != "tracing" for a, b in pairwise(actions) if a == "tracing")
    assert "Traceback" not in machine.log + machine.read_run_logs()


def test_a_mistake_in_the_settings_of_a_run_costs_the_traces_alone() -> None:
    program = [sys.executable, "-m", "estimatesync_job"]

    ended = subprocess.run(
        program,
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318", "TERMINATION_MESSAGE_PATH": "/dev/null"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.stdout.startswith("⚠️ [SYNC] No traces: OTEL_EXPORTER_OTLP_ENDPOINT must be an address")
    assert "SYNC_ID is not set" in ended.stdout, "other faults are reported as usual"


@pytest.mark.parametrize("part", PARTS)
def test_nothing_of_it_is_loaded_while_it_is_off(part: str) -> None:
    environment = {"NAMESPACE": "x", "SYNC_IMAGE": "x", "API_KEYS": "made-up-key-of-this-test"}
    code = f"import sys, {part}; print([name for name in sys.modules if name.split('.')[0] == 'opentelemetry'])"

    loaded = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )

    assert loaded.stdout == "[]\n"
