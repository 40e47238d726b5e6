"""The callback's body: the seed's payload plus sync_id, always the same bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import (
    AlertStatus,
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    Results,
)
from estimatesync_operator.callback.body import UnfinishedSyncError, build_alert_body, build_callback_body
from msgspec import UNSET, UnsetType

SEED_SUCCESS = (
    b'{"event":"sync_estimates_completed","timestamp":"2025-10-16T14:15:30.000Z","status":"success",'
    b'"results":{"total_fetched":1609,"new_estimates":45,"updated_estimates":1564,"total_processed":1609},'
    b'"date_range":{"start_date":"2025-09-01","end_date":"2025-10-16"},'
    b'"performance":{"duration_seconds":487,"duration_minutes":8.1},"error":null,"environment":"production",'
    b'"sync_id":"est-20251016-140900000-k3x9q"}'
)
ALERT = AlertStatus(
    time=datetime(2025, 10, 17, 17, 15, 29, tzinfo=UTC),
    since=datetime(2025, 10, 16, 14, 15, 30, tzinfo=UTC),
    stale_after_hours=26,
    delivery=CallbackStatus(state=CallbackState.PENDING, id="alert_6f1c", environment="production"),
)
ALERT_BODY = (
    b'{"event":"sync_estimates_stale","timestamp":"2025-10-17T17:15:29.000Z","status":"stale",'
    b'"last_success":{"sync_id":"est-20251016-140900000-k3x9q","timestamp":"2025-10-16T14:15:30.000Z",'
    b'"date_range":{"start_date":"2025-09-01","end_date":"2025-10-16"}},'
    b'"hours_since":26,"stale_after_hours":26,"environment":"production"}'
)
ZEROS = {"total_fetched": 0, "new_estimates": 0, "updated_estimates": 0, "total_processed": 0}


def replace_status(sync: EstimateSync, **changes: object) -> EstimateSync:
    return msgspec.structs.replace(sync, status=msgspec.structs.replace(sync.status, **changes))


def test_success_is_the_seeds_payload_byte_for_byte(succeeded: EstimateSync) -> None:
    body = build_callback_body(succeeded)

    assert body == SEED_SUCCESS


@pytest.mark.parametrize(
    ("asked", "done", "key"),
    [
        pytest.param(Mode.CHANGES, Mode.CHANGES, b',"mode":"changes"}', id="changes"),
        pytest.param(Mode.CHANGES, Mode.WHOLE, b',"mode":"whole"}', id="whole-after-all"),
        pytest.param(Mode.CHANGES, None, b',"mode":null}', id="failed"),
        pytest.param(Mode.WHOLE, Mode.WHOLE, b"}", id="whole"),
        pytest.param(None, Mode.WHOLE, b"}", id="no-word"),
    ],
)
def test_the_mode_is_told_only_where_changes_were_asked_for(
    succeeded: EstimateSync, asked: Mode | None, done: Mode | None, key: bytes
) -> None:
    """Make.com learns a scenario's fields once: no other meets a new one."""
    asked_for = msgspec.structs.replace(succeeded, spec=msgspec.structs.replace(succeeded.spec, mode=asked))

    body = build_callback_body(replace_status(asked_for, mode=done))

    assert body == SEED_SUCCESS[:-1] + key


def test_the_page_of_the_sync_is_named_at_the_end_where_it_is_known(succeeded: EstimateSync) -> None:
    url = "https://sync.example.com/page/syncs/est-20251016-140900000-k3x9q"
    callback = CallbackStatus(state=CallbackState.PENDING, id="msg_6f1c", environment="production", details_url=url)

    body = build_callback_body(replace_status(succeeded, callback=callback))

    assert body == SEED_SUCCESS[:-1] + f',"details_url":"{url}"}}'.encode()


def test_attempts_under_way_do_not_change_the_bytes(succeeded: EstimateSync) -> None:
    retrying = CallbackStatus(
        state=CallbackState.RETRYING, id="msg_6f1c", environment="production", attempts=4, last_error="HTTP 500"
    )

    body = build_callback_body(replace_status(succeeded, callback=retrying, observed_generation=7))

    assert body == SEED_SUCCESS


@pytest.mark.parametrize(
    ("phase", "message", "error"),
    [
        pytest.param(
            Phase.FAILED,
            "Login to Attic Tech failed: Invalid credentials",
            "Login to Attic Tech failed: Invalid credentials",
            id="failed",
        ),
        pytest.param(Phase.FAILED, None, "Synchronization failed.", id="failed-without-a-word"),
        pytest.param(Phase.CANCELLED, "Cancelled by request", "Cancelled", id="cancelled"),
    ],
)
def test_error_has_zeros_and_the_cause(succeeded: EstimateSync, phase: Phase, message: str | None, error: str) -> None:
    sync = replace_status(succeeded, phase=phase, message=message, duration_seconds=12)

    body = json.loads(build_callback_body(sync))

    assert body == json.loads(SEED_SUCCESS) | {
        "status": "error",
        "error": error,
        "results": ZEROS,
        "performance": {"duration_seconds": 12, "duration_minutes": 0.2},
    }


@pytest.mark.parametrize(
    ("phase", "deleted", "expected"),
    [
        pytest.param(Phase.SUCCEEDED, 3, 3, id="some"),
        pytest.param(Phase.SUCCEEDED, 0, 0, id="none"),
        pytest.param(Phase.FAILED, 0, 0, id="failed"),
        pytest.param(Phase.SUCCEEDED, UNSET, None, id="not looked for"),
        pytest.param(Phase.FAILED, UNSET, None, id="not looked for, and failed"),
    ],
)
def test_deletions_are_counted_wherever_they_are_marked(
    succeeded: EstimateSync, phase: Phase, deleted: int | UnsetType, expected: int | None
) -> None:
    results = Results(total_fetched=1609, deleted_estimates=deleted)

    body = json.loads(build_callback_body(replace_status(succeeded, phase=phase, results=results)))

    assert body["results"].get("deleted_estimates") == expected
    assert ("deleted_estimates" in body["results"]) == (expected is not None)


def test_every_key_is_there_even_when_nothing_is_known(succeeded: EstimateSync) -> None:
    bare = EstimateSyncStatus(phase=Phase.CANCELLED, completion_time=succeeded.status.completion_time)

    body = json.loads(build_callback_body(EstimateSync(metadata=Metadata(name="est-1"), status=bare)))

    assert list(body) == list(json.loads(SEED_SUCCESS))
    assert body["date_range"] == {"start_date": None, "end_date": None}
    assert body["performance"] == {"duration_seconds": 0, "duration_minutes": 0.0}
    assert body["environment"] is None


@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [
        pytest.param(0, 0.0, id="zero"),
        pytest.param(2, 0.0, id="down"),
        pytest.param(3, 0.1, id="half-up"),
        pytest.param(9, 0.2, id="half-up-not-to-even"),
        pytest.param(12, 0.2, id="exact"),
        pytest.param(487, 8.1, id="seed"),
        pytest.param(600, 10.0, id="whole"),
        pytest.param(604_800, 10_080.0, id="week"),
    ],
)
def test_minutes_are_rounded_to_one_decimal_as_in_javascript(
    succeeded: EstimateSync, seconds: int, minutes: float
) -> None:
    sync = replace_status(succeeded, duration_seconds=seconds)

    performance = json.loads(build_callback_body(sync))["performance"]

    assert performance == {"duration_seconds": seconds, "duration_minutes": minutes}
    assert isinstance(performance["duration_minutes"], float)


def test_time_is_utc_with_milliseconds_whatever_zone_it_was_stored_in(succeeded: EstimateSync) -> None:
    berlin = datetime(2025, 10, 16, 16, 15, 30, 123_999, tzinfo=timezone(timedelta(hours=2)))

    body = json.loads(build_callback_body(replace_status(succeeded, completion_time=berlin)))

    assert body["timestamp"] == "2025-10-16T14:15:30.123Z"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"phase": Phase.RUNNING}, id="running"),
        pytest.param({"completion_time": None}, id="no-time"),
    ],
)
def test_unfinished_sync_has_no_body(succeeded: EstimateSync, changes: dict[str, object]) -> None:
    sync = replace_status(succeeded, **changes)

    with pytest.raises(UnfinishedSyncError, match="has not finished"):
        build_callback_body(sync)


@pytest.mark.parametrize("metadata", ['{"b":1,"a":"é"}', "null"])
def test_metadata_come_back_as_they_were_sent(succeeded: EstimateSync, metadata: str) -> None:
    status = msgspec.structs.replace(succeeded.status, metadata=metadata)

    body = build_callback_body(msgspec.structs.replace(succeeded, status=status))

    assert body.endswith(f',"metadata":{metadata}}}'.encode())


def test_without_the_setting_no_scenario_meets_the_field(succeeded: EstimateSync) -> None:
    spec = msgspec.structs.replace(succeeded.spec, metadata='{"a":1}')

    assert b"metadata" not in build_callback_body(msgspec.structs.replace(succeeded, spec=spec))


def test_an_alert_names_the_last_success_and_how_long_ago_it_was_in_whole_hours(succeeded: EstimateSync) -> None:
    told = replace_status(succeeded, alert=ALERT)
    later = msgspec.structs.replace(ALERT.delivery, attempts=4, last_error="HTTP 500", state=CallbackState.RETRYING)
    retrying = replace_status(told, alert=msgspec.structs.replace(ALERT, delivery=later), retained=True)

    assert build_alert_body(told) == build_alert_body(retrying) == ALERT_BODY


def test_an_alert_about_no_success_at_all_has_the_same_fields_with_null(succeeded: EstimateSync) -> None:
    failed = replace_status(succeeded, phase=Phase.FAILED, alert=ALERT)

    body = json.loads(build_alert_body(failed))

    nothing = {"sync_id": None, "timestamp": None, "date_range": {"start_date": None, "end_date": None}}
    assert body == {**json.loads(ALERT_BODY), "last_success": nothing}


def test_without_an_alert_on_record_there_is_none_to_send(succeeded: EstimateSync) -> None:
    with pytest.raises(UnfinishedSyncError, match="has no alert"):
        build_alert_body(succeeded)
