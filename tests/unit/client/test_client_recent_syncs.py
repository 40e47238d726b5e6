"""What recent syncs show about things that cannot be asked through the API."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from estimatesync_client.core.api import Sync
from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, Verdict, build_finding
from estimatesync_client.core.recent_syncs import (
    combine_findings,
    decide_callback,
    decide_database,
    decide_source,
    decide_success,
)

Build = Callable[..., Sync]

NO_PAGE: dict[str, Any] = {"progress": None, "results": None}


def failed(build: Build, reason: str, message: str = "It says why.", **fields: Any) -> Sync:
    return build("est-failed", **{"status": "failed", "reason": reason, "message": message, **NO_PAGE, **fields})


@pytest.mark.parametrize("judge", [pytest.param(decide_source, id="source"), pytest.param(decide_database, id="db")])
def test_a_success_proves_login_and_database(judge: Callable[..., Finding], build: Build, now: datetime) -> None:
    finding = judge([build("est-good")], now)

    assert (finding.verdict, finding.cause) == (Verdict.OK, "worked 2 h ago, in est-good")


@pytest.mark.parametrize(
    ("reason", "message", "source", "database"),
    [
        pytest.param("LoginFailed", "", Verdict.FAULT, Verdict.UNKNOWN, id="login"),
        pytest.param("SourceUnavailable", "", Verdict.FAULT, Verdict.UNKNOWN, id="source away"),
        pytest.param("SourceInvalid", "", Verdict.FAULT, Verdict.UNKNOWN, id="not the source"),
        pytest.param("DatabaseUnavailable", "", Verdict.UNKNOWN, Verdict.FAULT, id="database away"),
        pytest.param("DatabaseRefused", "", Verdict.UNKNOWN, Verdict.FAULT, id="database refuses"),
        pytest.param("SecretMissing", "", Verdict.FAULT, Verdict.FAULT, id="no secret"),
        pytest.param(
            "ConfigurationInvalid", "DATABASE_URL is not set", Verdict.UNKNOWN, Verdict.FAULT, id="database setting"
        ),
        pytest.param(
            "ConfigurationInvalid", "ATTIC_TECH_EMAIL is not set", Verdict.FAULT, Verdict.UNKNOWN, id="login setting"
        ),
        pytest.param("OutOfMemory", "", Verdict.UNKNOWN, Verdict.UNKNOWN, id="says nothing about either"),
    ],
)
def test_each_reason_speaks_about_its_own_part(
    build: Build, now: datetime, reason: str, message: str, source: Verdict, database: Verdict
) -> None:
    syncs = [failed(build, reason, message)]

    assert (decide_source(syncs, now).verdict, decide_database(syncs, now).verdict) == (source, database)


def test_a_fault_quotes_the_sync_and_names_what_to_check(build: Build, now: datetime) -> None:
    finding = decide_source([failed(build, "LoginFailed", "Login to Attic Tech failed: Invalid credentials")], now)

    assert finding.cause == "Login to Attic Tech failed: Invalid credentials, 2 h ago in est-failed"
    assert finding.cure == (
        "Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD where syncs read them: their Secret, or .env"
    )


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        pytest.param({"message": "No.\x1b"}, "No.�, 2 h ago in est-failed", id="an escape"),
        pytest.param({"message": "No."}, "No, 2 h ago in est-failed", id="a sentence"),
        pytest.param({"message": None}, "LoginFailed, 2 h ago in est-failed", id="no words"),
        pytest.param({"message": "No", "completed_at": None}, "No, 2 h ago in est-failed", id="by its start"),
        pytest.param(
            {"message": "No", "completed_at": None, "started_at": None, "created_at": "2026-11-24T13:00:00.000Z"},
            "No, 3 h ago in est-failed",
            id="by its request",
        ),
    ],
)
def test_a_fault_says_what_is_known_and_when_it_was(
    build: Build, now: datetime, fields: dict[str, Any], cause: str
) -> None:
    assert decide_source([failed(build, "LoginFailed", **fields)], now).cause == cause


def test_a_cure_that_fits_the_single_case_is_taken_as_the_server_says_it(build: Build, now: datetime) -> None:
    sync = failed(build, "LoginFailed", "It is locked.", cure="Unlock the account\x1b")

    assert decide_source([sync], now).cure == "Unlock the account�"


def test_wrong_settings_are_looked_up_in_the_log(build: Build, now: datetime) -> None:
    finding = decide_source([failed(build, "ConfigurationInvalid", "ATTIC_TECH_EMAIL is not set")], now)

    assert finding.cure.endswith(": estimatesync logs est-failed")


@pytest.mark.parametrize(
    ("message", "source", "database"),
    [
        pytest.param(
            "Attic Tech is not available: nothing listens there; attempt 3 of 8 at 16:01:00 UTC",
            Verdict.FAULT,
            Verdict.OK,
            id="source",
        ),
        pytest.param(
            "Waiting for its next run to start (run 2). Run 1 failed: PostgreSQL is not available: it is full",
            Verdict.OK,
            Verdict.FAULT,
            id="database",
        ),
    ],
)
def test_what_a_running_sync_waits_for_is_the_newest_evidence(
    build: Build, now: datetime, message: str, source: Verdict, database: Verdict
) -> None:
    fields = {"status": "running", "reason": "Running", "results": None, "completed_at": None, "callback": None}
    syncs = [build("est-good"), build("est-waiting", message=message, cure="Start it", **fields)]

    findings = decide_source(syncs, now), decide_database(syncs, now)

    assert tuple(each.verdict for each in findings) == (source, database)
    fault = next(each for each in findings if each.verdict is Verdict.FAULT)
    assert (fault.cause, fault.cure) == (f"{message}, 2 h ago in est-waiting", "Start it")


def test_a_running_sync_that_goes_on_says_nothing_against_attic_tech(build: Build, now: datetime) -> None:
    fields = {"status": "running", "reason": "Running", "results": None, "completed_at": None}
    running = build("est-on", message="Attic Tech's page 3/17, 300 estimates so far", cure=None, **fields)

    assert decide_source([running], now).verdict is Verdict.OK


def test_a_page_that_arrived_proves_the_login_whatever_came_of_it(build: Build, now: datetime) -> None:
    page = {"page": 3, "total_pages": 17, "fetched": 300, "percent": 17, "text": "3/17"}
    syncs = [
        build("est-cancelled", status="cancelled", reason="Cancelled", **NO_PAGE),
        failed(build, "DatabaseUnavailable", progress=page),
        failed(build, "LoginFailed"),
    ]

    assert decide_source(syncs, now).verdict is Verdict.OK
    assert decide_database(syncs, now).verdict is Verdict.FAULT


def test_what_the_source_does_not_show_is_said_although_pages_arrived(build: Build, now: datetime) -> None:
    page = {"page": 3, "total_pages": 3, "fetched": 300, "percent": 100, "text": "3/3"}
    less = build("est-less", unshown={"estimates": 2, "fields": ["branch", "user"]})

    failing = decide_source([failed(build, "FieldsUnshown", "Attic Tech does not show branch.", progress=page)], now)
    showing_less = decide_source([less], now)

    assert (failing.verdict, "does not show branch" in failing.cause) == (Verdict.FAULT, True)
    assert (showing_less.verdict, "does not show branch, user" in showing_less.cause) == (Verdict.OK, True)


def test_newer_evidence_wins(build: Build, now: datetime) -> None:
    good, bad = build("est-good"), failed(build, "DatabaseRefused")

    assert decide_database([good, bad], now).verdict is Verdict.OK
    assert decide_database([bad, good], now).verdict is Verdict.FAULT


@pytest.mark.parametrize(
    ("callback", "verdict", "said", "cure"),
    [
        pytest.param({"state": "delivered"}, Verdict.OK, "delivered 2 h ago", "", id="delivered"),
        pytest.param(
            {"state": "failed", "last_status_code": 410, "last_error": "HTTP 410 (Webhook not found.)"},
            Verdict.FAULT,
            "the webhook is gone",
            "estimatesync redeliver est-1",
            id="gone",
        ),
        pytest.param(
            {"state": "failed", "last_error": "its name cannot be resolved"},
            Verdict.FAULT,
            "its name cannot be resolved",
            "estimatesync redeliver est-1",
            id="failed",
        ),
        pytest.param(
            {"state": "retrying", "attempts": 3, "last_status_code": 503},
            Verdict.FAULT,
            "after 3 attempts for est-1: HTTP 503",
            "retried automatically",
            id="retrying",
        ),
        pytest.param(
            {"state": "failed", "last_error": "busy", "last_attempt_at": "2026-11-24T15:59:00.000Z"},
            Verdict.FAULT,
            "not delivered for est-1, and not tried any more since 1 min ago: busy",
            "estimatesync redeliver est-1",
            id="failed a minute ago",
        ),
        pytest.param(
            {"state": "retrying", "attempts": 1, "last_error": "a\x1b"},
            Verdict.FAULT,
            "after 1 attempt for est-1: a�",
            "retried automatically",
            id="retrying, with an escape",
        ),
        pytest.param(
            {"state": "retrying", "attempts": 1},
            Verdict.FAULT,
            "after 1 attempt for est-1: no cause is known",
            "retried automatically",
            id="retrying, without a word",
        ),
        pytest.param({"state": "new"}, Verdict.UNKNOWN, "no recent sync", "estimatesync start", id="a newer state"),
        pytest.param({"state": "disabled"}, Verdict.UNKNOWN, "none is configured", "MAKE_SYNC_", id="disabled"),
        pytest.param({"state": "pending"}, Verdict.UNKNOWN, "no recent sync", "estimatesync start", id="not tried"),
    ],
)
def test_the_newest_delivery_speaks_for_the_callback(
    build: Build, now: datetime, callback: dict[str, Any], verdict: Verdict, said: str, cure: str
) -> None:
    finding = decide_callback([build("est-0", callback=None), build(callback=callback)], now)

    assert finding.verdict is verdict
    assert said in finding.cause
    assert cure in finding.cure


def test_of_several_callbacks_one_that_has_not_arrived_speaks(build: Build, now: datetime) -> None:
    arrived, busy = {"state": "delivered"}, {"state": "retrying", "attempts": 1, "last_error": "busy"}

    for callbacks in ([arrived, busy], [busy, arrived]):
        assert "after 1 attempt for est-1: busy" in decide_callback([build(callbacks=callbacks)], now).cause


def test_without_any_sync_nothing_is_claimed(now: datetime) -> None:
    findings = [judge([], now) for judge in (decide_source, decide_database, decide_callback)]

    assert {finding.verdict for finding in findings} == {Verdict.UNKNOWN}
    assert all("estimatesync start --wait" in finding.cure for finding in findings)


OK = build_finding(Check.DATABASE, Diagnosis.DATABASE_READY, detail="me may write")
FAULT = build_finding(Check.DATABASE, Diagnosis.DATABASE_READ_ONLY)
OPEN = build_finding(Check.DATABASE, Diagnosis.NO_DRIVER)
SEEN_OK = build_finding(Check.DATABASE, Diagnosis.SEEN_WORKING, age="2 h", sync_id="est-1")
SEEN_FAULT = build_finding(
    Check.DATABASE, Diagnosis.SEEN_FAILING, detail="No", age="2 h", sync_id="est-1", cure="Check it"
)
SEEN_NOTHING = build_finding(Check.DATABASE, Diagnosis.NO_EVIDENCE)


@pytest.mark.parametrize(
    ("tried", "seen", "combined"),
    [
        pytest.param(None, SEEN_FAULT, SEEN_FAULT, id="not tried"),
        pytest.param(OK, SEEN_OK, OK, id="both well"),
        pytest.param(OK, SEEN_NOTHING, OK, id="only tried"),
        pytest.param(FAULT, SEEN_OK, FAULT, id="worked before"),
        pytest.param(OPEN, SEEN_OK, SEEN_OK, id="could not be tried, but worked"),
        pytest.param(OPEN, SEEN_NOTHING, OPEN, id="both unknown"),
        pytest.param(FAULT, SEEN_FAULT, FAULT, id="both at fault"),
        pytest.param(OPEN, SEEN_FAULT, SEEN_FAULT, id="could not be tried, and failed"),
    ],
)
def test_what_is_tried_now_counts_more_than_what_was_seen(
    tried: Finding | None, seen: Finding, combined: Finding
) -> None:
    assert combine_findings(tried, seen) == combined


def test_a_contradiction_is_left_open_and_shown() -> None:
    finding = combine_findings(OK, SEEN_FAULT)

    assert finding.verdict is Verdict.UNKNOWN
    assert finding.cause == "me may write; but syncs say: No, 2 h ago in est-1"


@pytest.mark.parametrize(
    ("completed_at", "stale_after", "verdict", "cause"),
    [
        pytest.param("2026-11-24T14:00:00Z", 26, Verdict.OK, "2 h ago, in est-1", id="lately"),
        pytest.param(
            "2026-11-21T14:00:00Z", 26, Verdict.FAULT, "3 d ago, in est-1: what is stored is as old as that", id="not"
        ),
        pytest.param("2026-11-21T14:00:00Z", None, Verdict.OK, "3 d ago, in est-1", id="that may be"),
        pytest.param("2027-11-21T14:00:00Z", 26, Verdict.OK, "1 h ago, in real", id="a wrong clock"),
    ],
)
def test_a_silence_is_a_fault(
    build: Build, now: datetime, completed_at: str, stale_after: int | None, verdict: Verdict, cause: str
) -> None:
    succeeded = [build("est-1", completed_at=completed_at), build("real", completed_at="2026-11-24T15:00:00Z")]

    limit = timedelta(hours=stale_after) if stale_after else None
    finding = decide_success(succeeded, succeeded, now, stale_after=limit)

    assert (finding.verdict, finding.cause) == (verdict, cause)


@pytest.mark.parametrize(
    ("created_at", "stale_after", "verdict", "cause"),
    [
        pytest.param(None, 26, Verdict.UNKNOWN, "no sync has succeeded yet", id="a new installation"),
        pytest.param("2026-11-23T14:30:00Z", 26, Verdict.UNKNOWN, "no sync has succeeded yet", id="begun lately"),
        pytest.param(
            "2026-11-21T14:00:00Z",
            26,
            Verdict.FAULT,
            "no sync has succeeded since first was requested, 3 d ago",
            id="for too long",
        ),
        pytest.param("2026-11-21T14:00:00Z", None, Verdict.UNKNOWN, "no sync has succeeded yet", id="that may be"),
    ],
)
def test_that_none_has_ever_succeeded_is_a_fault_once_the_oldest_is_too_old(
    build: Build, now: datetime, created_at: str | None, stale_after: int | None, verdict: Verdict, cause: str
) -> None:
    lately = [build(name, created_at="2026-11-24T14:00:00Z") for name in ("last", "last but one")]
    syncs = [*lately, build("first", created_at=created_at)]

    limit = timedelta(hours=stale_after) if stale_after else None
    finding = decide_success([], syncs if created_at else [], now, stale_after=limit)

    assert (finding.verdict, finding.cause) == (verdict, cause)
