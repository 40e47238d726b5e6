from datetime import UTC, datetime

import msgspec
import pytest
from estimatesync_contract.estimate_sync import (
    EstimateSync,
    MalformedSyncError,
    Metadata,
    parse_estimate_sync,
    to_object,
    to_status_object,
)
from estimatesync_contract.spec import DEFAULT_OPTIONS, CallbackSpec, EstimateSyncSpec, Options, SecretKeyRef
from estimatesync_contract.status import EstimateSyncStatus, Phase, build_progress, truncate_message

RAW = {
    "apiVersion": "botzilla.io/v1",
    "kind": "EstimateSync",
    "metadata": {
        "name": "est-abc",
        "namespace": "default",
        "uid": "u-1",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2025-10-16T14:09:00Z",
        "managedFields": [{"manager": "kubectl"}],
    },
    "spec": {"pageSize": 50, "callback": {"urlSecretRef": {"name": "hooks", "key": "make"}}},
    "status": {"phase": "Running", "somethingNewer": 1},
}


def test_an_object_from_the_api_server_is_read_and_unknown_fields_are_passed_over() -> None:
    sync = parse_estimate_sync(RAW)

    assert (sync.name, sync.uid, sync.metadata.generation) == ("est-abc", "u-1", 2)
    assert sync.metadata.creation_timestamp == datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
    assert (sync.spec.page_size, sync.spec.concurrency) == (50, None)
    assert sync.spec.callback == CallbackSpec(url_secret_ref=SecretKeyRef(name="hooks", key="make"))
    assert sync.status.phase is Phase.RUNNING


def test_a_sync_runs_as_is_on_record_else_as_its_spec_says() -> None:
    recorded = Options(concurrency=1, timeout_seconds=2, max_retries=3)
    begun = msgspec.structs.replace(parse_estimate_sync(RAW), status=EstimateSyncStatus(options=recorded))

    assert begun.options == recorded
    assert parse_estimate_sync(RAW).options == msgspec.structs.replace(DEFAULT_OPTIONS, page_size=50)


def test_what_is_written_reads_back_the_same() -> None:
    sync = parse_estimate_sync(RAW)

    assert parse_estimate_sync(to_object(sync)) == sync


def test_a_new_object_carries_only_what_was_asked_for() -> None:
    sync = EstimateSync(metadata=Metadata(name="est-abc"), spec=EstimateSyncSpec(max_retries=0))

    assert to_object(sync) == {
        "apiVersion": "botzilla.io/v1",
        "kind": "EstimateSync",
        "metadata": {"name": "est-abc"},
        "spec": {"maxRetries": 0},
        "status": {},
    }


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"pageSize": 0}, "pageSize", id="below the bound"),
        pytest.param({"concurrency": 33}, "concurrency", id="above the bound"),
        pytest.param({"pageSize": "many"}, "pageSize", id="wrong type"),
        pytest.param({"dateRange": {"start": "2025-02-30", "end": "2025-03-01"}}, "dateRange.start", id="no such day"),
        pytest.param({"dateRange": {"start": "2025-02-01"}}, "end", id="half a range"),
        pytest.param({"callback": {"urlSecretRef": {"name": "A b", "key": "k"}}}, "urlSecretRef.name", id="bad name"),
    ],
)
def test_a_spec_out_of_bounds_is_refused_by_field(spec: dict[str, object], words: str) -> None:
    with pytest.raises(MalformedSyncError, match=words):
        parse_estimate_sync({"metadata": {"name": "x"}, "spec": spec})


def test_a_status_leaves_out_what_is_not_known_yet() -> None:
    status = EstimateSyncStatus(phase=Phase.QUEUED, start_time=datetime(2025, 10, 16, 14, 9, tzinfo=UTC))

    assert to_status_object(status) == {"phase": "Queued", "startTime": "2025-10-16T14:09:00Z"}


@pytest.mark.parametrize(
    ("page", "total_pages", "text", "percent"),
    [
        pytest.param(0, 17, "0/17", 0, id="nothing yet"),
        pytest.param(9, 17, "9/17", 52, id="under way"),
        pytest.param(17, 17, "17/17", 100, id="done"),
        pytest.param(18, 17, "18/18", 100, id="more pages than announced"),
        pytest.param(0, 0, "0/0", 0, id="nothing to do"),
    ],
)
def test_progress_is_shown_as_one_text_and_never_above_100_percent(
    page: int, total_pages: int, text: str, percent: int
) -> None:
    progress = build_progress(page=page, total_pages=total_pages, fetched=100 * page)

    assert (progress.text, progress.percent) == (text, percent)


def test_a_long_message_is_cut_visibly_and_put_on_one_line() -> None:
    assert truncate_message("two\nlines") == "two lines"
    assert truncate_message("x" * 2000) == "x" * 1023 + "…"


@pytest.mark.parametrize("metadata", ["", "[]", "{", '{"a":[]}', '{"a":NaN}', f'{{"a":"{"é" * 1030}"}}'])
def test_metadata_that_no_callback_could_carry_make_a_sync_malformed(metadata: str) -> None:
    with pytest.raises(MalformedSyncError, match=r"metadata: send .* at `\$\.spec`"):
        parse_estimate_sync({"metadata": {"name": "a"}, "spec": {"metadata": metadata}})
