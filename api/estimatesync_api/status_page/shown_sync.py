"""Everything that the page of one sync shows, in words. Pure."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.causes import OBSTACLES
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackAttemptRecord, CallbackState, Phase

from estimatesync_api.listing import find_phase
from estimatesync_api.problems import ApiError
from estimatesync_api.redelivery import require_redeliverable
from estimatesync_api.status_page.causes import Cause, find_cause
from estimatesync_api.status_page.facts import Fact
from estimatesync_api.status_page.page_map import PageMap, build_page_map
from estimatesync_api.status_page.seen_syncs import Mark, SeenSync, say_duration, see_sync
from estimatesync_api.status_page.timelines import Step, build_timeline, say_wait
from estimatesync_api.status_page.tongue import Moment, Tongue

_PAGES_TO_JUDGE_BY: Final = 3
_COUNTS: Final = (
    ("total_fetched", "counts.fetched"),
    ("new_estimates", "counts.new"),
    ("updated_estimates", "counts.updated"),
    ("unchanged_estimates", "counts.unchanged"),
    ("skipped_estimates", "counts.skipped"),
)


@dataclass(frozen=True, kw_only=True)
class ShownAttempt:
    """One attempt to deliver the callback."""

    at: Moment
    mark: Mark
    answer: str
    why: str
    """Blank when it was delivered, or when the newest attempt failed for the same reason."""


@dataclass(frozen=True, kw_only=True)
class ShownCallback:
    """How the outcome travels to whoever is to be told."""

    facts: tuple[Fact, ...]
    attempts: tuple[ShownAttempt, ...]
    """The newest first."""
    error: str
    can_be_sent: bool


@dataclass(frozen=True, kw_only=True)
class ShownSync:
    """One sync with all its particulars."""

    seen: SeenSync
    headline: str
    cause: Cause | None
    page_map: PageMap | None
    counts: tuple[Fact, ...]
    timeline: tuple[Step, ...]
    callback: ShownCallback | None
    particulars: tuple[Fact, ...]
    can_be_cancelled: bool


def show_sync(sync: EstimateSync, tongue: Tongue, *, now: datetime) -> ShownSync:
    """Describe a sync for its own page."""
    return ShownSync(
        seen=see_sync(sync, tongue, now=now),
        headline=say_headline(sync, tongue, now=now),
        cause=find_cause(sync, tongue),
        page_map=build_page_map(sync.status.progress) if find_phase(sync) is Phase.RUNNING else None,
        counts=_list_counts(sync, tongue),
        timeline=build_timeline(sync, tongue, now=now),
        callback=_show_callback(sync, tongue, now=now),
        particulars=_list_particulars(sync, tongue),
        can_be_cancelled=not sync.is_finished and not sync.spec.cancel,
    )


def say_headline(sync: EstimateSync, tongue: Tongue, *, now: datetime) -> str:
    """Say in one sentence how the sync is, to somebody who knows nothing of it."""
    cause = find_cause(sync, tongue)
    left = compute_time_left(sync, now=now)
    values = {
        "duration": say_duration(sync, tongue, now=now),
        "left": tongue.say_duration(left) if left else "",
        "happened": cause.happened if cause else "",
        "why": say_wait(sync, tongue),
    }
    key = _choose_headline(sync)
    return tongue.say("headline.running_left" if key == "running" and left else f"headline.{key}", **values)


def compute_time_left(sync: EstimateSync, *, now: datetime) -> timedelta | None:
    """Guess how long a running sync has still to go, in whole minutes; None while nobody can know."""
    progress, start = sync.status.progress, sync.status.start_time
    if sync.is_finished or progress is None or start is None or progress.page < _PAGES_TO_JUDGE_BY:
        return None
    seconds = (now - start).total_seconds() / progress.page * (progress.total_pages - progress.page)
    return timedelta(minutes=math.ceil(seconds / 60)) if seconds > 0 else None


def _choose_headline(sync: EstimateSync) -> str:
    phase = find_phase(sync)
    if phase is Phase.RUNNING and sync.status.reason in OBSTACLES:
        return "stalled"
    if phase is Phase.RUNNING and sync.spec.cancel:
        return "stopping"
    return phase.lower()


def can_be_redelivered(sync: EstimateSync) -> bool:
    """Tell whether there is a callback to send again: the API's own rule."""
    try:
        require_redeliverable(sync)
    except ApiError:
        return False
    return True


def _list_counts(sync: EstimateSync, tongue: Tongue) -> tuple[Fact, ...]:
    results, progress = sync.status.results, sync.status.progress
    if results is not None and find_phase(sync) is Phase.SUCCEEDED:
        found = [(key, getattr(results, name)) for name, key in _COUNTS]
        return tuple(Fact(name=tongue.say(key), text=tongue.say_number(count)) for key, count in found)
    if progress is not None and not sync.is_finished:
        return (Fact(name=tongue.say("counts.fetched_so_far"), text=tongue.say_number(progress.fetched)),)
    return ()


def _show_callback(sync: EstimateSync, tongue: Tongue, *, now: datetime) -> ShownCallback | None:
    callback = sync.status.callback
    if callback is None:
        return None
    if callback.state is CallbackState.DISABLED:
        return ShownCallback(facts=(), attempts=(), error=tongue.say("callback.disabled"), can_be_sent=False)
    facts = [Fact(name=tongue.say("callback.made"), text=tongue.say_number(callback.attempts))]
    for key, moment in (("callback.last", callback.last_attempt_time), ("callback.next", callback.next_attempt_time)):
        if moment is not None:
            facts.append(Fact(name=tongue.say(key), moment=tongue.say_moment(moment, now=now)))
    if callback.last_status_code:
        facts.append(Fact(name=tongue.say("callback.answer"), text=f"HTTP {callback.last_status_code}"))
    error = callback.last_error or ""
    attempts = tuple(_show_attempt(each, tongue, now=now, newest=error) for each in reversed(callback.history))
    can_be_sent = can_be_redelivered(sync)
    return ShownCallback(facts=tuple(facts), attempts=attempts, error=error, can_be_sent=can_be_sent)


def _show_attempt(attempt: CallbackAttemptRecord, tongue: Tongue, *, now: datetime, newest: str) -> ShownAttempt:
    is_good, code = attempt.error is None, attempt.status_code
    mark = Mark(
        tone="succeeded" if is_good else "failed",
        word=tongue.say("callback.taken" if is_good else "callback.not_taken"),
    )
    return ShownAttempt(
        at=tongue.say_moment(attempt.time, now=now),
        mark=mark,
        answer=f"HTTP {code}" if code else tongue.say("callback.no_answer"),
        why="" if attempt.error is None or attempt.error == newest else attempt.error,
    )


def _list_particulars(sync: EstimateSync, tongue: Tongue) -> tuple[Fact, ...]:
    """For whoever looks on, with other tools."""
    status = sync.status
    known = {
        "particulars.name": sync.name,
        "particulars.uid": sync.uid,
        "particulars.reason": status.reason,
        "particulars.message": status.message,
        "particulars.job": status.job_name,
        "particulars.pod": status.pod_name,
        "particulars.callback_id": status.callback.id if status.callback else "",
        "particulars.runs": str(status.runs) if status.runs else "",
        "particulars.limit": str(sync.spec.timeout_seconds),
    }
    return tuple(Fact(name=tongue.say(key), text=text) for key, text in known.items() if text)
