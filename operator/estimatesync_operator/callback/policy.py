"""Whether a callback is delivered, tried again, or given up: the whole delivery policy, without a clock or a socket.

The delivery calls it after each attempt and records what it returns. Which answers mean what follows Standard
Webhooks (https://github.com/standard-webhooks/standard-webhooks) and Make.com's own answers to webhooks.
"""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

import msgspec
from estimatesync_contract.status import (
    ATTEMPT_ERROR_MAX_LENGTH,
    ATTEMPTS_KEPT,
    CallbackAttemptRecord,
    CallbackState,
    CallbackStatus,
    truncate_message,
)

from estimatesync_operator.core.ports import CallbackAttempt

RETRY_DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=10),
)
"""The least wait after attempt 1, 2, …: together 17 h 42 m, so that a receiver that is down overnight still gets it."""

MAX_ATTEMPTS: Final = len(RETRY_DELAYS) + 1
"""To a receiver that does not answer, or not with more than an error."""

LEAST_DURATION: Final = timedelta(hours=17)
"""From the first attempt to the last, if there were no more attempts than to a receiver that does not answer."""

CLOSED_DELAY: Final = timedelta(hours=1)
"""The longest wait of ours while a webhook is closed: the scenario may be switched on again at any time."""

CLOSED_DURATION: Final = timedelta(hours=24) + sum((each for each in RETRY_DELAYS if each < CLOSED_DELAY), timedelta())
"""How long a webhook that is, or was, closed is tried: for 24 hours after the first attempts, since whoever edits it
may sleep, and what it answers when it opens need not be its last word."""

MOST_ATTEMPTS: Final = 40
"""More than any schedule has: the end even if a clock was set back, or the time of the first attempt is lost."""

MAX_RETRY_AFTER: Final = timedelta(hours=1)
"""A receiver may ask for a longer wait than ours, up to here: a mistake of its own must not silence a callback."""

_JITTER_SHARE: Final = 0.2
_RETRYABLE: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS},
)
_CLOSED: Final = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.LOCKED},
)
"""What a webhook may answer while its scenario is off or being edited, and also if its address is wrong."""
_QUEUE_FULL: Final = "queue is full"

_REOPEN: Final = "switch its scenario on, or finish editing it"
_ADVICE: Final = {
    400: "the receiver rejected the content; compare it with the webhook's data structure in Make.com",
    401: "the receiver refused our credentials; check CALLBACK_MAKE_API_KEY and the webhook's API keys",
    403: "the receiver refused our credentials; check CALLBACK_MAKE_API_KEY and the webhook's API keys",
    404: f"there is no webhook at this address now; {_REOPEN}, or correct the callback URL",
    409: f"the webhook takes no calls now; {_REOPEN}",
    410: "the webhook is gone, or no scenario has used it for days; create one and correct the callback URL",
    421: f"the receiver does not serve this webhook now; {_REOPEN}, or correct the callback URL",
    423: f"the webhook is locked now; {_REOPEN}",
    429: "the receiver takes no more requests for now",
}


class CallbackDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from one attempt: DELIVERED, RETRYING (with a time) or FAILED; an error unless delivered."""

    state: CallbackState
    next_attempt_time: datetime | None = None
    error: str | None = None


def decide_callback(
    attempt: CallbackAttempt, *, attempts_made: int, elapsed: timedelta, now: datetime, jitter: float
) -> CallbackDecision:
    """Judge one attempt.

    A refused target is retried like a network error: it costs no request, and once the Secret or the settings are
    corrected within the schedule, every waiting callback is delivered without a request for each. A closed webhook is
    tried once an hour for a day, and longer than any other receiver, because a person must act; so is one that has been
    closed, which is the only way to more attempts than any other receiver gets.

    Args:
        attempt: What the attempt came to.
        attempts_made: How many attempts there were, this one included.
        elapsed: Since the first of them.
        now: When the attempt was made; the next one is counted from here.
        jitter: From 0 up to (not including) 1. It only lengthens a wait, so the schedule is never cut short.
    """
    if _is_delivered(attempt):
        return CallbackDecision(state=CallbackState.DELIVERED)
    error = format_attempt(attempt)
    is_closed = attempt.status_code in _CLOSED
    if not (is_closed or _is_retryable(attempt)):
        return CallbackDecision(state=CallbackState.FAILED, error=error)
    duration = CLOSED_DURATION if is_closed or attempts_made > MAX_ATTEMPTS else LEAST_DURATION
    if attempts_made >= MOST_ATTEMPTS or (attempts_made >= MAX_ATTEMPTS and elapsed >= duration):
        return CallbackDecision(state=CallbackState.FAILED, error=f"{error} (gave up after {attempts_made} attempts)")
    delay = compute_retry_delay(
        attempts_made=attempts_made,
        jitter=jitter,
        retry_after=attempt.retry_after,
        is_closed=is_closed or attempts_made >= MAX_ATTEMPTS,
    )
    return CallbackDecision(state=CallbackState.RETRYING, next_attempt_time=now + delay, error=error)


def compute_callback_status(
    status: CallbackStatus, attempt: CallbackAttempt, *, now: datetime, jitter: float
) -> CallbackStatus:
    """Record one attempt: the status that follows it, with the id and the environment unchanged."""
    attempts = status.attempts + 1
    code = attempt.status_code
    first = _find_first_attempt_time(status) or now
    decision = decide_callback(attempt, attempts_made=attempts, elapsed=now - first, now=now, jitter=jitter)
    return msgspec.structs.replace(
        status,
        state=decision.state,
        attempts=attempts,
        first_attempt_time=first,
        last_attempt_time=now,
        next_attempt_time=decision.next_attempt_time,
        last_status_code=code,
        last_error=None if decision.error is None else truncate_message(decision.error),
        history=(*status.history, _record(now, code, decision.error))[-ATTEMPTS_KEPT:],
    )


def _find_first_attempt_time(status: CallbackStatus) -> datetime | None:
    """When this delivery began; one that an earlier version began has it only in the history."""
    if not status.attempts:
        return None
    known = status.history[-status.attempts :]
    return status.first_attempt_time or (known[0].time if known else status.last_attempt_time)


def _record(now: datetime, code: int | None, error: str | None) -> CallbackAttemptRecord:
    words = None if error is None else truncate_message(error, length=ATTEMPT_ERROR_MAX_LENGTH)
    return CallbackAttemptRecord(time=now, status_code=code, error=words)


def compute_retry_delay(
    *, attempts_made: int, jitter: float, retry_after: timedelta | None = None, is_closed: bool = False
) -> timedelta:
    """The wait after the given number of attempts (from 1); the receiver may only lengthen it."""
    planned = RETRY_DELAYS[min(attempts_made, len(RETRY_DELAYS)) - 1]
    if is_closed:
        planned = min(planned, CLOSED_DELAY)
    asked = min(retry_after or timedelta(), MAX_RETRY_AFTER)
    return max(planned, asked) * (1 + _JITTER_SHARE * jitter)


def format_attempt(attempt: CallbackAttempt) -> str:
    """Say in one sentence why an attempt did not deliver, and what to do where something can be done.

    The body that came back is never quoted: a receiver may repeat the webhook's URL in it, which is a secret.
    """
    if attempt.status_code is None:
        return attempt.error or "the callback was not answered"
    return f"HTTP {attempt.status_code}: {_format_status(attempt, attempt.status_code)}"


def _format_status(attempt: CallbackAttempt, status_code: int) -> str:
    if _is_queue_full(attempt):
        return "the webhook's queue is full; run its scenario or clear the queue in Make.com"
    if status_code in _ADVICE:
        return _ADVICE[status_code]
    if HTTPStatus(300) <= status_code < HTTPStatus(400):
        return "the receiver redirects, which is not followed; set the callback URL to the final address"
    if status_code in _RETRYABLE or status_code >= HTTPStatus(500):
        return "the receiver could not take the callback"
    return "the receiver rejected the callback"


def _is_delivered(attempt: CallbackAttempt) -> bool:
    return attempt.status_code is not None and HTTPStatus(200) <= attempt.status_code < HTTPStatus(300)


def _is_retryable(attempt: CallbackAttempt) -> bool:
    if attempt.status_code is None:
        return True
    is_server_error = attempt.status_code >= HTTPStatus(500)
    return is_server_error or attempt.status_code in _RETRYABLE or _is_queue_full(attempt)


def _is_queue_full(attempt: CallbackAttempt) -> bool:
    """Make.com answers 400 `Queue is full`, with or without a full stop, when a webhook holds too many calls."""
    words = attempt.body_excerpt.strip().removesuffix(".").lower()
    return attempt.status_code == HTTPStatus.BAD_REQUEST and words == _QUEUE_FULL
