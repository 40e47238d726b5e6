"""What people read about a sync in each of its states."""

from collections.abc import Callable
from datetime import datetime

import pytest
from estimatesync_api.status_page.core.detail_view import build_page_map, build_timeline, say_wait, show_sync
from estimatesync_api.status_page.core.list_view import build_overview, find_cause, see_sync
from estimatesync_api.status_page.core.localization import Tongue
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackAttemptRecord, CallbackState, CallbackStatus, build_progress

Make = Callable[..., EstimateSync]


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("state", "headline"),
    [
        ("unseen", "Waiting for its turn. Nobody has looked at it yet."),
        ("queued", "Waiting for its turn. Place 2 in the line. Running now: est-1."),
        ("running", "Running for 9 min 57 s; about 9 min to go."),
        ("stalled", "It cannot go on: The sync image cannot be had."),
        ("succeeded", "Done in 8 min 7 s. Every estimate of these days is in the database."),
        ("failed", "Login to Attic Tech failed. The database is as it was before."),
        ("cancelled", "Cancelled. The database is as it was before."),
    ],
)
def test_one_sentence_says_how_a_sync_is(
    make_sync: Make, english: Tongue, now: datetime, state: str, headline: str
) -> None:
    shown = show_sync(make_sync(state), english, now=now)

    assert plain(shown.headline) == headline


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
    make_sync: Make, english: Tongue, now: datetime, state: str, tone: str, word: str, summary: str
) -> None:
    seen = see_sync(make_sync(state), english, now=now)

    assert (seen.mark.tone, seen.mark.word, plain(seen.summary)) == (tone, word, summary)
    assert plain(seen.days) == "1 Sep \N{EN DASH} 16 Oct 2025"


def test_the_list_speaks_spanish(make_sync: Make, spanish: Tongue, now: datetime) -> None:
    seen = see_sync(make_sync("succeeded"), spanish, now=now)

    assert plain(seen.summary) == "45 nuevos, 1564 actualizados · 8 min 7 s · Entregado"
    assert plain(seen.days) == "1 sept \N{EN DASH} 16 oct 2025"


@pytest.mark.parametrize(
    ("state", "titles"),
    [
        ("queued", ["Accepted", "Waiting for its turn", "Begins when it is its turn", "The callback is sent"]),
        (
            "running",
            [
                *("Accepted", "Got its turn", "Job created", "Reading estimates"),
                *("Everything is stored at once at the end, or nothing", "The callback is sent"),
            ],
        ),
        ("succeeded", ["Accepted", "Got its turn", "Job created", "Stored", "Callback delivered"]),
        ("failed", ["Accepted", "Got its turn", "Failed", "The callback was not taken", "The callback is tried again"]),
        ("cancelled", ["Accepted", "Cancelled", "Nobody is to be told"]),
    ],
)
def test_the_timeline_tells_the_story_and_what_comes_next(
    make_sync: Make, english: Tongue, now: datetime, state: str, titles: list[str]
) -> None:
    steps = build_timeline(make_sync(state), english, now=now)

    assert [step.title for step in steps] == titles


def test_the_timeline_of_a_callback_tells_attempts_code_and_next_try(
    make_sync: Make, english: Tongue, now: datetime
) -> None:
    *_, attempt, again = build_timeline(make_sync("failed"), english, now=now)

    assert attempt.text == "2 attempts · the last answer was HTTP 503"
    assert attempt.at is not None
    assert again.at is not None
    assert (attempt.at.instant, again.at.instant) == ("2025-10-17T02:20:26.000Z", "2025-10-17T02:30:35.000Z")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "Position 1; waiting for est-1, est-2 and 3 more",
            "Place 1 in the line. Running now: est-1, est-2 and 3 more.",
        ),
        ("Position 100 or later", "Place 100 in the line, or later."),
        ("Something that this page has never heard", "Something that this page has never heard"),
    ],
)
def test_the_place_in_the_line_is_told_in_words(make_sync: Make, english: Tongue, message: str, said: str) -> None:
    assert say_wait(make_sync("queued", message=message), english) == said


def test_a_suspended_sync_says_so(make_sync: Make, spanish: Tongue) -> None:
    assert say_wait(make_sync("queued", suspend=True), spanish).startswith("Alguien la ha suspendido")


def test_a_sync_that_is_being_cancelled_says_so_and_cannot_be_cancelled_again(
    make_sync: Make, english: Tongue, now: datetime
) -> None:
    shown = show_sync(make_sync("running", cancel=True), english, now=now)

    assert (shown.seen.mark.word, shown.can_be_cancelled) == ("Stopping", False)


def test_a_cause_comes_with_its_cure_and_what_was_said(make_sync: Make, spanish: Tongue) -> None:
    cause = find_cause(make_sync("failed"), spanish)

    assert cause is not None
    assert cause.happened == "No se pudo iniciar sesión en Attic Tech"
    assert cause.cure == "Revise ATTIC_TECH_EMAIL y ATTIC_TECH_PASSWORD"
    assert cause.message == "Login to Attic Tech failed: Invalid credentials"


def test_a_reason_that_is_newer_than_the_page_is_told_in_its_own_words(make_sync: Make, english: Tongue) -> None:
    cause = find_cause(make_sync("failed", reason="BrandNew", message="Words of tomorrow"), english)

    assert cause is not None
    assert (cause.happened, cause.cure, cause.message) == ("It failed", "", "Words of tomorrow")


def test_every_attempt_is_told_the_newest_first_and_a_reason_only_where_it_differs(
    make_sync: Make, english: Tongue, now: datetime
) -> None:
    history = (
        CallbackAttemptRecord(time=now, error="no route"),
        CallbackAttemptRecord(time=now, status_code=503, error="HTTP 503: busy"),
        CallbackAttemptRecord(time=now, status_code=200),
    )
    callback = CallbackStatus(state=CallbackState.RETRYING, attempts=3, last_error="HTTP 503: busy", history=history)

    shown = show_sync(make_sync("succeeded", callback=callback), english, now=now).callback

    assert shown is not None
    assert [(each.mark.word, each.answer, each.why) for each in shown.attempts] == [
        ("Delivered", "HTTP 200", ""),
        ("Not taken", "HTTP 503", ""),
        ("Not taken", "no answer", "no route"),
    ]


def test_only_what_can_be_sent_again_has_the_button(make_sync: Make, english: Tongue, now: datetime) -> None:
    shown = {state: show_sync(make_sync(state), english, now=now).callback for state in ("failed", "cancelled")}

    assert {state: each.can_be_sent for state, each in shown.items() if each} == {"failed": True, "cancelled": False}


@pytest.mark.parametrize(
    ("states", "tone", "title"),
    [
        (["succeeded"], "succeeded", "All is well"),
        (["running", "succeeded"], "running", "All is well"),
        (["failed", "succeeded"], "failed", "The newest sync failed"),
        (["cancelled", "succeeded", "failed"], "succeeded", "All is well"),
        (["stalled", "failed"], "stalled", "A sync needs help"),
    ],
)
def test_the_overview_names_the_worst_that_is_true_now(
    make_sync: Make, english: Tongue, now: datetime, states: list[str], tone: str, title: str
) -> None:
    overview = build_overview([make_sync(state) for state in states], english, now=now)

    assert overview is not None
    assert (overview.tone, overview.title) == (tone, title)


def test_a_callback_that_was_given_up_is_trouble(make_sync: Make, english: Tongue, now: datetime) -> None:
    sync = make_sync("succeeded", callback=CallbackStatus(state=CallbackState.FAILED, attempts=10))

    overview = build_overview([sync], english, now=now)

    assert overview is not None
    assert overview.title == "A callback could not be delivered"


def test_nothing_at_all_has_no_overview(english: Tongue, now: datetime) -> None:
    assert build_overview([], english, now=now) is None


def test_the_map_has_a_square_for_each_page() -> None:
    drawn = build_page_map(build_progress(page=41, total_pages=90, fetched=4100))

    assert drawn is not None
    assert [square.is_read for square in drawn.squares] == [True] * 41 + [False] * 49
    assert {square.y for square in drawn.squares} == {0, 15, 30}
    assert build_page_map(build_progress(page=1, total_pages=5000, fetched=100)) is None
    assert build_page_map(None) is None
