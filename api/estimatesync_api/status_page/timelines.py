"""The story of one sync, step by step, from the request to the delivered callback. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from estimatesync_contract.causes import OBSTACLES, Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, Phase

from estimatesync_api.listing import find_phase
from estimatesync_api.status_page.causes import Cause, find_cause
from estimatesync_api.status_page.tongue import Moment, Tongue

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
