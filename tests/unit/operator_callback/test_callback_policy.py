"""The delivery policy: what each answer means, when the next attempt is, and what the status says of it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from estimatesync_contract.status import (
    ATTEMPT_ERROR_MAX_LENGTH,
    ATTEMPTS_KEPT,
    MESSAGE_MAX_LENGTH,
    CallbackAttemptRecord,
    CallbackState,
    CallbackStatus,
)
from estimatesync_operator.callback.policy import (
    CLOSED_DURATION,
    LEAST_DURATION,
    MAX_ATTEMPTS,
    MAX_RETRY_AFTER,
    MOST_ATTEMPTS,
    CallbackDecision,
    compute_callback_status,
    compute_retry_delay,
    decide_callback,
)
from estimatesync_operator.core.ports import CallbackAttempt
from estimatesync_operator.core.retention import LONGEST_WAIT

NOW = datetime(2025, 10, 16, 14, 15, 30, tzinfo=UTC)
PENDING = CallbackStatus(state=CallbackState.PENDING, id="msg_6f1c", environment="production")
ALMOST_ONE = 0.999_999


def decide(attempt: CallbackAttempt, attempts_made: int = 1, jitter: float = 0.0) -> CallbackDecision:
    elapsed = timedelta(hours=18) if attempts_made >= MAX_ATTEMPTS else timedelta()
    return decide_callback(attempt, attempts_made=attempts_made, elapsed=elapsed, now=NOW, jitter=jitter)


def deliver(*codes: int, last: int, jitter: float = 0.0) -> list[tuple[timedelta, CallbackStatus]]:
    """Attempt until the delivery ends, with these answers and then always the last; each attempt's time and status."""
    attempts: list[tuple[timedelta, CallbackStatus]] = []
    status, now = PENDING, NOW
    while not status.state.is_final:
        code = codes[len(attempts)] if len(attempts) < len(codes) else last
        status = compute_callback_status(status, CallbackAttempt(status_code=code), now=now, jitter=jitter)
        attempts.append((now - NOW, status))
        now = status.next_attempt_time or now
    return attempts


@pytest.mark.parametrize("status_code", [200, 201, 202, 204, 299])
def test_success_of_any_kind_delivers(status_code: int) -> None:
    decision = decide(CallbackAttempt(status_code=status_code))

    assert decision == CallbackDecision(state=CallbackState.DELIVERED)


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        pytest.param(CallbackAttempt(error="it did not answer in time"), "did not answer", id="network"),
        pytest.param(CallbackAttempt(), "not answered", id="nothing-known"),
        pytest.param(CallbackAttempt(error="set X=true", is_refused=True), "set X=true", id="refused-target"),
        pytest.param(CallbackAttempt(status_code=408), "HTTP 408", id="408"),
        pytest.param(CallbackAttempt(status_code=425), "HTTP 425", id="425"),
        pytest.param(CallbackAttempt(status_code=429), "no more requests", id="429"),
        pytest.param(CallbackAttempt(status_code=404), "no webhook at this address now", id="404"),
        pytest.param(CallbackAttempt(status_code=409), "takes no calls now; switch its scenario on", id="409"),
        pytest.param(CallbackAttempt(status_code=421), "does not serve this webhook now", id="421"),
        pytest.param(CallbackAttempt(status_code=423), "locked now", id="423"),
        pytest.param(CallbackAttempt(status_code=500), "HTTP 500", id="500"),
        pytest.param(CallbackAttempt(status_code=503), "HTTP 503", id="503"),
        pytest.param(CallbackAttempt(status_code=599), "HTTP 599", id="599"),
        pytest.param(CallbackAttempt(status_code=400, body_excerpt="Queue is full"), "queue is full", id="queue-full"),
        pytest.param(CallbackAttempt(status_code=400, body_excerpt="Queue is full.\n"), "queue is full", id="with-dot"),
    ],
)
def test_what_may_pass_is_retried(attempt: CallbackAttempt, says: str) -> None:
    decision = decide(attempt)

    assert decision.state is CallbackState.RETRYING
    assert decision.next_attempt_time == NOW + timedelta(seconds=5)
    assert says in (decision.error or "")


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        pytest.param(CallbackAttempt(status_code=302), "set the callback URL to the final address", id="redirect"),
        pytest.param(CallbackAttempt(status_code=304), "redirects", id="304"),
        pytest.param(CallbackAttempt(status_code=400, body_excerpt="Invalid"), "data structure", id="other-400"),
        pytest.param(CallbackAttempt(status_code=401), "CALLBACK_MAKE_API_KEY", id="401"),
        pytest.param(CallbackAttempt(status_code=403), "CALLBACK_MAKE_API_KEY", id="403"),
        pytest.param(CallbackAttempt(status_code=405), "rejected", id="405"),
        pytest.param(CallbackAttempt(status_code=410, body_excerpt="Queue is full"), "webhook is gone", id="410"),
        pytest.param(CallbackAttempt(status_code=422), "rejected", id="422"),
    ],
)
def test_what_cannot_pass_stops_and_says_what_to_do(attempt: CallbackAttempt, says: str) -> None:
    decision = decide(attempt)

    assert decision.state is CallbackState.FAILED
    assert decision.next_attempt_time is None
    assert says in (decision.error or "")


def test_schedule_makes_ten_attempts_over_at_least_sixteen_hours() -> None:
    attempt = CallbackAttempt(status_code=503)

    decisions = [decide(attempt, attempts_made=made) for made in range(1, MAX_ATTEMPTS + 1)]

    waits = [decision.next_attempt_time - NOW for decision in decisions if decision.next_attempt_time]
    assert len(decisions) >= 10
    assert sum(waits, timedelta()) >= timedelta(hours=16)
    assert all(earlier < later for earlier, later in pairwise(waits))
    assert [decision.state for decision in decisions] == [CallbackState.RETRYING] * len(waits) + [CallbackState.FAILED]
    assert f"gave up after {MAX_ATTEMPTS} attempts" in (decisions[-1].error or "")


@pytest.mark.parametrize("jitter", [0.0, ALMOST_ONE])
@pytest.mark.parametrize("code", [404, 409, 421, 423])
def test_a_closed_webhook_is_tried_hourly_for_a_day_after_the_first_attempts(code: int, jitter: float) -> None:
    attempts = deliver(last=code, jitter=jitter)

    times = [at for at, _ in attempts]
    hourly = [later - earlier for earlier, later in pairwise(times)][5:]
    assert times[5] < timedelta(hours=1)
    assert all(timedelta(hours=1) <= wait <= timedelta(hours=1.2) for wait in hourly)
    assert times[-2] < times[5] + timedelta(hours=24) <= times[-1] + timedelta(seconds=1)
    assert attempts[-1][1].last_error == f"{attempts[0][1].last_error} (gave up after {len(attempts)} attempts)"


@pytest.mark.parametrize(
    ("codes", "last", "least"),
    [
        pytest.param((404,) * 9, 503, LEAST_DURATION, id="closed, then down"),
        pytest.param((404,) * 15, 503, CLOSED_DURATION, id="long closed, then down"),
        pytest.param((503,) * 9, 404, CLOSED_DURATION, id="down, then closed"),
        pytest.param((503, 404) * 6, 503, CLOSED_DURATION, id="now this, now that"),
        pytest.param((404,) * 27, 423, CLOSED_DURATION, id="closed in two ways"),
    ],
)
def test_a_delivery_with_several_answers_lasts_as_long_as_they_ask_for(
    codes: tuple[int, ...], last: int, least: timedelta
) -> None:
    attempts = deliver(*codes, last=last)

    assert attempts[-1][0] >= least
    assert MAX_ATTEMPTS <= len(attempts) <= 32
    assert attempts[-1][1].state is CallbackState.FAILED


QUEUE_FULL = CallbackAttempt(status_code=400, body_excerpt="Queue is full.")
THROTTLED = CallbackAttempt(status_code=429, retry_after=timedelta(minutes=1))
NO_ANSWER = CallbackAttempt(error="it did not answer in time")


@pytest.mark.parametrize("jitter", [0.0, ALMOST_ONE])
@pytest.mark.parametrize(
    ("closed", "opening"),
    [
        pytest.param(9, (THROTTLED,), id="429 after four hours"),
        pytest.param(10, (NO_ANSWER,), id="no answer after five hours"),
        pytest.param(16, (THROTTLED,), id="429 after ten hours"),
        pytest.param(21, (QUEUE_FULL,), id="its queue is full after seventeen hours"),
        pytest.param(21, (CallbackAttempt(status_code=503),) * 3, id="three times 503 after seventeen hours"),
        pytest.param(24, (THROTTLED,), id="429 after nineteen hours"),
    ],
)
def test_a_webhook_that_is_busy_when_it_opens_gets_the_callback_a_little_later(
    closed: int, opening: tuple[CallbackAttempt, ...], jitter: float
) -> None:
    answers = [*(CallbackAttempt(status_code=404),) * closed, *opening, CallbackAttempt(status_code=200)]
    status, now, waits = PENDING, NOW, []

    for answer in answers:
        status = compute_callback_status(status, answer, now=now, jitter=jitter)
        waits.append((status.next_attempt_time or now) - now)
        now += waits[-1]

    assert status.state is CallbackState.DELIVERED
    assert status.attempts == len(answers)
    assert max(waits[10:]) <= timedelta(hours=1.2)


@pytest.mark.parametrize("final", [400, 401, 403, 410, 422])
def test_what_a_closed_webhook_answers_when_it_opens_counts(final: int) -> None:
    opened, refused = deliver(404, 404, last=200), deliver(404, 404, last=final)

    assert [status.state for _, status in opened][-1] is CallbackState.DELIVERED
    assert [status.state for _, status in refused][-1] is CallbackState.FAILED
    assert len(opened) == len(refused) == 3


def test_a_delivery_that_an_earlier_version_began_keeps_its_beginning() -> None:
    began = NOW - timedelta(hours=24)
    history = tuple(CallbackAttemptRecord(time=began + timedelta(hours=at), status_code=404) for at in range(-3, 11))
    older = msgspec.structs.replace(PENDING, state=CallbackState.RETRYING, attempts=11, history=history)

    status = compute_callback_status(older, CallbackAttempt(status_code=404), now=NOW, jitter=0.0)

    assert status.first_attempt_time == began
    assert status.state is CallbackState.RETRYING


def test_a_delivery_ends_even_if_the_clock_says_that_it_has_just_begun() -> None:
    attempt = CallbackAttempt(status_code=404)

    decisions = [
        decide_callback(attempt, attempts_made=made, elapsed=-timedelta(days=1), now=NOW, jitter=0.0)
        for made in (MOST_ATTEMPTS - 1, MOST_ATTEMPTS)
    ]

    assert [decision.state for decision in decisions] == [CallbackState.RETRYING, CallbackState.FAILED]


def test_a_delivery_that_starts_again_counts_from_its_own_beginning() -> None:
    given_up = deliver(last=404)[-1][1]
    again = msgspec.structs.replace(given_up, state=CallbackState.PENDING, attempts=0)

    status = compute_callback_status(again, CallbackAttempt(status_code=404), now=NOW + timedelta(days=9), jitter=0.0)

    assert status.first_attempt_time == NOW + timedelta(days=9)
    assert status.state is CallbackState.RETRYING


def test_no_wait_is_longer_than_the_longest_that_is_believed() -> None:
    waits = [
        compute_retry_delay(attempts_made=made, jitter=1.0, retry_after=MAX_RETRY_AFTER)
        for made in range(1, MAX_ATTEMPTS + 1)
    ]

    assert max(waits) <= LONGEST_WAIT


@pytest.mark.parametrize("attempts_made", range(1, MAX_ATTEMPTS))
def test_jitter_only_lengthens_a_wait_and_by_a_fifth_at_most(attempts_made: int) -> None:
    attempt = CallbackAttempt(status_code=500)

    shortest, longest = (decide(attempt, attempts_made, jitter).next_attempt_time for jitter in (0.0, ALMOST_ONE))

    assert shortest is not None
    assert longest is not None
    assert NOW < shortest < longest <= NOW + (shortest - NOW) * 1.2


@pytest.mark.parametrize(
    ("asked", "attempts_made", "wait"),
    [
        pytest.param(timedelta(0), 1, timedelta(seconds=5), id="sooner-than-planned"),
        pytest.param(timedelta(seconds=40), 1, timedelta(seconds=40), id="later-than-planned"),
        pytest.param(timedelta(days=30), 1, timedelta(hours=1), id="clamped"),
        pytest.param(timedelta(days=30), 9, timedelta(hours=10), id="clamped-below-the-plan"),
    ],
)
def test_receiver_may_lengthen_a_wait_within_bounds(asked: timedelta, attempts_made: int, wait: timedelta) -> None:
    decision = decide(CallbackAttempt(status_code=429, retry_after=asked), attempts_made)

    assert decision.next_attempt_time == NOW + wait


def test_body_of_an_answer_is_never_shown() -> None:
    attempt = CallbackAttempt(status_code=404, body_excerpt="Cannot POST /s3cret-path")

    decision = decide(attempt)

    assert "s3cret" not in (decision.error or "")


def test_delivered_status_keeps_id_and_clears_what_was_wrong() -> None:
    retrying = compute_callback_status(PENDING, CallbackAttempt(error="no route"), now=NOW, jitter=0.0)
    later = NOW + timedelta(seconds=6)

    delivered = compute_callback_status(retrying, CallbackAttempt(status_code=200), now=later, jitter=0.0)

    assert retrying == CallbackStatus(
        state=CallbackState.RETRYING,
        id="msg_6f1c",
        environment="production",
        attempts=1,
        first_attempt_time=NOW,
        last_attempt_time=NOW,
        next_attempt_time=NOW + timedelta(seconds=5),
        last_error="no route",
        history=(CallbackAttemptRecord(time=NOW, error="no route"),),
    )
    assert delivered == CallbackStatus(
        state=CallbackState.DELIVERED,
        id="msg_6f1c",
        environment="production",
        attempts=2,
        first_attempt_time=NOW,
        last_attempt_time=later,
        last_status_code=200,
        history=(*retrying.history, CallbackAttemptRecord(time=later, status_code=200)),
    )


def test_a_status_remembers_the_newest_attempts_in_short_and_no_more() -> None:
    status = PENDING

    for number in range(ATTEMPTS_KEPT + 5):
        attempt = CallbackAttempt(error=f"{number} {'x' * 5000}")
        status = compute_callback_status(msgspec.structs.replace(status, attempts=0), attempt, now=NOW, jitter=0.0)

    words = [each.error or "" for each in status.history]
    assert [text.split()[0] for text in words] == [str(number) for number in range(5, ATTEMPTS_KEPT + 5)]
    assert {len(text) for text in words} == {ATTEMPT_ERROR_MAX_LENGTH}


def test_status_gives_up_after_the_last_attempt() -> None:
    status = PENDING

    for _ in range(MAX_ATTEMPTS):
        assert not status.state.is_final
        now = status.next_attempt_time or NOW
        status = compute_callback_status(status, CallbackAttempt(status_code=503), now=now, jitter=0.5)

    assert (status.state, status.attempts, status.next_attempt_time) == (CallbackState.FAILED, MAX_ATTEMPTS, None)


def test_long_error_fits_into_the_status() -> None:
    status = compute_callback_status(PENDING, CallbackAttempt(error="x\n" * 5000), now=NOW, jitter=0.0)

    assert len(status.last_error or "") <= MESSAGE_MAX_LENGTH
