from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_TRACEPARENT
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import CallbackState, CallbackStatus, EstimateSyncStatus, Phase, Results
from estimatesync_operator.adapters.tracing import build_sync_spans
from estimatesync_tracing.context import parse_traceparent
from estimatesync_tracing.spans import FinishedSpan

MakeSync = Callable[..., EstimateSync]

NOW = datetime(2025, 10, 16, 14, 9, 30, 500_000, tzinfo=UTC)
CREATED = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
STARTED = CREATED + timedelta(seconds=20)
ENDED = CREATED + timedelta(seconds=90)
REQUEST = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PLACED = {"phase": Phase.RUNNING, "reason": Reason.STARTING, "start_time": STARTED}
RUNNING = {**PLACED, "reason": Reason.RUNNING}
ENDING = {**RUNNING, "completion_time": ENDED}
SUCCEEDED = {**ENDING, "phase": Phase.SUCCEEDED, "reason": Reason.SUCCEEDED}
FAILED = {**ENDING, "phase": Phase.FAILED, "reason": Reason.LOGIN_FAILED}
REFUSED = {**FAILED, "reason": Reason.JOB_REFUSED}
CANCELLED = {"phase": Phase.CANCELLED, "reason": Reason.CANCELLED, "completion_time": ENDED}
PENDING = {"callback": CallbackStatus(state=CallbackState.PENDING)}


def build_spans(sync: EstimateSync, after: dict[str, Any]) -> tuple[FinishedSpan, ...]:
    return build_sync_spans(sync, EstimateSyncStatus(**after), now=NOW, sample=lambda _: True)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({}, {"phase": Phase.QUEUED}, [], id="it waits"),
        pytest.param({"phase": Phase.QUEUED}, PLACED, [("sync queued", CREATED, STARTED)], id="it gets its place"),
        pytest.param(PLACED, RUNNING, [("sync starting", STARTED, NOW)], id="its job is there"),
        pytest.param(
            {**PLACED, "reason": Reason.JOB_REFUSED}, RUNNING, [("sync starting", STARTED, NOW)], id="at last"
        ),
        pytest.param(PLACED, {**PLACED, "reason": Reason.JOB_REFUSED}, [], id="its job is not taken yet"),
        pytest.param(RUNNING, RUNNING, [], id="it is further"),
        pytest.param(
            RUNNING, SUCCEEDED, [("sync job", STARTED, ENDED), ("sync", CREATED, ENDED)], id="it ends in success"
        ),
        pytest.param(
            {**PLACED, "reason": Reason.JOB_REFUSED},
            REFUSED,
            [("sync starting", STARTED, NOW), ("sync job", STARTED, ENDED), ("sync", CREATED, ENDED)],
            id="it never gets a job",
        ),
        pytest.param(
            {"phase": Phase.QUEUED},
            CANCELLED,
            [("sync queued", CREATED, ENDED), ("sync", CREATED, ENDED)],
            id="it ends while queued",
        ),
        pytest.param(SUCCEEDED, {**SUCCEEDED, **PENDING}, [], id="what comes after the end"),
    ],
)
def test_each_state_becomes_a_span_when_it_is_over(
    make_sync: MakeSync, before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, datetime, datetime]]
) -> None:
    sync = make_sync("a", **before)
    sync = msgspec.structs.replace(sync, metadata=msgspec.structs.replace(sync.metadata, creation_timestamp=CREATED))

    spans = build_spans(sync, after)

    assert [(span.name, span.start, span.end) for span in spans] == expected


def test_the_spans_hang_together_and_below_the_request(make_sync: MakeSync) -> None:
    sync = make_sync("a", **RUNNING)
    sync = msgspec.structs.replace(
        sync, metadata=msgspec.structs.replace(sync.metadata, annotations={ANNOTATION_TRACEPARENT: REQUEST})
    )

    job, whole = build_spans(sync, SUCCEEDED)

    assert whole.parent == parse_traceparent(REQUEST)
    assert job.parent == whole.context
    assert {span.context.trace_id for span in (job, whole)} == {0x0AF7651916CD43DD8448EB211C80319C}


def test_a_sync_that_was_not_posted_is_the_root_of_its_trace(make_sync: MakeSync) -> None:
    *_, whole = build_spans(make_sync("a", **RUNNING), SUCCEEDED)

    assert whole.parent is None
    assert whole.context.is_sampled


@pytest.mark.parametrize(
    ("before", "after", "faults"),
    [
        pytest.param(RUNNING, SUCCEEDED, {None}, id="success"),
        pytest.param(RUNNING, FAILED, {"LoginFailed"}, id="failure"),
        pytest.param({**PLACED, "reason": Reason.JOB_REFUSED}, REFUSED, {"JobRefused"}, id="no job"),
        pytest.param(RUNNING, {**ENDING, **CANCELLED}, {None}, id="as it was asked for"),
    ],
)
def test_a_failure_is_marked_with_its_reason(
    make_sync: MakeSync, before: dict[str, Any], after: dict[str, Any], faults: set[str | None]
) -> None:
    assert {span.fault for span in build_spans(make_sync("a", **before), after)} == faults


def test_the_span_of_the_whole_sync_carries_the_counts_and_the_days(make_sync: MakeSync) -> None:
    days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    results = Results(total_fetched=5, new_estimates=1, updated_estimates=4, unchanged_estimates=2, total_processed=5)

    *_, whole = build_spans(make_sync("a", **RUNNING), {**SUCCEEDED, "results": results, "date_range": days, "runs": 2})

    assert dict(whole.attributes) == {
        "estimatesync.sync.id": "a",
        "estimatesync.sync.uid": "uid-a",
        "estimatesync.phase": "Succeeded",
        "estimatesync.reason": "Succeeded",
        "estimatesync.runs": 2,
        "estimatesync.date_range.start": "2025-09-01",
        "estimatesync.date_range.end": "2025-10-16",
        "estimatesync.fetched": 5,
        "estimatesync.new": 1,
        "estimatesync.updated": 4,
        "estimatesync.unchanged": 2,
        "estimatesync.skipped": 0,
    }
