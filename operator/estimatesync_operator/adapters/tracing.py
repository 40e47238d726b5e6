"""The reconciler's ports with traces: each does what the port behind it does, and records a span about it.

The compositions of cluster and one machine use them while tracing is on; the reconciler knows nothing of it.

The spans of a sync's life are derived from two versions of its status, and each is recorded once, when it is over.
A change of the status is written once, by whichever process; its times are the status's own, and the ids are functions
of the sync. So it does not matter which process began a state, and a restart between its two ends loses nothing.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import EstimateSyncStatus, Phase
from estimatesync_tracing.context import TRACEPARENT_HEADER, TraceContext, format_traceparent
from estimatesync_tracing.spans import (
    Attribute,
    FinishedSpan,
    Sample,
    SpanKind,
    SpanName,
    Tracer,
    build_span_context,
    find_origin,
)

from estimatesync_operator.core.ports import CallbackAttempt, CallbackSender, ChangeMeter, Clock, SyncStore
from estimatesync_operator.core.silence import Silence

_WAITING: Final = frozenset({None, Phase.QUEUED})
_SUCCESS_CODES: Final = range(200, 300)


def build_sync_spans(
    before: EstimateSync, after: EstimateSyncStatus, *, now: datetime, sample: Sample
) -> tuple[FinishedSpan, ...]:
    """Every state that has ended with this change, in whole seconds, as Kubernetes keeps most of these times."""
    return tuple(_build_spans(before, after, now, sample))


def _build_spans(
    before: EstimateSync, after: EstimateSyncStatus, now: datetime, sample: Sample
) -> Iterator[FinishedSpan]:
    is_over = after.phase is not None and after.phase.is_final and not before.is_finished
    created = before.metadata.creation_timestamp or after.start_time or now
    parent = build_span_context(before, SpanName.SYNC, sample=sample)

    def build(name: SpanName, start: datetime, end: datetime, *, part_of: TraceContext | None = parent) -> FinishedSpan:
        return FinishedSpan(
            name=name,
            context=build_span_context(before, name, sample=sample),
            parent=part_of,
            start=start,
            end=end,
            attributes=_build_attributes(before, after),
            fault=after.reason if is_over and after.phase is Phase.FAILED else None,
        )

    if before.status.phase in _WAITING and after.phase not in _WAITING:
        yield build(SpanName.QUEUED, created, after.start_time or after.completion_time or now)
    if before.status.is_job_pending and (is_over or not after.is_job_pending):
        yield build(SpanName.STARTING, after.start_time or now, now)
    if is_over and after.start_time:
        yield build(SpanName.JOB, after.start_time, after.completion_time or now)
    if is_over:
        yield build(SpanName.SYNC, created, after.completion_time or now, part_of=find_origin(before))


def _build_attributes(sync: EstimateSync, status: EstimateSyncStatus) -> dict[str, str | int]:
    found: dict[str, str | int | None] = {
        Attribute.SYNC_ID: sync.name,
        Attribute.SYNC_UID: sync.uid,
        Attribute.PHASE: status.phase,
        Attribute.REASON: status.reason,
        Attribute.RUNS: status.runs,
    }
    if status.date_range:
        found[Attribute.START_DATE] = status.date_range.start.isoformat()
        found[Attribute.END_DATE] = status.date_range.end.isoformat()
    if results := status.results:
        found[Attribute.FETCHED] = results.total_fetched
        found[Attribute.NEW] = results.new_estimates
        found[Attribute.UPDATED] = results.updated_estimates
        found[Attribute.UNCHANGED] = results.unchanged_estimates
        found[Attribute.SKIPPED] = results.skipped_estimates
    return {name: value for name, value in found.items() if value is not None}


class TraceablePorts(NamedTuple):
    """Those of the reconciler's ports that record spans."""

    store: SyncStore
    callbacks: CallbackSender
    meter: ChangeMeter


class TracedStore:
    """A SyncStore that makes each pass part of the sync's trace, for the lines that it logs."""

    def __init__(self, store: SyncStore, tracer: Tracer) -> None:
        self._store = store
        self._tracer = tracer

    async def fetch(self, name: str) -> EstimateSync | None:
        """A pass begins with it, in a task of its own, which inherits the trace of whatever triggered it."""
        self._tracer.follow(None)
        sync = await self._store.fetch(name)
        if sync is not None:
            self._tracer.follow(build_span_context(sync, SpanName.SYNC, sample=self._tracer.samples))
        return sync

    async def fetch_unfinished(self) -> tuple[EstimateSync, ...]:
        return await self._store.fetch_unfinished()

    async def fetch_silence(self, *, now: datetime) -> Silence | None:
        return await self._store.fetch_silence(now=now)

    async def write_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        return await self._store.write_status(sync, status)

    async def delete(self, sync: EstimateSync) -> None:
        await self._store.delete(sync)


class TracedMeter:
    """A ChangeMeter that records what has ended with a change, and counts with another one."""

    def __init__(self, meter: ChangeMeter, tracer: Tracer, clock: Clock) -> None:
        self._meter = meter
        self._tracer = tracer
        self._clock = clock

    def record_change(self, before: EstimateSync, after: EstimateSyncStatus) -> None:
        self._meter.record_change(before, after)
        for span in build_sync_spans(before, after, now=self._clock.now(), sample=self._tracer.samples):
            self._tracer.record_finished(span)


class TracedCallbacks:
    """A CallbackSender whose every attempt is a span of the sync."""

    def __init__(self, sender: CallbackSender, tracer: Tracer) -> None:
        self._sender = sender
        self._tracer = tracer

    async def has_target(self, sync: EstimateSync) -> bool:
        return await self._sender.has_target(sync)

    async def send(
        self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime, target: str | None = None
    ) -> CallbackAttempt:
        number = 1 + sum(each.attempts for each in sync.status.deliveries if each.target == target)
        with self._tracer.span(
            SpanName.CALLBACK,
            kind=SpanKind.CLIENT,
            parent=build_span_context(sync, SpanName.SYNC, sample=self._tracer.samples),
            attributes={Attribute.SYNC_ID: sync.name, Attribute.ATTEMPT: number},
        ) as span:
            attempt = await self._sender.send(sync, body=body, callback_id=callback_id, now=now, target=target)
            if attempt.status_code is not None:
                span.note({Attribute.STATUS: attempt.status_code})
            if attempt.status_code not in _SUCCESS_CODES:
                span.fail("refused" if attempt.is_refused else str(attempt.status_code or "unreachable"))
        return attempt

    async def has_alert_target(self) -> bool:
        return await self._sender.has_alert_target()

    async def send_alert(self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime) -> CallbackAttempt:
        """Of no trace: it is about the time after the sync."""
        return await self._sender.send_alert(sync, body=body, callback_id=callback_id, now=now)


class JobTraces:
    """Links a job to its sync: its spans are part of the span that is recorded when the job has ended."""

    def __init__(self, tracer: Tracer) -> None:
        """Decide by the tracer's sampler where a trace begins with the sync."""
        self._tracer = tracer

    def format(self, sync: EstimateSync) -> str | None:
        """Write the job's `traceparent`; None when tracing is off."""
        if not self._tracer.is_on:
            return None
        return format_traceparent(build_span_context(sync, SpanName.JOB, sample=self._tracer.samples))


def build_trace_headers(tracer: Tracer) -> dict[str, str]:
    """Build the header that makes the receiver of a request part of the current span; none without one."""
    context = tracer.find_current()
    return {TRACEPARENT_HEADER: format_traceparent(context)} if context else {}


def trace_ports(ports: TraceablePorts, tracer: Tracer, clock: Clock) -> TraceablePorts:
    """Have the ports record spans; as they are when tracing is off."""
    if not tracer.is_on:
        return ports
    return TraceablePorts(
        store=TracedStore(ports.store, tracer),
        callbacks=TracedCallbacks(ports.callbacks, tracer),
        meter=TracedMeter(ports.meter, tracer, clock),
    )
