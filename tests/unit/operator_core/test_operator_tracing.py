import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, CallbackStatus, EstimateSyncStatus, Phase
from estimatesync_operator.adapters.tracing import JobTraces, TraceablePorts, TracedCallbacks, TracedStore, trace_ports
from estimatesync_operator.core.ports import CallbackAttempt, NoMeter
from estimatesync_tracing.context import TraceContext, parse_traceparent
from estimatesync_tracing.setup import NO_TRACER, NoTracer
from estimatesync_tracing.spans import Attributes, FinishedSpan, Span

MakeSync = Callable[..., EstimateSync]


class Recorder(NoTracer):
    """Keeps the finished spans that it gets, and each span of its own."""

    is_on = True  # type: ignore[misc] # it is one that is on

    def __init__(self) -> None:
        self.finished: list[FinishedSpan] = []
        self.spans: list[dict[str, Any]] = []
        self.followed: list[TraceContext | None] = []

    @contextmanager
    def span(self, name: str, **fields: Any) -> Iterator[Span]:  # type: ignore[override] # all there is
        self.spans.append({"name": name, **fields, "noted": {}, "fault": None})
        yield self

    def note(self, attributes: Attributes) -> None:
        self.spans[-1]["noted"] |= attributes

    def fail(self, reason: str) -> None:
        self.spans[-1]["fault"] = reason

    def record_finished(self, finished: FinishedSpan) -> None:
        self.finished.append(finished)

    def follow(self, context: TraceContext | None) -> None:
        self.followed.append(context)

    def samples(self, trace_id: int) -> bool:
        return trace_id > 0


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def send(world: Any, recorder: Recorder, sync: EstimateSync) -> None:
    sender = TracedCallbacks(world, recorder)
    asyncio.run(sender.send(sync, body=b"{}", callback_id="msg", now=world.time))


@pytest.mark.parametrize(
    ("attempt", "noted", "fault"),
    [
        pytest.param(CallbackAttempt(status_code=204), {"http.response.status_code": 204}, None, id="taken"),
        pytest.param(CallbackAttempt(status_code=503), {"http.response.status_code": 503}, "503", id="busy"),
        pytest.param(CallbackAttempt(error="no route"), {}, "unreachable", id="away"),
        pytest.param(CallbackAttempt(error="private", is_refused=True), {}, "refused", id="not allowed"),
    ],
)
def test_an_attempt_becomes_a_span_with_its_outcome(
    world: Any, recorder: Recorder, make_sync: MakeSync, attempt: CallbackAttempt, noted: Attributes, fault: str | None
) -> None:
    world.answers = [attempt]
    retrying = CallbackStatus(state=CallbackState.RETRYING, attempts=2)

    send(world, recorder, make_sync("a", callback=retrying))

    (span,) = recorder.spans
    assert (span["name"], span["noted"], span["fault"]) == ("callback attempt", noted, fault)
    assert span["attributes"] == {"estimatesync.sync.id": "a", "estimatesync.callback.attempt": 3}


def test_a_reconcile_leaves_the_trace_of_its_trigger_before_it_fetches(
    world: Any, recorder: Recorder, make_sync: MakeSync
) -> None:
    world.syncs["a"] = make_sync("a")
    store = TracedStore(world, recorder)

    asyncio.run(store.fetch("gone"))
    asyncio.run(store.fetch("a"))

    nothing, first, second = recorder.followed
    assert (nothing, first) == (None, None)
    assert second is not None


def test_a_job_gets_the_span_that_is_recorded_at_its_end(recorder: Recorder, make_sync: MakeSync) -> None:
    running = make_sync("a", phase=Phase.RUNNING, start_time=make_sync("a").metadata.creation_timestamp)

    handed_on = parse_traceparent(JobTraces(recorder).format(running))
    meter = trace_ports(build_ports(None), recorder, FixedClock(running)).meter
    meter.record_change(running, EstimateSyncStatus(phase=Phase.SUCCEEDED, start_time=running.status.start_time))

    assert handed_on in {span.context for span in recorder.finished if span.name == "sync job"}


def test_nothing_stands_between_while_it_is_off(world: Any, make_sync: MakeSync) -> None:
    ports = build_ports(world)

    assert trace_ports(ports, NO_TRACER, world) is ports
    assert JobTraces(NO_TRACER).format(make_sync("a")) is None


class FixedClock:
    def __init__(self, sync: EstimateSync) -> None:
        self._created = sync.metadata.creation_timestamp

    def now(self) -> Any:
        return self._created


def build_ports(world: Any) -> TraceablePorts:
    return TraceablePorts(store=world, callbacks=world, meter=NoMeter())
