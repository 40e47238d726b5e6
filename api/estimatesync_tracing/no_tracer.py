"""Tracing that is off: a Tracer that does nothing, at no cost worth measuring."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from estimatesync_tracing.ports import Attributes, PastSpan, Span, SpanKind
from estimatesync_tracing.trace_context import TraceContext

_NOTHING: Final[Attributes] = {}


class NoSpan:
    """See Span."""

    def note(self, attributes: Attributes) -> None:
        """Do nothing."""

    def fail(self, reason: str) -> None:
        """Do nothing."""


class NoTracer:
    """See Tracer."""

    is_on: Final = False

    def open(self) -> None:
        """Do nothing."""

    def close(self, *, seconds: float) -> None:
        """Do nothing."""

    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002 - the seam's parameters, here and below
        *,
        kind: SpanKind = SpanKind.INTERNAL,  # noqa: ARG002
        parent: TraceContext | None = None,  # noqa: ARG002
        attributes: Attributes = _NOTHING,  # noqa: ARG002
    ) -> Iterator[Span]:
        """Do nothing around the block."""
        yield NoSpan()

    def tell(self, past: PastSpan) -> None:
        """Do nothing."""

    def follow(self, context: TraceContext | None) -> None:
        """Do nothing."""

    def find_current(self) -> TraceContext | None:
        """There is none."""
        return None

    def link(self, context: TraceContext) -> None:
        """Do nothing."""

    def event(self, name: str, attributes: Attributes) -> None:
        """Do nothing."""

    def samples(self, trace_id: int) -> bool:  # noqa: ARG002
        """Record nothing."""
        return False


NO_TRACER: Final = NoTracer()
