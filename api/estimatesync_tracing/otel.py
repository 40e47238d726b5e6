"""The tracer on OpenTelemetry's own library. `setup` imports it when tracing is on; nothing else does.

What the library reads from the environment itself, it is left to read. Spans wait in a bounded queue, which a thread of
the library empties. A collector that is away costs the spans only, and one warning.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from estimatesync_tracing import spans
from estimatesync_tracing.context import TraceContext
from estimatesync_tracing.settings import ENDPOINT, HEADERS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_ATTRIBUTES: Final[spans.Attributes] = {}
_SPAN_KINDS: Final = {
    spans.SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
    spans.SpanKind.SERVER: trace.SpanKind.SERVER,
    spans.SpanKind.CLIENT: trace.SpanKind.CLIENT,
}

_SEND_SECONDS: Final = 1.0
"""How long a span waits for others at most: what a killed process takes with it is not more than that."""


class QuietExporter(SpanExporter):
    """An exporter that never raises."""

    def __init__(self, exporter: SpanExporter, *, target: str, warn: Callable[[str], None]) -> None:
        """Send through `exporter`; `target` is what people may read of its address."""
        self._exporter = exporter
        self._target = target
        self._warn = warn
        self._has_warned = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever it is, it costs the spans only
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.FAILURE and not self._has_warned:
            self._has_warned = True
            self._warn(
                f"traces cannot be delivered to {self._target} now; they are dropped until it takes them. "
                f"Check {ENDPOINT.name}, {HEADERS.name} and the way there"
            )
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class OtelSpan:
    """A Span of OpenTelemetry."""

    def __init__(self, span: trace.Span) -> None:
        self._span: Final = span

    def note(self, attributes: spans.Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, reason))


class ChosenIds(RandomIdGenerator):
    """Random ids, but for spans whose ids were known before."""

    def __init__(self) -> None:
        self.chosen: Final[ContextVar[TraceContext | None]] = ContextVar("chosen", default=None)

    def generate_span_id(self) -> int:
        chosen = self.chosen.get()
        return chosen.span_id if chosen else super().generate_span_id()

    def generate_trace_id(self) -> int:
        chosen = self.chosen.get()
        return chosen.trace_id if chosen else super().generate_trace_id()


class OtelTracer:
    """A Tracer that sends through OpenTelemetry."""

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
        kind: spans.SpanKind = spans.SpanKind.INTERNAL,
        parent: TraceContext | None = None,
        attributes: spans.Attributes = _NO_ATTRIBUTES,
    ) -> Iterator[spans.Span]:
        """Start a span and make it current; the text of an error may hold a secret, so only its type is recorded."""
        within = _build_context(parent) if parent else None
        with self._tracer.start_as_current_span(
            name,
            within,
            kind=_SPAN_KINDS[kind],
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield OtelSpan(span)
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def record_finished(self, finished: spans.FinishedSpan) -> None:
        """Start a span with the ids it has, and end it."""
        token = self._ids.chosen.set(finished.context)
        try:
            span = self._tracer.start_span(
                finished.name,
                _build_context(finished.parent) if finished.parent else Context(),
                attributes=finished.attributes,
                start_time=_count_nanoseconds(finished.start),
            )
        finally:
            self._ids.chosen.reset(token)
        if finished.fault is not None:
            span.set_status(Status(StatusCode.ERROR, finished.fault))
        span.end(_count_nanoseconds(max(finished.end, finished.start)))

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
        trace.get_current_span().add_link(_build_span_context(context))

    def event(self, name: str, attributes: spans.Attributes) -> None:
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


def create_otel_tracer(*, part: str, target: str, warn: Callable[[str], None]) -> OtelTracer:
    """Create a tracer by the variables of the environment.

    Raises:
        Exception: A variable cannot be used; which, the library's own errors say.
    """
    _silence()
    ids = ChosenIds()
    provider = TracerProvider(resource=_build_resource(part), id_generator=ids, shutdown_on_exit=False)

    def create_processor() -> BatchSpanProcessor:
        exporter = OTLPSpanExporter(certificate_file=_find_authorities())
        delay = None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else _SEND_SECONDS * 1000
        return BatchSpanProcessor(QuietExporter(exporter, target=target, warn=warn), schedule_delay_millis=delay)

    return OtelTracer(provider, ids, create_processor=create_processor)


def _silence() -> None:
    """The library reports each failed try, with the address; one warning of our own says it all."""
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False


def _build_resource(part: str) -> Resource:
    """A name that a person gave wins."""
    given = Resource.create({SERVICE_NAMESPACE: "estimatesync"})
    is_named = not str(given.attributes[SERVICE_NAME]).startswith("unknown_service")
    return given if is_named else given.merge(Resource({SERVICE_NAME: f"estimatesync-{part}"}))


def _find_authorities() -> str | None:
    """Find the file that the other clients use: requests, which sends the spans, does not know its variable."""
    has_own = os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE")
    return None if has_own else os.environ.get("SSL_CERT_FILE") or None
