"""What people read about a sync in each of its states."""

from collections.abc import Callable
from datetime import datetime

import pytest
from estimatesync_api.status_page.core.detail_view import (
    build_progress_grid,
    build_sync_detail,
    build_timeline,
    format_waiting_reason,
)
from estimatesync_api.status_page.core.list_view import build_diagnosis, build_summary, build_sync_row
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_contract.causes import CAUSES, Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import (
    CallbackAttemptRecord,
    CallbackState,
    CallbackStatus,
    QueuePlace,
    build_progress,
)

Make = Callable[..., EstimateSync]
IMAGE_PULL_FAILED = next(cause.happened for cause in CAUSES if cause.reason is Reason.IMAGE_PULL_FAILED)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("state", "headline"),
    [
        ("unseen", "Waiting for its turn. It has not been picked up yet."),
        ("queued", "Waiting for its turn. Position 2 in the queue. Running now: est-1."),
        ("running", "Running for 9 min 57 s; about 9 min to go."),
        ("stalled", f"It cannot continue: {IMAGE_PULL_FAILED}."),
        ("succeeded", "Done in 8 min 7 s. Every estimate of these days is in the database."),
        ("failed", "Login to Attic Tech failed. The database is as it was before."),
        ("cancelled", "Cancelled. The database is as it was before."),
    ],
)
def test_one_sentence_says_how_a_sync_is(
    make_sync: Make, english: Localizer, now: datetime, state: str, headline: str
) -> None:
    detail = build_sync_detail(make_sync(state), english, now=now)

    assert plain(detail.headline) == headline


@pytest.mark.parametrize(
    ("state", "tone", "word", "summary"),
    [
        ("unseen", "queued", "Waiting", ""),
        ("running", "running", "Running", "9 min 57 s"),
        ("stalled", "stalled", "Needs help", "9 min 57 s"),
        ("succeeded", "succeeded", "Succeeded", "45 new, 1,564 updated · 8 min 7 s · Delivered"),
        ("failed", "failed", "Failed", "2 s · Retrying"),
        ("cancelled", "cancelled", "Cancelled", "None"),
    ],
)
def test_the_list_shows_what_matters(
    make_sync: Make, english: Localizer, now: datetime, state: str, tone: str, word: str, summary: str
) -> None:
    row = build_sync_row(make_sync(state), english, now=now)

    assert (row.badge.tone, row.badge.word, plain(row.one_line)) == (tone, word, summary)
    assert plain(row.days) == "1 Sep \N{EN DASH} 16 Oct 2025"


def test_the_list_speaks_spanish(make_sync: Make, spanish: Localizer, now: datetime) -> None:
    row = build_sync_row(make_sync("succeeded"), spanish, now=now)

    assert plain(row.one_line) == "45 nuevos, 1564 actualizados · 8 min 7 s · Entregado"
    assert plain(row.days) == "1 sept \N{EN DASH} 16 oct 2025"


@pytest.mark.parametrize(
    ("state", "titles"),
    [
        ("queued", ["Accepted", "Waiting for its turn", "Starts when its turn comes", "The callback is sent"]),
        (
            "running",
            [
                *("Accepted", "Started", "Job created", "Reading estimates"),
                *("At the end, everything is stored at once, or nothing is", "The callback is sent"),
            ],
        ),
        ("succeeded", ["Accepted", "Started", "Job created", "Stored", "Callback delivered"]),
        ("failed", ["Accepted", "Started", "Failed", "The callback was not accepted", "The callback is tried again"]),
        ("cancelled", ["Accepted", "Cancelled", "No callback is sent"]),
    ],
)
def test_the_timeline_shows_what_happened_and_what_comes_next(
    make_sync: Make, english: Localizer, now: datetime, state: str, titles: list[str]
) -> None:
    steps = build_timeline(make_sync(state), english, now=now)

    assert [step.title for step in steps] == titles


def test_the_timeline_of_a_callback_shows_attempts_code_and_next_attempt(
    make_sync: Make, english: Localizer, now: datetime
) -> None:
    *_, attempt, again = build_timeline(make_sync("failed"), english, now=now)

    assert attempt.text == "2 attempts · the last answer was HTTP 503"
    assert attempt.at is not None
    assert again.at is not None
    assert (attempt.at.instant, again.at.instant) == ("2025-10-17T02:20:26.000Z", "2025-10-17T02:30:35.000Z")


@pytest.mark.parametrize(
    ("queue", "in_english", "in_spanish"),
    [
        pytest.param(
            QueuePlace(position=1, ahead=("est-1", "est-2"), more_ahead=3),
            "Position 1 in the queue. Running now: est-1, est-2 and 3 more.",
            "Puesto 1 en la cola. En curso ahora: est-1, est-2 y 3 más.",
            id="next, behind many",
        ),
        pytest.param(
            QueuePlace(position=1, ahead=("est-1",)),
            "Position 1 in the queue. Running now: est-1.",
            "Puesto 1 en la cola. En curso ahora: est-1.",
            id="next",
        ),
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
    callback = CallbackStatus(state=CallbackState.RETRYING, attempts=3, last_error="HTTP 503: busy", history=history)

    callback_detail = build_sync_detail(make_sync("succeeded", callback=callback), english, now=now).callback

    assert callback_detail is not None
    assert [(each.badge.word, each.answer, each.why) for each in callback_detail.attempts] == [
        ("Delivered", "HTTP 200", ""),
        ("Not accepted", "HTTP 503", ""),
        ("Not accepted", "no answer", "no route"),
    ]


def test_only_what_can_be_sent_again_has_the_button(make_sync: Make, english: Localizer, now: datetime) -> None:
    shown = {state: build_sync_detail(make_sync(state), english, now=now).callback for state in ("failed", "cancelled")}

    assert {state: each.can_be_sent for state, each in shown.items() if each} == {"failed": True, "cancelled": False}


@pytest.mark.parametrize(
    ("states", "tone", "title"),
    [
        (["succeeded"], "succeeded", "All is well"),
        (["running", "succeeded"], "running", "All is well"),
        (["failed", "succeeded"], "failed", "The latest sync failed"),
        (["cancelled", "succeeded", "failed"], "succeeded", "All is well"),
        (["stalled", "failed"], "stalled", "A sync needs help"),
    ],
)
def test_the_summary_names_the_worst_that_is_true_now(
    make_sync: Make, english: Localizer, now: datetime, states: list[str], tone: str, title: str
) -> None:
    summary = build_summary([make_sync(state) for state in states], english, now=now)

    assert summary is not None
    assert (summary.tone, summary.title) == (tone, title)


def test_a_callback_that_was_given_up_is_trouble(make_sync: Make, english: Localizer, now: datetime) -> None:
    sync = make_sync("succeeded", callback=CallbackStatus(state=CallbackState.FAILED, attempts=10))

    summary = build_summary([sync], english, now=now)

    assert summary is not None
    assert summary.title == "A callback could not be delivered"


def test_no_syncs_have_no_summary(english: Localizer, now: datetime) -> None:
    assert build_summary([], english, now=now) is None


def test_the_grid_has_a_square_for_each_page() -> None:
    drawn = build_progress_grid(build_progress(page=41, total_pages=90, fetched=4100))

    assert drawn is not None
    assert [square.is_read for square in drawn.squares] == [True] * 41 + [False] * 49
    assert {square.y for square in drawn.squares} == {0, 15, 30}
    assert build_progress_grid(build_progress(page=1, total_pages=5000, fetched=100)) is None
    assert build_progress_grid(None) is None
