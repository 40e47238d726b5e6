"""What scripts rely on: exit codes, codes of errors, and what a field is when the server leaves it out."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from estimatesync_client.core.api import (
    Callback,
    DateRange,
    Progress,
    Results,
    Sync,
    Unshown,
    parse_acted,
    parse_started,
    parse_sync,
)
from estimatesync_client.core.diagnoses import Verdict
from estimatesync_client.core.errors import (
    ClientError,
    ConflictError,
    Exit,
    InterruptedWaitError,
    NotAllowedError,
    NotEstimateSyncError,
    NotFoundError,
    RefusedError,
    StillRunningError,
    UnavailableError,
    UsageError,
    to_error_object,
)
from estimatesync_client.core.formatting import (
    format_cure,
    format_days,
    format_fields,
    format_row,
    format_sign,
    list_cures,
    shorten_ids,
)


def test_exit_codes_never_change() -> None:
    assert {code.name: code.code for code in Exit} == {
        "DONE": 0, "REFUSED": 1, "USAGE": 2, "SYNC_FAILED": 3, "SYNC_CANCELLED": 4, "UNAVAILABLE": 5, "NOT_ALLOWED": 6,
        "NOT_FOUND": 7, "STILL_RUNNING": 8, "CONFLICT": 9, "FAULT_FOUND": 10, "INTERRUPTED": 130,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (ClientError("It failed."), "error", 1),
        (UsageError("It failed."), "usage", 2),
        (RefusedError("It failed."), "refused", 1),
        (NotAllowedError("It failed."), "refused", 6),
        (NotFoundError("It failed."), "sync_not_found", 7),
        (ConflictError("It failed."), "refused", 9),
        (UnavailableError("It failed."), "unavailable", 5),
        (NotEstimateSyncError("It failed."), "not_estimatesync", 5),
        (StillRunningError("It failed."), "still_running", 8),
        (InterruptedWaitError("It failed."), "interrupted", 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_is_an_object_with_its_code(error: ClientError, code: str, exit_code: int) -> None:
    assert str(error) == "It failed."
    assert to_error_object(error) == {"success": False, "message": "It failed.", "code": code, "exit_code": exit_code}


def test_an_error_says_everything_that_it_knows() -> None:
    error = ClientError("It failed.", cure="Try.", code="own", faults=("a", "b"), sync_id="est-1")

    assert to_error_object(error) == {
        "success": False, "message": "It failed.", "code": "own", "cure": "Try.", "errors": ["a", "b"],
        "sync_id": "est-1", "exit_code": 1,
    }  # fmt: skip


def test_what_the_server_leaves_out_is_nothing() -> None:
    sync = parse_sync({"sync_id": "est-1", "status": "running", "progress": {}, "results": {}})

    assert sync.progress == Progress(page=0, total_pages=0, fetched=0, percent=0, text="")
    assert sync.results == Results(new_estimates=0, updated_estimates=0, unchanged_estimates=0, skipped_estimates=0)
    assert (sync.reason, sync.message, sync.callback, sync.date_range) == (None, None, None, None)
    partial = parse_sync({"sync_id": "est-1", "status": "failed", "callback": {"state": "pending"}, "unshown": {}})
    assert (partial.callback, partial.unshown) == (
        Callback(state="pending", attempts=0),
        Unshown(estimates=0, fields=()),
    )
    assert parse_started({"sync_id": "est-1"}).message == parse_acted({}).message == ""


def test_a_verdict_has_its_word_and_its_sign() -> None:
    assert [(verdict.value, verdict.sign) for verdict in Verdict] == [("ok", "✔"), ("fault", "✘"), ("unknown", "?")]


@pytest.mark.parametrize(
    ("status", "sign"),
    [("succeeded", "✔"), ("failed", "✘"), ("cancelled", "⊘"), ("running", "▶"), ("queued", "…"), ("new", "?")],
)
def test_a_status_has_its_sign(build: Callable[..., Sync], status: str, sign: str) -> None:
    assert format_sign(build(status=status)) == sign


@pytest.mark.parametrize(
    ("state", "sign"),
    [("delivered", "✔"), ("failed", "✘"), ("retrying", "↻"), ("pending", "…"), ("disabled", "-"), ("new", "?")],
)
def test_a_row_shows_the_callback_by_a_sign(build: Callable[..., Sync], now: datetime, state: str, sign: str) -> None:
    row = format_row(build(callback={"state": state}), now)

    assert row == ("est-1", "succeeded", "2025-09-01 to 10-16", "45 new, 64 changed", sign, "2 h")


def test_a_row_shows_what_is_unknown_by_a_dash(build: Callable[..., Sync], now: datetime) -> None:
    unknown: dict[str, Any] = dict.fromkeys(("date_range", "progress", "results", "callback", "created_at"))

    assert format_row(build(status="queued", **unknown), now) == ("est-1", "queued", "-", "-", "-", "-")


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        pytest.param({"status": "failed", "reason": "LoginFailed"}, "LoginFailed", id="why it failed"),
        pytest.param({"status": "running", "reason": "Unschedulable"}, "Unschedulable", id="what holds it up"),
        pytest.param({"status": "running", "reason": "Running"}, "page 17/17", id="how far it is"),
        pytest.param({"status": "running", "reason": "Running", "cure": "Check it"}, "waiting", id="that it waits"),
        pytest.param({"status": "cancelled", "reason": "Cancelled"}, "-", id="nothing of a cancelled one"),
        pytest.param({"results": None}, "-", id="a success without counts"),
    ],
)
def test_a_row_shows_what_it_came_to(
    build: Callable[..., Sync], now: datetime, fields: dict[str, Any], result: str
) -> None:
    assert format_row(build(**fields), now)[3] == result


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2025-09-01", "2025-10-16", "2025-09-01 to 10-16"),
        ("2025-12-01", "2026-01-14", "2025-12-01 to 2026-01-14"),
        ("2025-09-01", "2025-09-01", "2025-09-01"),
    ],
)
def test_days_are_as_short_as_they_are_clear(start: str, end: str, shown: str) -> None:
    assert format_days(DateRange(start_date=start, end_date=end)) == shown


@pytest.mark.parametrize(
    ("names", "shortened"),
    [
        pytest.param(["est-20261124-140900000-k3x9q2ab", "est-1"], ["k3x9q2ab", "est-1"], id="random ends"),
        pytest.param(
            ["est-aa1-23456789", "est-ab1-23456789"], ["a1-23456789", "b1-23456789"], id="ends that are alike"
        ),
        pytest.param(["nightly-1764547"], ["y-1764547"], id="no sign of a separation, and eight characters"),
        pytest.param(["-.1234567"], ["-.1234567"], id="nothing but signs of a separation before"),
        pytest.param(["october", "november"], ["october", "november"], id="short names"),
        pytest.param([], [], id="none"),
    ],
)
def test_ids_are_shortened_to_ends_that_tell_them_apart(names: list[str], shortened: list[str]) -> None:
    assert shorten_ids(names) == dict(zip(names, shortened, strict=True))


def test_what_to_do_is_said_once_for_each_reason_in_the_words_of_the_newest(build: Callable[..., Sync]) -> None:
    syncs = [
        build("est-4", status="failed", reason="LoginFailed", cure="Correct it\x1b"),
        build("est-3", status="failed", reason="LoginFailed"),
        build("est-2", status="failed", reason="SourceUnavailable"),
        build("est-1", reason="Succeeded"),
        build("est-0", status="failed", reason="NewerThanThis"),
        build("est-00", status="running", reason="Running", cure="Check it"),
    ]

    assert list_cures(syncs) == {
        "waiting": "Check it",
        "LoginFailed": "Correct it\ufffd",
        "SourceUnavailable": "Check ATTIC_TECH_URL and the network, then start a new sync",
    }
    assert [format_cure(build(status=status, cure="Do it")) for status in ("failed", "succeeded", "cancelled")] == [
        "Do it",
        "",
        "",
    ]


def test_the_details_have_their_names_in_their_order(build: Callable[..., Sync], now: datetime) -> None:
    fields = format_fields(build(), now)

    assert [name for name, _ in fields] == ["Days", "Pages", "Requested", "Started", "Ended", "Callback"]
    texts = dict(fields)
    assert texts["Days"] == "2025-09-01 to 2025-10-16"
    assert texts["Pages"] == "17/17 (100 %), 1,609 estimates"
    assert texts["Requested"].endswith(", 2 h ago")
    assert texts["Ended"].endswith(", after 8 min 7 s")
    assert texts["Callback"] == "delivered after 1 attempt, 1 h ago"
