"""Switches tracing on or off: the one place that imports OpenTelemetry, and only when a collector is named.

Called by each part's `main`. While tracing is off, its tracer does nothing, at no cost worth measuring.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from estimatesync_tracing.context import TraceContext
from estimatesync_tracing.settings import ENDPOINT, TracingSettings
from estimatesync_tracing.spans import Attributes, FinishedSpan, Span, SpanKind, Tracer

_NOTHING: Final[Attributes] = {}


class NoSpan:
    """A Span that records nothing."""

    def note(self, attributes: Attributes) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass


class NoTracer:
    """A Tracer that records nothing."""

    is_on: Final = False

    def open(self) -> None:
        pass

    def close(self, *, seconds: float) -> None:
        pass

    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002 - the seam's parameters, here and below
        *,
        kind: SpanKind = SpanKind.INTERNAL,  # noqa: ARG002
        parent: TraceContext | None = None,  # noqa: ARG002
        attributes: Attributes = _NOTHING,  # noqa: ARG002
    ) -> Iterator[Span]:
        yield NoSpan()

    def record_finished(self, finished: FinishedSpan) -> None:
        pass

    def follow(self, context: TraceContext | None) -> None:
        pass

    def find_current(self) -> TraceContext | None:
        return None

    def link(self, context: TraceContext) -> None:
        pass

    def event(self, name: str, attributes: Attributes) -> None:
        pass

    def samples(self, trace_id: int) -> bool:  # noqa: ARG002
        return False


NO_TRACER: Final = NoTracer()


def create_tracer(settings: TracingSettings, *, part: str, warn: Callable[[str], None]) -> Tracer:
    """Create the tracer of a part (`api`, `operator`, `sync`); `open` it where the spans come from.

    A fault of tracing is reported through `warn`, once, maybe from another thread, and costs the traces only.
    """
    if not settings.is_on:
        return NO_TRACER
    # OpenTelemetry's library reads the process's environment itself, and settings may come from a file.
    os.environ.update(settings.variables)
    try:
        from estimatesync_tracing.otel import create_otel_tracer  # noqa: PLC0415 - it costs 0.1 s, when on

        return create_otel_tracer(part=part, target=settings.target, warn=warn)
    except ImportError:
        warn(f"{ENDPOINT.name} is set, but OpenTelemetry is not installed: no traces. Install estimatesync[tracing]")
    except Exception as error:  # noqa: BLE001 - no fault of tracing may keep a part from its work
        warn(f"tracing cannot be set up ({type(error).__name__}): no traces. Check the variables OTEL_…")
    return NO_TRACER
