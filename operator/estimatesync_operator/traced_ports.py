"""The reconciler's ports with traces: each does what the port behind it does, and tells it.

Joined by the compositions of cluster and one machine, only while tracing is on; the reconciler knows nothing of it.
"""

from datetime import datetime
from typing import Final, NamedTuple

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import EstimateSyncStatus
from estimatesync_tracing.context import TRACEPARENT_HEADER, format_traceparent
from estimatesync_tracing.spans import Attribute, SpanKind, SpanName, Tracer, build_span_context

from estimatesync_operator.life_spans import build_life_spans
from estimatesync_operator.ports import CallbackAttempt, CallbackSender, ChangeMeter, Clock, SyncStore

_SUCCESS: Final = range(200, 300)


class TraceablePorts(NamedTuple):
    """Those of the reconciler's ports that have something to tell."""

    store: SyncStore
    callbacks: CallbackSender
    meter: ChangeMeter


class TracedStore:
    """A SyncStore that makes each visit part of the sync's trace, for the lines that it logs."""

    def __init__(self, store: SyncStore, tracer: Tracer) -> None:
        """Keep syncs in `store`."""
        self._store = store
        self._tracer = tracer

    async def fetch(self, name: str) -> EstimateSync | None:
        """See SyncStore; a visit begins with it, in a task of its own, which knows the trace of who woke it."""
        self._tracer.follow(None)
        sync = await self._store.fetch(name)
        if sync is not None:
            self._tracer.follow(build_span_context(sync, SpanName.SYNC, sample=self._tracer.samples))
        return sync

    async def fetch_unfinished(self) -> tuple[EstimateSync, ...]:
        """See SyncStore."""
        return await self._store.fetch_unfinished()

    async def write_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        """See SyncStore."""
        return await self._store.write_status(sync, status)

    async def delete(self, sync: EstimateSync) -> None:
        """See SyncStore."""
        await self._store.delete(sync)


class TracedMeter:
    """A ChangeMeter that tells what has ended with a change, and counts with another one."""

    def __init__(self, meter: ChangeMeter, tracer: Tracer, clock: Clock) -> None:
        """Count with `meter`."""
        self._meter = meter
        self._tracer = tracer
        self._clock = clock

    def record_change(self, before: EstimateSync, after: EstimateSyncStatus) -> None:
        """See ChangeMeter."""
        self._meter.record_change(before, after)
        for span in build_life_spans(before, after, now=self._clock.now(), sample=self._tracer.samples):
            self._tracer.tell(span)


class TracedCallbacks:
    """A CallbackSender whose every attempt is a span of the sync."""

    def __init__(self, sender: CallbackSender, tracer: Tracer) -> None:
        """Send with `sender`."""
        self._sender = sender
        self._tracer = tracer

    async def has_target(self, sync: EstimateSync) -> bool:
        """See CallbackSender."""
        return await self._sender.has_target(sync)

    async def send(self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime) -> CallbackAttempt:
        """See CallbackSender."""
        number = 1 + (sync.status.callback.attempts if sync.status.callback else 0)
        with self._tracer.span(
            SpanName.CALLBACK,
            kind=SpanKind.CLIENT,
            parent=build_span_context(sync, SpanName.SYNC, sample=self._tracer.samples),
            attributes={Attribute.SYNC_ID: sync.name, Attribute.ATTEMPT: number},
        ) as span:
            attempt = await self._sender.send(sync, body=body, callback_id=callback_id, now=now)
            if attempt.status_code is not None:
                span.note({Attribute.STATUS: attempt.status_code})
            if attempt.status_code not in _SUCCESS:
                span.fail("refused" if attempt.is_refused else str(attempt.status_code or "unreachable"))
        return attempt


class JobTraces:
    """Tells a job where it belongs: its spans are part of the span that is told when the job has ended."""

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
    """Have the ports told of; as they are when tracing is off."""
    if not tracer.is_on:
        return ports
    return TraceablePorts(
        store=TracedStore(ports.store, tracer),
        callbacks=TracedCallbacks(ports.callbacks, tracer),
        meter=TracedMeter(ports.meter, tracer, clock),
    )
