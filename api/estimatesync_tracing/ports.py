"""The seam that spans are told through: OpenTelemetry is one side of it, nothing at all the other."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from estimatesync_tracing.trace_context import TraceContext

AttributeValue = str | int | float | bool
Attributes = Mapping[str, AttributeValue]


class SpanKind(StrEnum):
    """https://opentelemetry.io/docs/specs/otel/trace/api/#spankind."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class PastSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is over, with the ids that it was known by all along.

    Attributes:
        context: of the span itself.
        parent: None begins the trace.
        start: aware, as `end`.
        fault: the reason in one word, if it was a failure.
    """

    name: str
    context: TraceContext
    parent: TraceContext | None
    start: datetime
    end: datetime
    attributes: Attributes
    fault: str | None = None


class Span(Protocol):
    """Something under way."""

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""

    def fail(self, reason: str) -> None:
        """Mark it as failed; `reason` is one word."""


class Tracer(Protocol):
    """Tells spans to a collector, some time later. No call waits for it, or raises because of it."""

    @property
    def is_on(self) -> bool:
        """False when nothing is told."""
        ...

    def open(self) -> None:
        """Begin to send; call it in the process that goes on, after any fork."""

    def close(self, *, seconds: float) -> None:
        """Send what is left, for so long at most. Blocks."""

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: TraceContext | None = None,
        attributes: Attributes = ...,
    ) -> AbstractContextManager[Span]:
        """Tell what happens within the block; an error that leaves it is named by its type alone.

        Without a parent, it is the span that is current in this task, if there is one.
        """
        ...

    def tell(self, past: PastSpan) -> None:
        """Tell what is over."""

    def follow(self, context: TraceContext | None) -> None:
        """Be part of this span, or of none, for the rest of the task: its log lines and its spans."""

    def find_current(self) -> TraceContext | None:
        """The span that this task is part of."""
        ...

    def link(self, context: TraceContext) -> None:
        """Point from the current span to another trace."""

    def event(self, name: str, attributes: Attributes) -> None:
        """Note that something happened within the current span."""

    def samples(self, trace_id: int) -> bool:
        """Tell whether a trace that begins here is recorded; the same id always gives the same answer."""
        ...
