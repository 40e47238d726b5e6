from uuid import uuid4

from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.names import ANNOTATION_TRACEPARENT
from estimatesync_tracing.context import parse_traceparent
from estimatesync_tracing.spans import SpanName, build_span_context, find_origin

REQUEST = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
UID = "1c74a223-ba49-41c2-887d-a88c44db34ae"


def build(*, uid: str = UID, traceparent: str | None = None) -> EstimateSync:
    annotations = {} if traceparent is None else {ANNOTATION_TRACEPARENT: traceparent}
    return EstimateSync(metadata=Metadata(name="a", uid=uid, annotations=annotations))


def is_always(_trace_id: int) -> bool:
    return True


def test_a_posted_sync_goes_on_with_the_trace_of_its_request() -> None:
    sync = build(traceparent=REQUEST)

    span = build_span_context(sync, SpanName.SYNC, sample=is_always)

    assert find_origin(sync) == parse_traceparent(REQUEST)
    assert f"{span.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert not span.is_sampled, "the caller has decided that its trace is not sampled"


def test_any_other_sync_starts_a_trace_whose_id_follows_from_the_sync() -> None:
    one, other = (build_span_context(build(), SpanName.JOB, sample=is_always) for _ in range(2))

    assert one == other
    assert one.is_sampled
    assert find_origin(build()) is None
    assert build_span_context(build(uid="another"), SpanName.JOB, sample=is_always).trace_id != one.trace_id


def test_the_spans_of_a_sync_have_different_ids_in_one_trace() -> None:
    contexts = [build_span_context(build(), name, sample=is_always) for name in SpanName]

    assert len({context.span_id for context in contexts}) == len(SpanName)
    assert len({context.trace_id for context in contexts}) == 1


def test_an_invalid_traceparent_annotation_is_ignored() -> None:
    assert build_span_context(build(traceparent="x"), SpanName.SYNC, sample=is_always) == build_span_context(
        build(), SpanName.SYNC, sample=is_always
    )


def test_a_share_of_the_traces_can_be_taken_by_their_ids() -> None:
    """Samplers compare the low 64 bits: in a bare uid, two of them are always the same."""
    half = 2**63

    low = [
        build_span_context(build(uid=str(uuid4())), SpanName.SYNC, sample=is_always).trace_id % 2**64 < half
        for _ in range(400)
    ]

    assert 100 < sum(low) < 300
