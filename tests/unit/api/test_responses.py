from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from estimatesync_api.core.listing import SyncPage
from estimatesync_api.core.representation import (
    compute_error,
    to_accepted_body,
    to_list_body,
    to_request_body,
    to_success_body,
    to_sync_body,
)
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.spec import DateRange, EstimateSyncSpec, Mode
from estimatesync_contract.status import (
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    Results,
    build_progress,
)
from estimatesync_contract.timestamps import format_timestamp

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)
DAYS = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))

FINISHED = EstimateSyncStatus(
    phase=Phase.SUCCEEDED,
    reason="Succeeded",
    message="New: 45, Updated: 1564.",
    date_range=DAYS,
    job_name="estimatesync-hidden-uid",
    start_time=NOON,
    completion_time=NOON + timedelta(seconds=487),
    duration_seconds=487,
    progress=build_progress(page=17, total_pages=17, fetched=1609),
    results=Results(
        total_fetched=1609, new_estimates=45, updated_estimates=1564, unchanged_estimates=3, total_processed=1609
    ),
    callback=CallbackStatus(
        state=CallbackState.RETRYING,
        id="msg_hidden-uid",
        attempts=2,
        last_attempt_time=NOON,
        next_attempt_time=NOON + timedelta(seconds=30),
        last_status_code=503,
        last_error="HTTP 503",
    ),
)


def build_sync(status: EstimateSyncStatus) -> EstimateSync:
    return EstimateSync(
        metadata=Metadata(name="est-1", uid="hidden-uid", namespace="hidden-namespace", creation_timestamp=NOON),
        spec=EstimateSyncSpec(date_range=DAYS),
        status=status,
    )


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2025, 10, 16, 14, 9, tzinfo=UTC), "2025-10-16T14:09:00.000Z"),
        (datetime(2025, 10, 16, 16, 9, 0, 7999, tzinfo=timezone(timedelta(hours=2))), "2025-10-16T14:09:00.007Z"),
    ],
)
def test_times_are_written_as_javascript_writes_them(moment: datetime, text: str) -> None:
    assert format_timestamp(moment) == text


def test_the_accepted_body_is_the_promised_one_byte_for_byte() -> None:
    body = msgspec.json.encode(to_accepted_body("est-1", datetime(2025, 10, 16, 14, 9, tzinfo=UTC)))

    assert body == (
        b'{"success":true,"message":"Background synchronization started. This may take several minutes.",'
        b'"status":"processing","timestamp":"2025-10-16T14:09:00.000Z","sync_id":"est-1"}'
    )


def test_a_finished_sync_is_shown_in_the_words_of_the_callback() -> None:
    assert msgspec.to_builtins(to_sync_body(build_sync(FINISHED))) == {
        "success": True,
        "sync_id": "est-1",
        "status": "succeeded",
        "reason": "Succeeded",
        "message": "New: 45, Updated: 1564.",
        "cure": None,
        "date_range": {"start_date": "2025-09-01", "end_date": "2025-10-16"},
        "progress": {"page": 17, "total_pages": 17, "fetched": 1609, "percent": 100, "text": "17/17"},
        "results": {
            "total_fetched": 1609,
            "new_estimates": 45,
            "updated_estimates": 1564,
            "unchanged_estimates": 3,
            "skipped_estimates": 0,
            "total_processed": 1609,
            "deleted_estimates": None,
            "previous_total_fetched": None,
        },
        "callback": {
            "state": "retrying",
            "attempts": 2,
            "earlier_attempts": 0,
            "last_attempt_at": "2025-10-16T12:00:00.000Z",
            "next_attempt_at": "2025-10-16T12:00:30.000Z",
            "last_status_code": 503,
            "last_error": "HTTP 503",
        },
        "created_at": "2025-10-16T12:00:00.000Z",
        "started_at": "2025-10-16T12:00:00.000Z",
        "completed_at": "2025-10-16T12:08:07.000Z",
        "duration_seconds": 487,
    }


def test_the_page_of_a_sync_is_named_where_it_is_known() -> None:
    sync, url = build_sync(FINISHED), "https://sync.example.com"
    page = SyncPage(syncs=(sync,), end=None)
    plain = msgspec.to_builtins(to_sync_body(sync))

    shown = msgspec.to_builtins(to_sync_body(sync, public_url=url))
    (listed,) = msgspec.to_builtins(to_list_body(page, public_url=url))["syncs"]
    requested = msgspec.to_builtins(to_request_body("", sync, public_url=url))["sync"]

    assert shown == {**plain, "details_url": f"{url}/page/syncs/est-1"}
    assert listed == requested == {name: value for name, value in shown.items() if name != "success"}


@pytest.mark.parametrize(
    ("asked", "done", "shown"),
    [
        pytest.param(None, Mode.WHOLE, None, id="as-always"),
        pytest.param(Mode.CHANGES, None, {"mode": None}, id="under-way"),
        pytest.param(Mode.CHANGES, Mode.CHANGES, {"mode": "changes"}, id="changes"),
        pytest.param(Mode.CHANGES, Mode.WHOLE, {"mode": "whole"}, id="whole-after-all"),
    ],
)
def test_the_mode_is_shown_where_changes_were_asked_for(
    asked: Mode | None, done: Mode | None, shown: dict[str, str | None] | None
) -> None:
    sync = build_sync(msgspec.structs.replace(FINISHED, mode=done))
    sync = msgspec.structs.replace(sync, spec=msgspec.structs.replace(sync.spec, mode=asked))
    state, outcome = (msgspec.to_builtins(body) for body in (to_sync_body(sync), to_success_body(sync, ())))

    assert {name: value for name, value in state.items() if name == "mode"} == (shown or {})
    assert outcome.get("mode") == (shown or {}).get("mode")


def test_a_sync_not_yet_reconciled_has_the_same_fields_and_is_queued() -> None:
    fresh, finished = (
        msgspec.to_builtins(to_sync_body(build_sync(status))) for status in (EstimateSyncStatus(), FINISHED)
    )

    assert list(fresh) == list(finished)
    assert fresh["status"] == "queued"
    assert fresh["date_range"] == finished["date_range"]


def test_nothing_about_the_place_where_a_sync_runs_is_shown() -> None:
    assert b"hidden" not in msgspec.json.encode(to_sync_body(build_sync(FINISHED)))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (EstimateSyncStatus(phase=Phase.CANCELLED, message="stopped by a person"), "Cancelled"),
        (EstimateSyncStatus(phase=Phase.FAILED, message="Login failed", reason="LoginFailed"), "Login failed"),
        (EstimateSyncStatus(phase=Phase.FAILED, reason="LoginFailed"), "LoginFailed"),
        (EstimateSyncStatus(phase=Phase.FAILED), "The sync failed without saying why."),
    ],
)
def test_a_sync_that_did_not_succeed_says_why(status: EstimateSyncStatus, error: str) -> None:
    assert compute_error(build_sync(status)) == error


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        pytest.param(
            {"phase": Phase.FAILED, "reason": "DatabaseRefused", "cause": "SchemaForeign"},
            "Choose another DATABASE_SCHEMA",
            id="the single case is known",
        ),
        pytest.param(
            {"phase": Phase.FAILED, "reason": "DatabaseRefused"},
            "Check the login, its rights and the schema",
            id="only the reason is known",
        ),
        pytest.param(
            {"phase": Phase.RUNNING, "reason": "Running", "cause": "SourceNotListening"},
            "Check host and port in ATTIC_TECH_URL, and that Attic Tech is running",
            id="it runs, and waits",
        ),
        pytest.param({"phase": Phase.CANCELLED, "reason": "Cancelled"}, None, id="nothing is to be done"),
    ],
)
def test_a_sync_comes_with_the_one_cure_that_fits(status: dict[str, Any], cure: str | None) -> None:
    assert to_sync_body(build_sync(EstimateSyncStatus(**status))).cure == cure
