"""Everything that the page of one sync shows, in words. Pure.

The story of one sync, step by step, from the request to the delivered callback. Pure.

Draws the pages of a running sync as small squares, those that are read filled. Pure.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.causes import OBSTACLES, Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackAttemptRecord, CallbackState, Phase, Progress

from estimatesync_api.listing import find_phase
from estimatesync_api.problems import ApiError
from estimatesync_api.redelivery import require_redeliverable
from estimatesync_api.status_page.core.list_view import Cause, Fact, Mark, SeenSync, find_cause, say_duration, see_sync
from estimatesync_api.status_page.core.localization import Moment, Tongue

_PAGES_TO_JUDGE_BY: Final = 3
_COUNTS: Final = (
    ("total_fetched", "counts.fetched"),
    ("new_estimates", "counts.new"),
    ("updated_estimates", "counts.updated"),
    ("unchanged_estimates", "counts.unchanged"),
    ("skipped_estimates", "counts.skipped"),
)
_MOST_SQUARES: Final = 240
_SIDE: Final = 12
_GAP: Final = 3
_IN_A_ROW: Final = 40
_FEWEST_COLUMNS: Final = 20
"""A few pages are not drawn as large as a house."""
_PLACE: Final = re.compile(r"Position (?P<place>\d+)(?P<later> or later)?(?:; waiting for (?P<ahead>.+))?")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happened, happens, or is still to come."""

    tone: str
    """`done`, `now`, `next`, or a tone of a mark."""
    title: str
    at: Moment | None = None
    text: str = ""
    cause: Cause | None = None


@dataclass(frozen=True, kw_only=True)
class Square:
    """One page."""

    x: int
    y: int
    is_read: bool


@dataclass(frozen=True, kw_only=True)
class PageMap:
    """All pages; for more of them than can be told apart there is no map."""

    width: int
    height: int
    side: int
    squares: tuple[Square, ...]


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


def build_timeline(sync: EstimateSync, tongue: Tongue, *, now: datetime) -> tuple[Step, ...]:
    """Tell the story so far, and what comes next."""
    return (
        _build_accepted(sync, tongue, now),
        *_iterate_waiting(sync, tongue, now),
        *_iterate_running(sync, tongue, now),
        *_iterate_end(sync, tongue, now),
        *_iterate_callback(sync, tongue, now),
    )


def say_wait(sync: EstimateSync, tongue: Tongue) -> str:
    """Why a sync has not begun: its place in the line, or the operator's own words."""
    message = sync.status.message or ""
    if sync.spec.suspend:
        return tongue.say("timeline.suspended")
    found = _PLACE.fullmatch(message)
    if found is None:
        return message or tongue.say("timeline.unseen")
    key = "timeline.place_later" if found["later"] else "timeline.place"
    place = tongue.say(key, place=tongue.say_number(int(found["place"])))
    return f"{place} {tongue.say('timeline.behind', ahead=found['ahead'])}" if found["ahead"] else place


def _build_accepted(sync: EstimateSync, tongue: Tongue, now: datetime) -> Step:
    at = _tell(sync.metadata.creation_timestamp, tongue, now)
    return Step(tone="done", title=tongue.say("timeline.accepted"), at=at, text=tongue.say("timeline.accepted_text"))


def _iterate_waiting(sync: EstimateSync, tongue: Tongue, now: datetime) -> Iterator[Step]:
    created_at, start = sync.metadata.creation_timestamp, sync.status.start_time
    if find_phase(sync) is Phase.QUEUED:
        yield Step(tone="now", title=tongue.say("timeline.waiting"), text=say_wait(sync, tongue))
        yield Step(tone="next", title=tongue.say("timeline.start_next"))
    elif start and created_at:
        waited = tongue.say("timeline.waited", time=tongue.say_duration(start - created_at))
        title = tongue.say("timeline.started")
        yield Step(tone="done", title=title, at=_tell(start, tongue, now), text=waited)


def _iterate_running(sync: EstimateSync, tongue: Tongue, now: datetime) -> Iterator[Step]:
    status = sync.status
    if status.job_name and status.reason not in {Reason.STARTING, Reason.JOB_REFUSED}:
        runs = tongue.say_count("timeline.runs", status.runs) if status.runs and status.runs > 1 else ""
        yield Step(tone="done", title=tongue.say("timeline.job"), text=runs)
    if find_phase(sync) is not Phase.RUNNING:
        return
    if status.reason in OBSTACLES:
        title, since = tongue.say("phase.stalled"), _find_stall(sync)
        yield Step(tone="stalled", title=title, at=_tell(since, tongue, now), cause=find_cause(sync, tongue))
    else:
        title = tongue.say("phase.stopping" if sync.spec.cancel else "timeline.running")
        yield Step(tone="now", title=title, text=_say_progress(sync, tongue))
    yield Step(tone="next", title=tongue.say("timeline.end_next"))


def _say_progress(sync: EstimateSync, tongue: Tongue) -> str:
    progress = sync.status.progress
    if progress is None:
        return tongue.say("timeline.no_page_yet")
    page, total = tongue.say_number(progress.page), tongue.say_number(progress.total_pages)
    return tongue.say("timeline.progress", page=page, total=total, fetched=tongue.say_number(progress.fetched))


def _find_stall(sync: EstimateSync) -> datetime | None:
    stalls = [each for each in sync.status.conditions if each.type == "Stalled" and each.status == "True"]
    return stalls[0].last_transition_time if stalls else None


def _iterate_end(sync: EstimateSync, tongue: Tongue, now: datetime) -> Iterator[Step]:
    phase, results = find_phase(sync), sync.status.results
    if not phase.is_final:
        return
    at, title = _tell(sync.status.completion_time, tongue, now), tongue.say(f"timeline.{phase.lower()}")
    text = tongue.say("timeline.nothing_stored")
    if phase is Phase.SUCCEEDED and results is not None:
        new, updated = tongue.say_number(results.new_estimates), tongue.say_number(results.updated_estimates)
        text = tongue.say("list.counts", new=new, updated=updated)
    yield Step(tone=phase.lower(), title=title, at=at, text=text, cause=find_cause(sync, tongue))


def _iterate_callback(sync: EstimateSync, tongue: Tongue, now: datetime) -> Iterator[Step]:
    callback = sync.status.callback
    if callback is None:
        wanted = sync.spec.callback.enabled and not sync.is_finished
        if wanted:
            yield Step(tone="next", title=tongue.say("timeline.callback_next"))
        return
    title = tongue.say(f"timeline.callback.{callback.state.lower()}")
    if callback.state is CallbackState.DISABLED:
        yield Step(tone="cancelled", title=title)
        return
    attempts = tongue.say_count("callback.attempts", callback.attempts)
    code = tongue.say("callback.code", code=callback.last_status_code) if callback.last_status_code else ""
    tone = {"Delivered": "succeeded", "Failed": "failed", "Retrying": "stalled"}.get(callback.state, "now")
    at = _tell(callback.last_attempt_time, tongue, now)
    yield Step(tone=tone, title=title, at=at, text=tongue.join([attempts, code]))
    if callback.next_attempt_time and not callback.state.is_final:
        yield Step(
            tone="next", title=tongue.say("timeline.callback_retry"), at=_tell(callback.next_attempt_time, tongue, now)
        )


def _tell(moment: datetime | None, tongue: Tongue, now: datetime) -> Moment | None:
    return tongue.say_moment(moment, now=now) if moment else None


def build_page_map(progress: Progress | None) -> PageMap | None:
    """Lay the squares out in rows."""
    total = progress.total_pages if progress else 0
    if progress is None or not 1 < total <= _MOST_SQUARES:
        return None
    step, columns = _SIDE + _GAP, max(_FEWEST_COLUMNS, min(total, _IN_A_ROW))
    squares = tuple(
        Square(x=page % columns * step, y=page // columns * step, is_read=page < progress.page) for page in range(total)
    )
    rows = (total - 1) // columns + 1
    return PageMap(width=columns * step - _GAP, height=rows * step - _GAP, side=_SIDE, squares=squares)
