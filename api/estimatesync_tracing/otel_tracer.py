"""A Tracer on OpenTelemetry's own library: our spans in its words. `otel_setup` makes it.

Spans wait in a bounded queue, which a thread of the library empties.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from estimatesync_tracing import ports
from estimatesync_tracing.trace_context import TraceContext

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING: Final[ports.Attributes] = {}
_KINDS: Final = {
    ports.SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
    ports.SpanKind.SERVER: trace.SpanKind.SERVER,
    ports.SpanKind.CLIENT: trace.SpanKind.CLIENT,
}


class OtelSpan:
    """See Span."""

    def __init__(self, span: trace.Span) -> None:
        self._span: Final = span

    def note(self, attributes: ports.Attributes) -> None:
        """Set attributes."""
        self._span.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        """Set the status."""
        self._span.set_status(Status(StatusCode.ERROR, reason))


class ChosenIds(RandomIdGenerator):
    """Random ids, but for spans whose ids were known before."""

    def __init__(self) -> None:
        """Choose none."""
        self.chosen: Final[ContextVar[TraceContext | None]] = ContextVar("chosen", default=None)

    def generate_span_id(self) -> int:
        """See IdGenerator."""
        chosen = self.chosen.get()
        return chosen.span_id if chosen else super().generate_span_id()

    def generate_trace_id(self) -> int:
        """See IdGenerator."""
        chosen = self.chosen.get()
        return chosen.trace_id if chosen else super().generate_trace_id()


class OtelTracer:
    """See Tracer."""

    is_on: Final = True

    def __init__(
        self, provider: TracerProvider, ids: ChosenIds, *, create_processor: Callable[[], BatchSpanProcessor]
    ) -> None:
        self._provider: Final = provider
        self._ids: Final = ids
        self._create_processor: Final = create_processor
        self._tracer: Final = provider.get_tracer("estimatesync")

    def open(self) -> None:
        """Start the thread that sends."""
        self._provider.add_span_processor(self._create_processor())

    def close(self, *, seconds: float) -> None:
        """Have the queue emptied in another thread, which ends with the process at the latest."""
        closing = Thread(target=self._provider.shutdown, name="end of tracing", daemon=True)
        closing.start()
        closing.join(seconds)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: ports.SpanKind = ports.SpanKind.INTERNAL,
        parent: TraceContext | None = None,
        attributes: ports.Attributes = _NOTHING,
    ) -> Iterator[ports.Span]:
        """Start a span and make it current; the text of an error may hold a secret, so only its type is told."""
        within = _build_context(parent) if parent else None
        with self._tracer.start_as_current_span(
            name,
            within,
            kind=_KINDS[kind],
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield OtelSpan(span)
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def tell(self, past: ports.PastSpan) -> None:
        """Start a span with the ids it has, and end it."""
        token = self._ids.chosen.set(past.context)
        try:
            span = self._tracer.start_span(
                past.name,
                _build_context(past.parent) if past.parent else Context(),
                attributes=past.attributes,
                start_time=_count_nanoseconds(past.start),
            )
        finally:
            self._ids.chosen.reset(token)
        if past.fault is not None:
            span.set_status(Status(StatusCode.ERROR, past.fault))
        span.end(_count_nanoseconds(max(past.end, past.start)))

    def follow(self, context: TraceContext | None) -> None:
        """Attach for good: a task's context ends with it."""
        attach(_build_context(context) if context else Context())

    def find_current(self) -> TraceContext | None:
        """Read the current span, which may be one of another process."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return TraceContext(
            trace_id=found.trace_id, span_id=found.span_id, is_sampled=bool(found.trace_flags & TraceFlags.SAMPLED)
        )

    def link(self, context: TraceContext) -> None:
        """Add a link."""
        trace.get_current_span().add_link(_build_span_context(context))

    def event(self, name: str, attributes: ports.Attributes) -> None:
        """Add an event."""
        trace.get_current_span().add_event(name, attributes)

    def samples(self, trace_id: int) -> bool:
        """Ask the sampler, which goes by the id or by nothing."""
        return self._provider.sampler.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE


def _build_context(context: TraceContext) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(_build_span_context(context)), Context())


def _build_span_context(context: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.is_sampled else TraceFlags.DEFAULT)
    return SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=flags)


def _count_nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
