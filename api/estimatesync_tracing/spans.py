"""The spans of a sync: their names and attributes, the seam that records them, and the ids that are known in advance.

docs/observability.md explains each name, and a test compares. Where OpenTelemetry has a name for an attribute, that is
the name: https://opentelemetry.io/docs/specs/semconv/. OpenTelemetry is behind the seam (`otel`), or nothing (`setup`).

The ids of a sync's spans are functions of the object, so that an operator that restarts computes the same ones. A sync
that was posted continues the trace of its request, which is in an annotation; any other begins its own trace.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_TRACEPARENT

from estimatesync_tracing.context import TraceContext, parse_traceparent

AttributeValue = str | int | float | bool
Attributes = Mapping[str, AttributeValue]

Sample = Callable[[int], bool]
"""Decides for a trace that begins here, by its id, whether it is recorded."""


class SpanName(StrEnum):
    """What a span is about. A request to the API is named `{method} {route}` instead."""

    SYNC = "sync"
    QUEUED = "sync queued"
    STARTING = "sync starting"
    JOB = "sync job"
    CALLBACK = "callback attempt"
    RUN = "sync run"
    LOGIN = "login"
    FETCH_PAGE = "fetch page"
    FETCH_CHANGES = "fetch changes"
    FETCH_IDS = "fetch ids"
    CONNECT = "connect database"
    COPY = "copy rows"
    MERGE = "merge"


class Attribute(StrEnum):
    """What a span says of itself. None ever holds a secret, a URL's path or query, or a record."""

    SYNC_ID = "estimatesync.sync.id"
    SYNC_UID = "estimatesync.sync.uid"
    START_DATE = "estimatesync.date_range.start"
    END_DATE = "estimatesync.date_range.end"
    PHASE = "estimatesync.phase"
    REASON = "estimatesync.reason"
    FETCHED = "estimatesync.fetched"
    NEW = "estimatesync.new"
    UPDATED = "estimatesync.updated"
    UNCHANGED = "estimatesync.unchanged"
    SKIPPED = "estimatesync.skipped"
    RUNS = "estimatesync.runs"
    PAGE = "estimatesync.page"
    RECORDS = "estimatesync.records"
    BYTES = "estimatesync.bytes"
    ATTEMPT = "estimatesync.callback.attempt"
    METHOD = "http.request.method"
    ROUTE = "http.route"
    STATUS = "http.response.status_code"


class SpanKind(StrEnum):
    """https://opentelemetry.io/docs/specs/otel/trace/api/#spankind."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class FinishedSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A span that has ended, with the ids that it had all along.

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
    """A span that has not ended."""

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""

    def fail(self, reason: str) -> None:
        """Mark it as failed; `reason` is one word."""


class Tracer(Protocol):
    """Sends spans to a collector, some time later. No call waits for it, or raises because of it."""

    @property
    def is_on(self) -> bool:
        """False when nothing is recorded."""
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
        """Record the block as a span; an error that leaves it is named by its type alone.

        Without a parent, it is the span that is current in this task, if there is one.
        """
        ...

    def record_finished(self, finished: FinishedSpan) -> None:
        """Record a span that has ended."""

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
        """Return whether a trace that begins here is recorded; the same id always gives the same answer."""
        ...


def find_origin(sync: EstimateSync) -> TraceContext | None:
    """The request that the sync came from; None when it was not posted, or not traced."""
    return parse_traceparent(sync.metadata.annotations.get(ANNOTATION_TRACEPARENT))


def build_span_context(sync: EstimateSync, name: SpanName, *, sample: Sample) -> TraceContext:
    """Where a span of the sync's life is in its trace."""
    origin = find_origin(sync)
    trace_id = origin.trace_id if origin else _compute_id(sync.uid, "trace", size=16)
    return TraceContext(
        trace_id=trace_id,
        span_id=_compute_id(sync.uid, name, size=8),
        is_sampled=origin.is_sampled if origin else sample(trace_id),
    )


def _compute_id(sync_uid: str, purpose: str, *, size: int) -> int:
    """Hash: some bits of a uid are the same in all of them, and samplers count on even ones. Zero is not a valid id."""
    digest = hashlib.sha256(f"{purpose} of {sync_uid}".encode()).digest()
    return int.from_bytes(digest[:size]) or 1
