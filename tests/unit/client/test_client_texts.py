"""What people read: one sync, a list that fits a terminal, ages, findings."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from estimatesync_client.adapters.terminal import build_error, build_findings, build_sync, build_table
from estimatesync_client.core.api import Sync
from estimatesync_client.core.diagnoses import Check, Diagnosis, build_finding
from estimatesync_client.core.errors import RefusedError
from estimatesync_client.core.formatting import (
    format_age,
    format_clock,
    format_duration,
    format_fields,
    format_moment,
    format_outcome,
    format_progress_line,
    strip_control_characters,
)
from rich.console import Console

KEYED_ID = "est-87c31064406c230741571a20777e300f"


def draw(shown: Any, *, width: int = 80) -> list[str]:
    console = Console(file=StringIO(), width=width, markup=False, emoji=False, highlight=False)
    console.print(shown)
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("seconds", "age", "duration", "clock"),
    [
        pytest.param(0, "0 s", "0 s", "0:00:00", id="now"),
        pytest.param(59, "59 s", "59 s", "0:00:59", id="seconds"),
        pytest.param(59.6, "59 s", "1 min 0 s", "0:00:59", id="almost a minute"),
        pytest.param(60, "1 min", "1 min 0 s", "0:01:00", id="a minute"),
        pytest.param(487, "8 min", "8 min 7 s", "0:08:07", id="minutes"),
        pytest.param(3_599, "59 min", "59 min 59 s", "0:59:59", id="almost an hour"),
        pytest.param(3_600, "1 h", "1 h 0 min", "1:00:00", id="an hour"),
        pytest.param(7_500, "2 h", "2 h 5 min", "2:05:00", id="hours"),
        pytest.param(86_399, "23 h", "23 h 59 min", "23:59:59", id="almost a day"),
        pytest.param(86_400, "1 d", "24 h 0 min", "24:00:00", id="a day"),
        pytest.param(200_000, "2 d", "55 h 33 min", "55:33:20", id="days"),
    ],
)
def test_times_are_formatted_in_units_of_their_size(
    now: datetime, seconds: float, age: str, duration: str, clock: str
) -> None:
    assert format_age(now - timedelta(seconds=seconds), now) == age
    assert (format_duration(seconds), format_clock(seconds)) == (duration, clock)


def test_a_clock_that_goes_wrong_does_not_make_negative_ages(now: datetime) -> None:
    assert format_age(now + timedelta(seconds=9), now) == "0 s"
    assert (format_duration(-9), format_clock(-9)) == ("0 s", "0:00:00")
    assert format_age(None, now) == "-"


def test_control_characters_are_taken_out_and_signs_stay() -> None:
    assert strip_control_characters("🔍 [SYNC] a\tb\x1b[31m\r\x9b") == "🔍 [SYNC] a\tb�[31m��"


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        pytest.param({}, "45 new, 64 changed, 1,500 unchanged", id="success"),
        pytest.param(
            {"results": {"new_estimates": 1, "updated_estimates": 2, "skipped_estimates": 3}},
            "1 new, 2 changed, 0 unchanged, 3 skipped",
            id="skipped ones",
        ),
        pytest.param(
            {"results": {"new_estimates": 1, "updated_estimates": 2, "deleted_estimates": 3}},
            "1 new, 2 changed, 0 unchanged, 3 deleted",
            id="deleted ones",
        ),
        pytest.param(
            {"status": "failed", "reason": "LoginFailed", "message": "Login failed"},
            "LoginFailed: Login failed",
            id="failure",
        ),
        pytest.param({"status": "failed", "reason": "LoginFailed"}, "LoginFailed", id="failure without a word"),
        pytest.param({"status": "failed", "reason": None, "message": "It failed"}, "It failed", id="without a reason"),
        pytest.param({"results": None, "message": "Stored"}, "Stored", id="success without counts"),
        pytest.param(
            {"status": "queued", "reason": "Queued", "message": "Position 1; waiting for est-0"},
            "Position 1; waiting for est-0",
            id="queued",
        ),
        pytest.param({"status": "running", "reason": "Running", "message": "Running"}, "", id="running"),
        pytest.param(
            {"status": "running", "reason": "Running", "message": "Nothing listens there", "cure": "Check it"},
            "Nothing listens there",
            id="running, and waiting for something",
        ),
        pytest.param({"status": "cancelled", "reason": "Cancelled", "message": "Cancelled"}, "", id="cancelled"),
        pytest.param({"status": "paused", "message": "A new state"}, "A new state", id="a state of a newer server"),
    ],
)
def test_the_outcome_is_one_line(build: Callable[..., Sync], fields: dict[str, Any], outcome: str) -> None:
    assert format_outcome(build(**fields)) == outcome


def test_a_progress_line_says_how_far_it_is(build: Callable[..., Sync]) -> None:
    page = {"page": 9, "total_pages": 17, "fetched": 900, "percent": 52, "text": "9/17"}

    line = format_progress_line(build(status="running", reason="Running", progress=page))

    assert line == "running  page 9/17, 900 estimates"


def test_a_progress_line_says_what_a_sync_without_a_page_waits_for(build: Callable[..., Sync]) -> None:
    sync = build(status="queued", reason="Queued", message="Position 1", progress=None)

    assert format_progress_line(sync) == "queued  Position 1"


def test_the_details_leave_out_what_is_not_known_yet(build: Callable[..., Sync], now: datetime) -> None:
    unknown = dict.fromkeys(("progress", "results", "callback", "started_at", "completed_at", "duration_seconds"))

    names = [name for name, _ in format_fields(build(status="queued", **unknown), now)]

    assert names == ["Days", "Requested"]


def test_a_callback_that_is_tried_again_says_when_and_why(build: Callable[..., Sync], now: datetime) -> None:
    callback = {
        "state": "retrying",
        "attempts": 2,
        "last_attempt_at": "2026-11-24T15:59:00.000Z",
        "next_attempt_at": "2026-11-24T16:01:00.000Z",
        "last_error": "HTTP 503",
    }

    shown = dict(format_fields(build(callback=callback), now))["Callback"]

    next_at = format_moment(datetime(2026, 11, 24, 16, 1, tzinfo=UTC))
    assert shown == f"retrying after 2 attempts, 1 min ago; next at {next_at} (HTTP 503)"


@pytest.mark.parametrize(
    ("callback", "shown"),
    [
        pytest.param({"state": "pending"}, "pending", id="not tried yet"),
        pytest.param({"state": "failed", "attempts": 1}, "failed after 1 attempt", id="given up"),
        pytest.param(
            {"state": "delivered", "attempts": 1, "earlier_attempts": 10},
            "delivered after 1 attempt, 11 in all",
            id="asked for again",
        ),
        pytest.param({"state": "pending", "earlier_attempts": 1}, "pending, 1 in all", id="asked for just now"),
        pytest.param(
            {"state": "failed", "next_attempt_at": "2026-11-24T16:01:00.000Z", "last_error": "a\x1bb"},
            "failed (a�b)",
            id="given up with a next time and an escape",
        ),
    ],
)
def test_a_callback_says_what_is_known_of_it(
    build: Callable[..., Sync], now: datetime, callback: dict[str, Any], shown: str
) -> None:
    assert dict(format_fields(build(callback=callback), now))["Callback"] == shown


@pytest.mark.parametrize(
    ("mode", "shown"), [("changes", "only what had changed"), ("whole", "the whole range"), (None, None), ("new", None)]
)
def test_the_mode_is_said_in_words(build: Callable[..., Sync], now: datetime, mode: str | None, shown: str) -> None:
    assert dict(format_fields(build(mode=mode), now)).get("Read") == shown


def test_times_are_those_of_the_terminal(build: Callable[..., Sync], now: datetime) -> None:
    sync = build(duration_seconds=None)
    assert sync.created_at
    assert sync.started_at
    assert sync.completed_at

    fields = dict(format_fields(sync, now))

    assert fields["Requested"] == f"{sync.created_at.astimezone():%Y-%m-%d %H:%M:%S %Z}, 2 h ago"
    assert fields["Started"] == f"{sync.started_at.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    assert fields["Ended"] == f"{sync.completed_at.astimezone():%Y-%m-%d %H:%M:%S %Z}"


LONG = {"new_estimates": 1_609, "updated_estimates": 14_031}
DAYS = {"start_date": "2025-12-01", "end_date": "2026-01-14"}


def list_longest(build: Callable[..., Sync]) -> list[Sync]:
    failed = build("est-2", status="failed", reason="ConfigurationInvalid", message="Wrong")
    return [build(KEYED_ID, results=LONG, date_range=DAYS), failed, build("est-1", status="cancelled", callback=None)]


@pytest.mark.parametrize(
    ("width", "columns", "row"),
    [
        pytest.param(
            120,
            "ID STATUS DAYS RESULT CALL AGE",
            f"{KEYED_ID} succeeded 2025-12-01 to 2026-01-14 1,609 new, 14,031 changed ✔ 2 h",
            id="wide",
        ),
        pytest.param(
            80,
            "ID STATUS DAYS RESULT CALL AGE",
            "777e300f succeeded 2025-12-01 to 2026-01-14 1,609 new, 14,031 changed ✔ 2 h",
            id="eighty columns",
        ),
        pytest.param(
            60, "ID STATUS RESULT CALL AGE", "777e300f succeeded 1,609 new, 14,031 changed ✔ 2 h", id="sixty columns"
        ),
        pytest.param(48, "ID STATUS RESULT AGE", "777e300f succeeded 1,609 new, 14,031 changed 2 h", id="narrower yet"),
    ],
)
def test_a_list_leaves_out_what_does_not_fit_and_cuts_nothing(
    build: Callable[..., Sync], now: datetime, width: int, columns: str, row: str
) -> None:
    lines = draw(build_table(list_longest(build), now, width=width), width=width)

    assert [" ".join(line.split()) for line in lines[:2]] == [columns, row]
    assert lines[4].startswith("→ ConfigurationInvalid: The log names each")


def test_the_narrowest_terminal_folds_a_result_and_loses_no_part_of_it(
    build: Callable[..., Sync], now: datetime
) -> None:
    lines = draw(build_table([build(KEYED_ID, results=LONG)], now, width=34), width=34)

    shown = "".join("".join(lines[1:]).split())
    assert sorted(shown) == sorted("777e300fsucceeded1,609new,14,031changed2h")


def test_a_narrow_terminal_folds_the_address_of_a_page(build: Callable[..., Sync], now: datetime) -> None:
    address = f"https://sync.example.com/page/syncs/{KEYED_ID}"

    lines = draw(build_sync(build(details_url=address), now), width=48)

    shown = "".join("".join(lines).split())
    assert address in shown
    assert "…" not in shown


def test_what_to_do_stands_below_what_is_wrong_unless_it_says_so_itself(
    build: Callable[..., Sync], now: datetime
) -> None:
    plain = build(status="failed", reason="LoginFailed", message="Login failed")
    held = build(status="running", reason="Unschedulable", message="No node fits. Do this: 0/3", cure="Do this")

    assert draw(build_sync(plain, now))[2] == "  → Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD"
    assert "→" not in "".join(draw(build_sync(held, now)))


def test_the_details_show_brackets_in_a_message_as_they_are(build: Callable[..., Sync], now: datetime) -> None:
    lines = draw(build_sync(build(status="failed", reason="X", message="see [SYNC] [red]"), now))

    assert lines[1] == "✘ failed  X: see [SYNC] [red]"


def test_errors_and_findings_keep_their_indent_when_they_are_long() -> None:
    finding = build_finding(Check.KEY, Diagnosis.KEY_REFUSED, setting="ESTIMATESYNC_API_KEY", detail="not valid")

    error = draw(build_error(RefusedError("first; second", cure="Do this", faults=("first", "second"))))
    found = draw(build_findings([finding]))

    assert error == ["✘ The request is refused:", "  - first", "  - second", "  → Do this"]
    assert found[0] == "✘  API key       refused: not valid"
    assert found[1].startswith("                 → Compare")
    assert found[2].startswith("                   ")
    assert all(len(line) <= 80 for line in found)


def test_who_asked_is_shown_without_control_characters(build: Callable[..., Sync], now: datetime) -> None:
    sync = build(started_by="make", cancelled_by="schedule\x1b[31m", redelivered_by="night")

    fields = dict(format_fields(sync, now))

    assert (fields["Asked for"], fields["Sent again"]) == ("by make", "by night")
    assert "\x1b" not in fields["Cancelled"]
