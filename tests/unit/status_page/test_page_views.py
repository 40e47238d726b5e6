"""What people read about a sync in each of its states."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from estimatesync_api.status_page.core.detail_view import (
    build_sync_detail,
    build_timeline,
    compute_time_left,
    format_headline,
    format_waiting_reason,
    is_flash_true,
)
from estimatesync_api.status_page.core.list_view import (
    Badge,
    ProgressBar,
    Summary,
    build_diagnosis,
    build_summary,
    build_sync_row,
    count_filters,
)
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_contract.causes import CAUSES, Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_REDELIVER
from estimatesync_contract.spec import CallbackSpec, DateRange, EstimateSyncSpec, Mode
from estimatesync_contract.status import (
    AlertStatus,
    CallbackAttemptRecord,
    CallbackState,
    CallbackStatus,
    Condition,
    ConditionStatus,
    ConditionType,
    Phase,
    QueuePlace,
    Results,
    build_progress,
)

Make = Callable[..., EstimateSync]
PAGE = build_progress(page=9, total_pages=17, fetched=1900)
IMAGE_PULL_FAILED = next(cause.happened for cause in CAUSES if cause.reason is Reason.IMAGE_PULL_FAILED)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("state", "headline"),
    [
        ("unseen", "Waiting for its turn. It has not been picked up yet."),
        ("queued", "Waiting for its turn. Position 2 in the queue."),
        ("running", "Running for 9m57s; about 9m to go."),
        ("early", "Running for 9m57s."),
        ("stopping", "It was cancelled and is stopping."),
        ("stalled", f"It cannot continue: {IMAGE_PULL_FAILED}."),
        ("stalled and cancelled", f"It cannot continue: {IMAGE_PULL_FAILED}."),
        ("succeeded", "Done in 8m7s. Every estimate of these days is in the database."),
        ("failed", "Login to Attic Tech failed. The database is as it was before."),
        ("cancelled", "Cancelled. The database is as it was before."),
    ],
)
def test_one_sentence_says_how_a_sync_is(
    make_sync: Make, english: Localizer, now: datetime, state: str, headline: str
) -> None:
    syncs = {
        "early": make_sync("running", progress=None),
        "stopping": make_sync("running", cancel=True),
        "stalled and cancelled": make_sync("stalled", cancel=True),
    }

    detail = build_sync_detail(syncs.get(state) or make_sync(state), english, now=now)

    assert plain(detail.headline) == headline


@pytest.mark.parametrize(
    ("state", "tone", "word", "summary"),
    [
        ("unseen", "queued", "Waiting", ""),
        ("running", "running", "Running", "9m57s"),
        ("stalled", "stalled", "Needs help", "9m57s"),
        ("succeeded", "succeeded", "Succeeded", "45 new · 64 changed · 1,500 unchanged · 8m7s"),
        ("failed", "failed", "Failed", "2s"),
        ("cancelled", "cancelled", "Cancelled", ""),
    ],
)
def test_the_list_shows_what_matters(
    make_sync: Make, english: Localizer, now: datetime, state: str, tone: str, word: str, summary: str
) -> None:
    row = build_sync_row(make_sync(state), english, now=now)

    assert (row.badge.tone, row.badge.word, plain(row.one_line)) == (tone, word, summary)
    assert plain(row.days) == "1 Sep \N{EN DASH} 16 Oct 2025"


def test_a_row_holds_everything_that_is_known_of_a_sync(make_sync: Make, english: Localizer, now: datetime) -> None:
    succeeded, running, unseen = (
        build_sync_row(make_sync(state), english, now=now) for state in ("succeeded", "running", "unseen")
    )

    assert (succeeded.name, succeeded.address) == ("est-2", "/page/syncs/est-2")
    assert [row.accepted and row.accepted.text for row in (succeeded, running, unseen)] == ["22:20:15"] * 3
    assert [(row.new, row.changed, row.unchanged, row.duration) for row in (succeeded, running, unseen)] == [
        ("45", "64", "1,500", "8m7s"),
        ("", "", "", "9m57s"),
        ("", "", "", ""),
    ]
    assert [row.bar for row in (succeeded, running, unseen)] == [
        None,
        ProgressBar(percent=52, text="Page 9 of 17"),
        None,
    ]
    assert [row.callback for row in (succeeded, running)] == [Badge(tone="succeeded", word="Delivered"), None]
    assert [row.callback_line for row in (succeeded, running)] == ["Callback: Delivered", ""]
    assert [row.is_active for row in (succeeded, running, unseen)] == [False, True, True]


@pytest.mark.parametrize(
    ("state", "changes", "badge"),
    [
        pytest.param("queued", {"cancel": True}, Badge(tone="stopping", word="Stopping"), id="cancelled in the queue"),
        pytest.param("stalled", {"cancel": True}, Badge(tone="stalled", word="Needs help"), id="stalled and cancelled"),
        pytest.param("cancelled", {"cancel": True}, Badge(tone="cancelled", word="Cancelled"), id="cancelled"),
        pytest.param(
            "failed", {"reason": Reason.IMAGE_PULL_FAILED}, Badge(tone="failed", word="Failed"), id="ended by a blocker"
        ),
    ],
)
def test_a_badge_names_what_a_person_must_know_first(
    make_sync: Make, english: Localizer, now: datetime, state: str, changes: dict[str, Any], badge: Badge
) -> None:
    assert build_sync_row(make_sync(state, **changes), english, now=now).badge == badge


def test_days_are_those_that_were_asked_for_or_resolved_or_the_default(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    day = DateRange(start=date(2025, 10, 16), end=date(2025, 10, 16))
    resolved = make_sync("running", date_range=day)
    fresh = msgspec.structs.replace(make_sync(), spec=EstimateSyncSpec())

    days = [plain(build_sync_row(sync, english, now=now).days) for sync in (resolved, fresh)]

    assert days == ["16 Oct 2025", english.translate("list.default_days")]


def test_the_list_speaks_spanish(make_sync: Make, spanish: Localizer, now: datetime) -> None:
    row = build_sync_row(make_sync("succeeded"), spanish, now=now)

    assert plain(row.one_line) == "45 nuevos · 64 cambiados · 1500 sin cambios · 8m7s"
    assert plain(row.days) == "1 sept \N{EN DASH} 16 oct 2025"


def list_steps(sync: EstimateSync, localizer: Localizer, now: datetime) -> list[str]:
    """The timeline, a line for each step: its tone, its title, when it was, what is said about it, what is wrong."""
    return [
        " | ".join(
            plain(part)
            for part in (
                step.tone,
                step.title,
                step.at.text if step.at else "",
                step.text,
                step.diagnosis.cure if step.diagnosis else "",
            )
            if part
        )
        for step in build_timeline(sync, localizer, now=now)
    ]


ACCEPTED = "done | Accepted | 22:20:15 | The request is stored and cannot be lost."
STARTED = "done | Started | 22:20:18 | It waited for 3s."
STORED = "succeeded | Stored | 22:28:25 | 45 new · 64 changed · 1,500 unchanged"
END_NEXT = "next | At the end, everything is stored at once, or nothing is"
CALLBACK_NEXT = "next | The callback is sent"
PULL_CURE = "Check its name, its registry and the pull secret"
STALLED = Condition(
    type=ConditionType.STALLED,
    status=ConditionStatus.TRUE,
    observed_generation=1,
    last_transition_time=datetime(2025, 10, 17, 2, 25, tzinfo=UTC),
    reason=Reason.IMAGE_PULL_FAILED,
    message="",
)


@pytest.mark.parametrize(
    ("state", "changes", "steps"),
    [
        pytest.param(
            "unseen",
            {},
            [
                *(ACCEPTED, "now | Waiting for its turn"),
                *("next | Starts when its turn comes", CALLBACK_NEXT),
            ],
            id="unseen",
        ),
        pytest.param(
            "queued",
            {},
            [
                *(ACCEPTED, "now | Waiting for its turn"),
                *("next | Starts when its turn comes", CALLBACK_NEXT),
            ],
            id="queued",
        ),
        pytest.param(
            "running",
            {},
            [
                *(ACCEPTED, STARTED, "done | Job created"),
                *("now | Reading estimates | Page 9 of 17, 1,900 estimates so far.", END_NEXT, CALLBACK_NEXT),
            ],
            id="running",
        ),
        pytest.param(
            "running",
            {"reason": Reason.STARTING, "progress": None},
            [ACCEPTED, STARTED, "now | Reading estimates | No page has been read yet.", END_NEXT, CALLBACK_NEXT],
            id="its job is not created yet",
        ),
        pytest.param(
            "running",
            {"progress": None, "runs": 1},
            [
                *(ACCEPTED, STARTED, "done | Job created", "now | Reading estimates | No page has been read yet."),
                *(END_NEXT, CALLBACK_NEXT),
            ],
            id="its first run",
        ),
        pytest.param(
            "running",
            {"progress": None, "runs": 3},
            [
                *(ACCEPTED, STARTED, "done | Job created | 3 runs so far; each starts from the beginning."),
                *("now | Reading estimates | No page has been read yet.", END_NEXT, CALLBACK_NEXT),
            ],
            id="its third run",
        ),
        pytest.param(
            "running",
            {"cancel": True},
            [
                *(ACCEPTED, STARTED, "done | Job created"),
                *("now | Stopping | Page 9 of 17, 1,900 estimates so far.", END_NEXT, CALLBACK_NEXT),
            ],
            id="stopping",
        ),
        pytest.param(
            "stalled",
            {"conditions": (STALLED,)},
            [
                *(ACCEPTED, STARTED, "done | Job created"),
                *(f"stalled | Needs help | 22:25:00 | {PULL_CURE}", END_NEXT, CALLBACK_NEXT),
            ],
            id="stalled",
        ),
        pytest.param("succeeded", {}, [ACCEPTED, STARTED, "done | Job created", STORED], id="succeeded"),
        pytest.param("succeeded", {"job_name": None}, [ACCEPTED, STARTED, STORED], id="without a job"),
        pytest.param(
            "failed",
            {},
            [
                *(ACCEPTED, STARTED),
                "failed | Failed | 22:20:20 | Nothing was stored. | Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD",
            ],
            id="failed",
        ),
        pytest.param(
            "cancelled", {}, [ACCEPTED, "cancelled | Cancelled | 22:20:24 | Nothing was stored."], id="cancelled"
        ),
    ],
)
def test_the_timeline_shows_what_happened_and_what_comes_next(
    make_sync: Make, english: Localizer, now: datetime, state: str, changes: dict[str, Any], steps: list[str]
) -> None:
    assert list_steps(make_sync(state, **changes), english, now) == steps


def test_a_sync_that_wants_no_callback_announces_none(make_sync: Make, english: Localizer, now: datetime) -> None:
    sync = make_sync("running")
    spec = msgspec.structs.replace(sync.spec, callback=CallbackSpec(enabled=False))

    steps = list_steps(msgspec.structs.replace(sync, spec=spec), english, now)

    assert steps[-1] == END_NEXT


@pytest.mark.parametrize(
    ("state", "changes", "counts", "can_be_cancelled"),
    [
        pytest.param("unseen", {}, [], True, id="unseen"),
        pytest.param("queued", {"cancel": True}, [], False, id="cancelled in the queue"),
        pytest.param("running", {}, ["Fetched so far: 1,900"], True, id="running"),
        pytest.param("stalled", {}, [], True, id="stalled"),
        pytest.param(
            "succeeded",
            {},
            ["Fetched: 1,609", "New: 45", "Changed: 64", "Unchanged: 1,500", "Skipped: 0"],
            False,
            id="succeeded",
        ),
        pytest.param(
            "succeeded",
            {"results": Results(total_fetched=7, new_estimates=7, previous_total_fetched=1609)},
            [
                "Fetched: 7",
                "New: 7",
                "Changed: 0",
                "Unchanged: 0",
                "Skipped: 0",
                "Fetched the time before: 1,609",
            ],
            False,
            id="succeeded, with something to compare to",
        ),
        pytest.param(
            "succeeded",
            {"results": Results(total_fetched=7, updated_estimates=7, unchanged_estimates=7, deleted_estimates=2)},
            ["Fetched: 7", "New: 0", "Changed: 0", "Unchanged: 7", "Skipped: 0", "Deleted: 2"],
            False,
            id="succeeded, and something is gone",
        ),
        pytest.param("failed", {"progress": PAGE}, [], False, id="failed: nothing is stored"),
    ],
)
def test_counts_are_those_of_what_is_stored_or_of_what_is_fetched_so_far(
    *, make_sync: Make, english: Localizer, now: datetime, state: str, changes: dict[str, Any], counts: list[str],
    can_be_cancelled: bool,
) -> None:  # fmt: skip
    detail = build_sync_detail(make_sync(state, **changes), english, now=now)

    assert [f"{field.name}: {field.text}" for field in detail.counts] == counts
    assert detail.can_be_cancelled is can_be_cancelled


def test_counts_say_how_it_was_read_where_changes_were_asked_for(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    told = []
    for mode in Mode:
        sync = make_sync("succeeded", mode=mode)
        sync = msgspec.structs.replace(sync, spec=msgspec.structs.replace(sync.spec, mode=Mode.CHANGES))
        told.append(build_sync_detail(sync, english, now=now).counts[-1].text)

    assert told == ["the whole range", "only what had changed"]


@pytest.mark.parametrize(
    ("state", "details"),
    [
        pytest.param("unseen", {"Time limit in seconds": "3600"}, id="unseen"),
        pytest.param(
            "stalled",
            {
                "Reason": "ImagePullFailed",
                "Message": "The sync image is not available. Check its name: it is not there",
                "Job": "estimatesync-1",
                "Latest pod": "estimatesync-1-x",
                "Runs": "2",
                "Time limit in seconds": "3600",
            },
            id="stalled",
        ),
        pytest.param(
            "succeeded",
            {
                "Reason": "Succeeded",
                "Job": "estimatesync-1",
                "webhook-id of the callback": "msg_1",
                "Time limit in seconds": "3600",
            },
            id="succeeded",
        ),
    ],
)
def test_the_technical_details_name_what_other_tools_call_it(
    make_sync: Make, english: Localizer, now: datetime, state: str, details: dict[str, str]
) -> None:
    where = {"pod_name": "estimatesync-1-x", "runs": 2} if state == "stalled" else {}

    detail = build_sync_detail(make_sync(state, **where), english, now=now)

    assert [(field.name, field.text) for field in detail.technical_details] == [
        ("Sync", "est-2"),
        ("UID", "00000000-0000-4000-8000-000000000001"),
        *details.items(),
    ]


@pytest.mark.parametrize(
    ("state", "fields", "error"),
    [
        pytest.param("succeeded", ["Attempts: 1", "Last answer: HTTP 200"], "", id="delivered"),
        pytest.param(
            "failed",
            ["Attempts: 2", "Last attempt: 22:20:26", "Last answer: HTTP 503", "Next attempt: 22:30:35"],
            "HTTP 503: the receiver could not take the callback",
            id="tried again",
        ),
        pytest.param("cancelled", [], "No callback is sent for this sync.", id="disabled"),
    ],
)
def test_the_callback_shows_its_attempts_and_its_last_answer(
    make_sync: Make, english: Localizer, now: datetime, state: str, fields: list[str], error: str
) -> None:
    (callback,) = build_sync_detail(make_sync(state), english, now=now).callbacks

    assert [f"{each.name}: {each.moment.text if each.moment else each.text}" for each in callback.fields] == fields
    assert callback.error == error


def test_before_a_callback_is_owed_there_is_nothing_to_show_of_it(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    assert build_sync_detail(make_sync("running"), english, now=now).callbacks == ()


def test_each_target_has_its_own_callback_and_the_worst_stands_for_all(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    callbacks = tuple(
        CallbackStatus(state=state, target=target, id=f"msg_1_{target}", attempts=1)
        for target, state in (("billing", CallbackState.DELIVERED), ("crm", CallbackState.FAILED))
    )
    sync = make_sync("succeeded", callback=callbacks[0], callbacks=callbacks)

    detail = build_sync_detail(sync, english, now=now)

    assert [(each.target, each.badge.word if each.badge else "") for each in detail.callbacks] == [
        ("billing", "Delivered"),
        ("crm", "Not delivered"),
    ]
    assert detail.row.callback is not None
    assert detail.row.callback.word == "Not delivered"
    assert detail.unheard == ("crm does not know how this sync ended.",)
    shown = {each.name: each.text for each in detail.technical_details}
    assert shown["webhook-id of the callback"] == "msg_1_billing, msg_1_crm"


@pytest.mark.parametrize(
    ("page", "total", "seconds", "left", "said"),
    [
        pytest.param(2, 10, 120, None, "2m", id="too few pages"),
        pytest.param(3, 6, 180, 180, "3m; about 3m to go", id="half of it"),
        pytest.param(3, 4, 3, 1, "3s; less than a minute to go", id="a moment"),
        pytest.param(3, 6, 59, 59, "59s; less than a minute to go", id="just less than a minute"),
        pytest.param(3, 6, 60, 60, "1m; about 1m to go", id="a minute"),
        pytest.param(3, 6, 181, 181, "3m1s; about 4m to go", id="part of a minute more"),
        pytest.param(6, 6, 180, None, "3m", id="all pages are read"),
        pytest.param(3, 6, -60, None, "0s", id="a clock that is behind"),
    ],
)
def test_the_time_left_is_that_of_the_pages_so_far(
    *, make_sync: Make, english: Localizer, now: datetime, page: int, total: int, seconds: int, left: int | None,
    said: str,
) -> None:  # fmt: skip
    progress = build_progress(page=page, total_pages=total, fetched=100 * page)
    start = now - timedelta(seconds=seconds)

    sync = make_sync("running", progress=progress, start_time=start)

    assert compute_time_left(sync, now=now) == (left and timedelta(seconds=left))
    assert format_headline(sync, english, now=now) == f"Running for {said}."


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        pytest.param("succeeded", {"progress": PAGE}, id="ended"),
        pytest.param("running", {"progress": None}, id="without progress"),
        pytest.param("running", {"start_time": None}, id="without a start"),
    ],
)
def test_no_time_is_left_where_none_can_be_known(
    make_sync: Make, now: datetime, state: str, changes: dict[str, Any]
) -> None:
    assert compute_time_left(make_sync(state, **changes), now=now) is None


@pytest.mark.parametrize(
    ("queue", "in_english", "in_spanish"),
    [
        pytest.param(
            QueuePlace(position=5), "Position 5 in the queue.", "Puesto 5 en la cola.", id="nothing is running"
        ),
        pytest.param(
            QueuePlace(position=1000, exact=False),
            "Position 1,000 in the queue, or later.",
            "Puesto 1000 en la cola, o posterior.",
            id="far behind",
        ),
    ],
)
def test_the_position_in_the_queue_is_shown_in_words(
    make_sync: Make, english: Localizer, spanish: Localizer, queue: QueuePlace, in_english: str, in_spanish: str
) -> None:
    sync = make_sync("queued", queue=queue)

    assert [format_waiting_reason(sync, each) for each in (english, spanish)] == [in_english, in_spanish]


def test_what_is_waited_for_is_linked_by_its_days_and_its_page(
    make_sync: Make, english: Localizer, spanish: Localizer, now: datetime
) -> None:
    queue = QueuePlace(position=1, ahead=("est-1", "est-gone", "est-3"), more_ahead=2)
    waiting = make_sync("queued", queue=queue)
    running = [make_sync("running", name="est-3", progress=None), make_sync("running", name="est-1")]

    shown = build_sync_detail(waiting, english, now=now, running=running)
    suspended = build_sync_detail(make_sync("queued", queue=queue, suspend=True), english, now=now, running=running)

    assert [(each.address, plain(each.days), each.progress) for each in shown.ahead] == [
        ("/page/syncs/est-1", "1 Sep \N{EN DASH} 16 Oct 2025", "page 9 of 17"),
        ("/page/syncs/est-3", "1 Sep \N{EN DASH} 16 Oct 2025", ""),
    ]
    assert (shown.more_ahead, suspended.ahead, suspended.more_ahead) == ("and 2 more", (), "")
    assert shown.headline == "Waiting for its turn. Position 1 in the queue."
    assert "est-" not in " ".join(step.text for step in shown.timeline)
    assert build_sync_detail(waiting, spanish, now=now, running=running).more_ahead == "y 2 más"


def test_a_log_that_is_not_there_has_its_reason(make_sync: Make, english: Localizer, now: datetime) -> None:
    said = [build_sync_detail(make_sync(state), english, now=now).no_log for state in ("queued", "running")]

    assert said == [
        "The sync has not begun, so there is no log yet.",
        "Nothing has been logged yet, or the log is gone.",
    ]


@pytest.mark.parametrize(
    ("flash", "states"),
    [
        ("started", {"queued", "running"}),
        ("cancelled", {"queued", "running"}),
        ("too_late", {"succeeded", "failed"}),
        ("redelivered", {"failed"}),
        ("made_up", set()),
        ("", set()),
    ],
)
def test_what_was_said_after_a_form_ends_with_what_it_speaks_of(make_sync: Make, flash: str, states: set[str]) -> None:
    syncs = {state: make_sync(state) for state in ("queued", "running", "succeeded", "failed")}

    assert {state for state, sync in syncs.items() if is_flash_true(flash, sync)} == states


def test_a_callback_that_is_to_be_sent_again_is_announced_until_it_is(make_sync: Make) -> None:
    sync = make_sync("succeeded")
    asked = msgspec.structs.replace(
        sync, metadata=msgspec.structs.replace(sync.metadata, annotations={ANNOTATION_REDELIVER: "page-1"})
    )

    assert [is_flash_true("redelivered", each) for each in (sync, asked)] == [False, True]


def test_an_operator_without_the_field_is_quoted_as_it_is(make_sync: Make, spanish: Localizer) -> None:
    sync = make_sync("queued", queue=None)

    assert format_waiting_reason(sync, spanish) == "Position 2; waiting for est-1"


def test_a_suspended_sync_says_so(make_sync: Make, spanish: Localizer) -> None:
    assert format_waiting_reason(make_sync("queued", suspend=True), spanish).startswith("Está suspendida")


def test_a_sync_that_is_being_cancelled_says_so_and_cannot_be_cancelled_again(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    detail = build_sync_detail(make_sync("running", cancel=True), english, now=now)

    assert (detail.row.badge.word, detail.can_be_cancelled) == ("Stopping", False)


def test_a_cause_comes_with_its_cure_and_what_was_said(make_sync: Make, spanish: Localizer) -> None:
    diagnosis = build_diagnosis(make_sync("failed"), spanish)

    assert diagnosis is not None
    assert diagnosis.happened == "No se pudo iniciar sesión en Attic Tech"
    assert diagnosis.cure == "Revisa ATTIC_TECH_EMAIL y ATTIC_TECH_PASSWORD"
    assert diagnosis.message == "Login to Attic Tech failed: Invalid credentials"


def test_the_cure_is_the_one_that_fits_in_each_language(
    make_sync: Make, english: Localizer, spanish: Localizer
) -> None:
    sync = make_sync("failed", reason="DatabaseRefused", cause="SchemaForeign", message="Words")

    shown = [build_diagnosis(sync, localizer) for localizer in (english, spanish)]

    assert [(each.happened, each.cure) for each in shown if each] == [
        (
            "The database refused the sync: the tables in its schema are not this program's",
            "Choose another DATABASE_SCHEMA",
        ),
        (
            "La base de datos rechazó la sincronización: las tablas de su esquema no son de este programa",
            "Elige otro DATABASE_SCHEMA",
        ),
    ]


@pytest.mark.parametrize(
    ("cause", "lead"),
    [
        pytest.param(
            "SourceNotListening", "Attic Tech does not answer now: nothing listens at its address.", id="Attic Tech"
        ),
        pytest.param(
            "DatabaseBusy", "The database did not answer the run before: it has no free connection.", id="the database"
        ),
    ],
)
def test_a_running_sync_says_at_the_top_whom_it_waits_for(
    make_sync: Make, english: Localizer, now: datetime, cause: str, lead: str
) -> None:
    detail = build_sync_detail(make_sync("running", cause=cause), english, now=now)

    assert detail.headline.endswith(lead)
    assert detail.row.badge.word == "Running"
    assert detail.diagnosis is not None
    assert detail.diagnosis.cure


@pytest.mark.parametrize(
    ("state", "changes", "reason", "message"),
    [
        pytest.param("running", {}, None, "", id="all is well"),
        pytest.param("cancelled", {}, None, "", id="cancelled"),
        pytest.param("failed", {"reason": None, "message": None}, "InternalError", "", id="without a reason"),
        pytest.param("failed", {"message": "Login to Attic Tech failed"}, "LoginFailed", "", id="nothing to add"),
    ],
)
def test_a_diagnosis_is_made_of_what_is_wrong_alone(
    make_sync: Make, english: Localizer, state: str, changes: dict[str, Any], reason: str | None, message: str
) -> None:
    diagnosis = build_diagnosis(make_sync(state, **changes), english)

    assert (diagnosis and diagnosis.reason, diagnosis.message if diagnosis else "") == (reason, message)


def test_a_reason_that_is_newer_than_the_page_is_shown_in_its_own_words(make_sync: Make, english: Localizer) -> None:
    diagnosis = build_diagnosis(make_sync("failed", reason="BrandNew", message="Words of tomorrow"), english)

    assert diagnosis is not None
    assert (diagnosis.happened, diagnosis.cure, diagnosis.message) == ("It failed", "", "Words of tomorrow")


def test_every_attempt_is_shown_newest_first_and_a_reason_only_where_it_differs(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    history = (
        CallbackAttemptRecord(time=now, error="no route"),
        CallbackAttemptRecord(time=now, status_code=503, error="HTTP 503: busy"),
        CallbackAttemptRecord(time=now, status_code=200),
    )
    callback = CallbackStatus(
        state=CallbackState.RETRYING,
        attempts=3,
        last_attempt_time=now,
        next_attempt_time=now,
        last_error="HTTP 503: busy",
        last_status_code=503,
        history=history,
    )

    (callback_detail,) = build_sync_detail(make_sync("succeeded", callback=callback), english, now=now).callbacks

    assert [field.name for field in callback_detail.fields] == ["Next attempt"], "the attempts say the rest"
    assert [(each.badge.word, each.answer, each.why) for each in callback_detail.attempts] == [
        ("Delivered", "HTTP 200", ""),
        ("Refused", "HTTP 503", ""),
        ("No answer", "", "no route"),
    ]


def test_only_what_can_be_sent_again_has_the_button(make_sync: Make, english: Localizer, now: datetime) -> None:
    shown = {state: build_sync_detail(make_sync(state), english, now=now) for state in ("failed", "cancelled")}

    assert {state: each.can_be_redelivered for state, each in shown.items()} == {"failed": True, "cancelled": False}


def sum_up(newest: list[EstimateSync], english: Localizer, now: datetime) -> Summary:
    success = next((each for each in newest if each.status.phase == "Succeeded"), None)
    summary = build_summary(newest, english, now=now, last_success=success, stale_after=timedelta(hours=26))
    assert summary is not None
    return summary


@pytest.mark.parametrize(
    ("states", "tone", "title"),
    [
        (["succeeded"], "succeeded", "All is well"),
        (["running", "succeeded"], "succeeded", "All is well"),
        (["failed", "succeeded"], "failed", "The latest sync failed"),
        (["cancelled", "succeeded", "failed"], "succeeded", "All is well"),
        (["stalled", "failed"], "stalled", "A sync needs help"),
    ],
)
def test_the_summary_names_the_worst_that_is_true_now(
    make_sync: Make, english: Localizer, now: datetime, states: list[str], tone: str, title: str
) -> None:
    summary = sum_up([make_sync(state) for state in states], english, now)

    assert (summary.tone, summary.title) == (tone, title)


@pytest.mark.parametrize(
    ("states", "text", "activity", "trouble", "last_success"),
    [
        pytest.param(
            ["running", "unseen", "queued", "succeeded"], "", "1 running, 2 waiting", None, "est-3", id="at work"
        ),
        pytest.param(["queued"], "", "0 running, 1 waiting", None, None, id="the first one"),
        pytest.param(
            ["failed", "succeeded", "succeeded"],
            "Login to Attic Tech failed · Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD",
            "Nothing is running",
            "est-0",
            "est-1",
            id="failed",
        ),
        pytest.param(
            ["running", "stalled", "failed"],
            f"The sync image is not available · {PULL_CURE}",
            "2 running, 0 waiting",
            "est-1",
            None,
            id="stalled",
        ),
    ],
)
def test_the_summary_says_what_is_going_on_and_where_to_look(
    *, make_sync: Make, english: Localizer, now: datetime, states: list[str], text: str, activity: str,
    trouble: str | None, last_success: str | None,
) -> None:  # fmt: skip
    summary = sum_up([make_sync(s, name=f"est-{n}") for n, s in enumerate(states)], english, now)

    assert (summary.text, summary.activity) == (text, activity)
    assert (summary.trouble and summary.trouble.name) == trouble
    assert (summary.last_success and summary.last_success.name) == last_success


def test_a_callback_that_was_given_up_is_trouble(make_sync: Make, english: Localizer, now: datetime) -> None:
    sync = make_sync("succeeded", callback=CallbackStatus(state=CallbackState.FAILED, attempts=10))

    one = sum_up([sync], english, now)
    three = sum_up([make_sync("running"), make_sync("succeeded"), sync, make_sync("failed"), sync, sync], english, now)

    assert (one.title, one.tone) == ("A callback was not delivered; Make.com does not know", "stalled")
    assert (three.title, three.tone) == ("3 callbacks were not delivered; Make.com does not know", "stalled")
    assert one.text == "Correct what the page of the sync says, then send again what was not delivered."
    assert (one.undelivered, one.can_send_again) == ("", True), "the title says it"


def retry(attempts: int, target: str | None = None) -> CallbackStatus:
    error = "HTTP 503: the receiver could not take the callback"
    return CallbackStatus(state=CallbackState.RETRYING, attempts=attempts, last_error=error, target=target)


def test_callbacks_that_are_all_being_retried_are_not_called_well(
    make_sync: Make, english: Localizer, spanish: Localizer, now: datetime
) -> None:
    two = [make_sync("succeeded", name=f"est-{number}", callback=retry(1)) for number in (2, 1)]
    syncs = [make_sync("running"), make_sync("cancelled"), *two, make_sync("succeeded")]

    many, one = sum_up(syncs, english, now), sum_up([make_sync("succeeded", callback=retry(2))], spanish, now)

    assert (many.tone, many.title) == ("stalled", "2 callbacks are not delivered yet; they are being retried")
    assert many.text == (
        "HTTP 503: the receiver could not take the callback · The page of the sync says when the next attempt is"
    )
    assert (many.trouble and many.trouble.name, many.can_send_again) == ("est-2", False)
    assert (one.tone, one.title) == ("stalled", "Un callback aún no se entregó; se sigue intentando")


@pytest.mark.parametrize(
    "callbacks",
    [
        pytest.param([(retry(1),)], id="an accident"),
        pytest.param([(), (retry(1),)], id="an accident before one without a callback"),
        pytest.param(
            [(CallbackStatus(state=CallbackState.DELIVERED),), (retry(5),), (retry(5),)], id="one got through since"
        ),
    ],
)
def test_a_callback_that_will_come_is_no_trouble(
    make_sync: Make, english: Localizer, now: datetime, callbacks: list[tuple[CallbackStatus, ...]]
) -> None:
    syncs = [make_sync("succeeded", callback=None, callbacks=each) for each in callbacks]

    assert sum_up(syncs, english, now).title == "All is well"


def test_a_target_that_is_not_reached_is_named_though_others_are(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    billing = CallbackStatus(state=CallbackState.DELIVERED, target="billing")
    sync = make_sync("succeeded", callback=None, callbacks=(billing, retry(3, "crm")))

    summary = sum_up([sync], english, now)

    assert (summary.tone, summary.title) == ("stalled", "A callback is not delivered yet; it is being retried")
    assert summary.text.startswith("crm · HTTP 503")


def test_the_last_success_is_when_it_ended(make_sync: Make, english: Localizer, now: datetime) -> None:
    row = build_sync_row(make_sync("succeeded"), english, now=now)

    assert (row.accepted and row.accepted.text, row.ended and row.ended.text) == ("22:20:15", "22:28:25")
    assert build_sync_row(make_sync("running"), english, now=now).ended is None


def test_an_alert_that_was_given_up_can_be_sent_again_with_the_callbacks(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    lost = AlertStatus(time=now, since=now, stale_after_hours=26, delivery=CallbackStatus(state=CallbackState.FAILED))
    delivered = CallbackStatus(state=CallbackState.DELIVERED)

    summary = sum_up([make_sync("succeeded", callback=delivered, alert=lost)], english, now)

    assert (summary.title, summary.can_send_again) == ("A callback was not delivered; Make.com does not know", True)


def test_callbacks_that_were_given_up_are_told_once(make_sync: Make, english: Localizer, now: datetime) -> None:
    given_up = make_sync("succeeded", callback=CallbackStatus(state=CallbackState.FAILED, attempts=10))

    failed = sum_up([make_sync("failed"), given_up, given_up], english, now)
    well = sum_up([make_sync("running"), make_sync("succeeded")], english, now)

    assert (failed.title, failed.undelivered) == (
        "The latest sync failed",
        "The callbacks of 2 syncs were not delivered.",
    )
    assert (failed.can_send_again, well.undelivered, well.can_send_again) == (True, "", False)
    assert (well.is_any_active, sum_up([given_up], english, now).is_any_active) == (True, False)


def test_each_filter_says_how_many_it_shows(english: Localizer) -> None:
    counts = {Phase.SUCCEEDED: 1200, Phase.RUNNING: 1, Phase.QUEUED: 2}

    filters = count_filters(counts, english, chosen="queued")

    assert [(each.status, each.name, each.count) for each in filters] == [
        ("", "All", "1,203"),
        ("running", "Running", "1"),
        ("queued", "Waiting", "2"),
        ("succeeded", "Succeeded", "1,200"),
        ("failed", "Failed", "0"),
        ("cancelled", "Cancelled", "0"),
    ]
    assert [each.status for each in filters if each.is_chosen] == ["queued"]


@pytest.mark.parametrize(
    ("age", "stale_after", "title"),
    [
        pytest.param(timedelta(hours=26), timedelta(hours=26), "All is well", id="just not"),
        pytest.param(timedelta(hours=26, seconds=1), timedelta(hours=26), "Last success 26 hours ago", id="just"),
        pytest.param(timedelta(hours=1, seconds=1), timedelta(hours=1), "Last success 1 hour ago", id="an hour"),
        pytest.param(timedelta(days=3, hours=5), timedelta(hours=26), "Last success 3 days ago", id="days"),
        pytest.param(timedelta(days=300), None, "All is well", id="switched off"),
    ],
)
def test_a_silence_is_not_called_well(
    make_sync: Make, english: Localizer, now: datetime, age: timedelta, stale_after: timedelta | None, title: str
) -> None:
    old = make_sync("succeeded", completion_time=now - age)
    later = make_sync("cancelled")

    summary = build_summary([later], english, now=now, last_success=old, stale_after=stale_after)
    failed = build_summary([make_sync("failed")], english, now=now, last_success=old, stale_after=stale_after)

    assert summary is not None
    assert failed is not None
    assert (summary.title, failed.title) == (title, "The latest sync failed")
    assert summary.last_success is not None


@pytest.mark.parametrize(
    ("age", "stale_after", "title"),
    [
        pytest.param(timedelta(hours=26), timedelta(hours=26), "All is well", id="just not"),
        pytest.param(timedelta(hours=26, seconds=1), timedelta(hours=26), "No sync here has succeeded", id="just"),
        pytest.param(timedelta(days=300), None, "All is well", id="switched off"),
    ],
)
def test_that_none_has_succeeded_since_the_oldest_is_not_called_well(
    make_sync: Make, english: Localizer, now: datetime, age: timedelta, stale_after: timedelta | None, title: str
) -> None:
    newest, oldest = make_sync("cancelled", name="newest"), make_sync("cancelled", name="oldest")
    metadata = msgspec.structs.replace(oldest.metadata, creation_timestamp=now - age)
    oldest = msgspec.structs.replace(oldest, metadata=metadata)

    summary = build_summary([newest, oldest], english, now=now, last_success=None, stale_after=stale_after)

    assert summary is not None
    assert (summary.title, summary.last_success) == (title, None)
    if title != "All is well":
        assert (summary.tone, summary.trouble and summary.trouble.name) == ("stalled", "newest")
        assert summary.text.startswith("All of them were cancelled or have not ended.")


def test_no_syncs_have_no_summary(english: Localizer, now: datetime) -> None:
    assert build_summary([], english, now=now, last_success=None, stale_after=None) is None
