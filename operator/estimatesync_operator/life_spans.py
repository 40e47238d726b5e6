"""The spans of a sync's life, derived from two versions of its status: each is told when it is over, and once.

A change of the status is written once, by whichever process; its times are the status's own, and the ids are functions
of the sync. So it does not matter who began a state, and a restart between its two ends loses nothing.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import EstimateSyncStatus, Phase
from estimatesync_tracing.context import TraceContext
from estimatesync_tracing.spans import Attribute, PastSpan, Sample, SpanName, build_span_context, find_origin

_WAITING: Final = frozenset({None, Phase.QUEUED})
_BEFORE_THE_JOB: Final = frozenset({Reason.STARTING, Reason.JOB_REFUSED})


def build_life_spans(
    before: EstimateSync, after: EstimateSyncStatus, *, now: datetime, sample: Sample
) -> tuple[PastSpan, ...]:
    """Every state that has ended with this change; Kubernetes keeps whole seconds, and so do most of these times."""
    return tuple(_build_spans(before, after, now, sample))


def _build_spans(before: EstimateSync, after: EstimateSyncStatus, now: datetime, sample: Sample) -> Iterator[PastSpan]:
    is_over = after.phase is not None and after.phase.is_final and not before.is_finished
    created = before.metadata.creation_timestamp or after.start_time or now
    parent = build_span_context(before, SpanName.SYNC, sample=sample)

    def build(name: SpanName, start: datetime, end: datetime, *, part_of: TraceContext | None = parent) -> PastSpan:
        return PastSpan(
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
    if before.status.reason in _BEFORE_THE_JOB and (is_over or after.reason not in _BEFORE_THE_JOB):
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
