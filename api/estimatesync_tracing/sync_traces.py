"""Which trace a sync belongs to, and which spans of it are known before they are told. Pure.

The ids are functions of the object: whoever restarts, or looks later, comes to the same. A sync that was posted goes
on with the trace of its request, which stands in an annotation; any other begins a trace of its own.
"""

import hashlib
from collections.abc import Callable

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_TRACEPARENT

from estimatesync_tracing.trace_context import TraceContext, parse_traceparent
from estimatesync_tracing.vocabulary import SpanName

Sample = Callable[[int], bool]
"""Decides for a trace that begins here, by its id, whether it is recorded."""


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
    """Hash: some bits of a uid are the same in all of them, and samplers count on even ones. Zero is no id."""
    digest = hashlib.sha256(f"{purpose} of {sync_uid}".encode()).digest()
    return int.from_bytes(digest[:size]) or 1
