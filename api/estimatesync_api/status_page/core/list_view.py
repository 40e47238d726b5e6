"""What the list shows of each sync, in words. Pure.

What happened to a sync, and what a person does about it, in her language. Pure.

The English words are those of the operator's table of causes, which a test makes sure of; beside them stands what the
operator or the sync program has said itself about this very sync, untranslated.

How things are, for somebody who has just been woken: one word, one sentence, and where to look. Pure.

A name and a value, as several pages list them. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from estimatesync_contract.causes import OBSTACLES
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, CallbackStatus, Phase

from estimatesync_api.listing import find_phase
from estimatesync_api.status_page.core.addresses import build_sync_address
from estimatesync_api.status_page.core.localization import CATALOGUE, LANGUAGES, Moment, Tongue


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A state in a word and a sign; `tone` names the sign and its colour, and the word says it without either."""

    tone: str
    word: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """How far a running sync is."""

    percent: int
    text: str


@dataclass(frozen=True, kw_only=True)
class SeenSync:
    """One line of the list; what is not known yet is blank."""

    name: str
    address: str
    days: str
    mark: Mark
    is_at_work: bool
    accepted: Moment | None
    bar: Bar | None
    new: str
    updated: str
    duration: str
    callback: Mark | None
    summary: str
    """All that in one line, for narrow screens."""


def see_sync(sync: EstimateSync, tongue: Tongue, *, now: datetime) -> SeenSync:
    """Describe a sync for the list."""
    new, updated = _say_counts(sync, tongue)
    duration, callback = say_duration(sync, tongue, now=now), see_callback(sync, tongue)
    created_at = sync.metadata.creation_timestamp
    counts = [tongue.say("list.counts", new=new, updated=updated)] if new else []
    return SeenSync(
        name=sync.name,
        address=build_sync_address(sync.name),
        days=say_days(sync, tongue),
        mark=see_phase(sync, tongue),
        is_at_work=not find_phase(sync).is_final,
        accepted=tongue.say_moment(created_at, now=now) if created_at else None,
        bar=see_bar(sync, tongue),
        new=new,
        updated=updated,
        duration=duration,
        callback=callback,
        summary=tongue.join([*counts, duration, callback.word if callback else ""]),
    )


def see_phase(sync: EstimateSync, tongue: Tongue) -> Mark:
    """Name the phase; a sync that somebody must help is no ordinary running one."""
    phase = find_phase(sync)
    if not phase.is_final and sync.status.reason in OBSTACLES:
        return Mark(tone="stalled", word=tongue.say("phase.stalled"))
    if not phase.is_final and sync.spec.cancel:
        return Mark(tone="stopping", word=tongue.say("phase.stopping"))
    return Mark(tone=phase.lower(), word=tongue.say(f"phase.{phase.lower()}"))


def see_callback(sync: EstimateSync, tongue: Tongue) -> Mark | None:
    """Name the state of the callback; None while none is owed."""
    callback = sync.status.callback
    if callback is None:
        return None
    return Mark(tone=_choose_tone(callback), word=tongue.say(f"callback.state.{callback.state.lower()}"))


def see_bar(sync: EstimateSync, tongue: Tongue) -> Bar | None:
    """Tell how far a running sync is; one that has not told yet has a bar without a length."""
    progress = sync.status.progress
    if find_phase(sync) is not Phase.RUNNING or progress is None:
        return None
    text = tongue.say("progress", page=tongue.say_number(progress.page), total=tongue.say_number(progress.total_pages))
    return Bar(percent=progress.percent, text=text)


def say_days(sync: EstimateSync, tongue: Tongue) -> str:
    """The days of a sync; nobody has resolved them yet when there are none."""
    days = sync.status.date_range or sync.spec.date_range
    return tongue.say_days(days) if days else tongue.say("list.default_days")


def say_duration(sync: EstimateSync, tongue: Tongue, *, now: datetime) -> str:
    """How long it took, or has taken so far; blank before it has begun."""
    status = sync.status
    if status.duration_seconds is not None:
        return tongue.say_duration(timedelta(seconds=status.duration_seconds))
    return tongue.say_duration(now - status.start_time) if status.start_time else ""


def _say_counts(sync: EstimateSync, tongue: Tongue) -> tuple[str, str]:
    """A failed sync has stored nothing, which its phase says better than two zeros."""
    results = sync.status.results
    if results is None or find_phase(sync) is not Phase.SUCCEEDED:
        return "", ""
    return tongue.say_number(results.new_estimates), tongue.say_number(results.updated_estimates)


def _choose_tone(callback: CallbackStatus) -> str:
    tones = {
        CallbackState.PENDING: "queued",
        CallbackState.RETRYING: "stalled",
        CallbackState.DELIVERED: "succeeded",
        CallbackState.FAILED: "failed",
        CallbackState.DISABLED: "cancelled",
    }
    return tones[callback.state]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One cause; `cure` is blank where there is nothing to do."""

    reason: str
    happened: str
    cure: str
    message: str
    """Said by the operator, in English; blank when it adds nothing."""


def find_cause(sync: EstimateSync, tongue: Tongue) -> Cause | None:
    """Tell what went wrong, or stands in the way; None while all is well."""
    status = sync.status
    is_bad = find_phase(sync) is Phase.FAILED or status.reason in OBSTACLES
    if not is_bad:
        return None
    reason = status.reason or "InternalError"
    # An operator that is newer than this page may know reasons that the page does not.
    is_known = f"cause.{reason}.happened" in CATALOGUE[LANGUAGES[0]]
    happened = tongue.say(f"cause.{reason}.happened" if is_known else "cause.unknown")
    cure = tongue.say(f"cause.{reason}.cure") if is_known else ""
    message = status.message or ""
    return Cause(reason=reason, happened=happened, cure=cure, message="" if message == happened else message)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The newest syncs in a nutshell."""

    tone: str
    title: str
    text: str
    work: str
    """What runs and what waits."""
    trouble: SeenSync | None
    """The sync to look at, if something is wrong."""
    last_good: SeenSync | None


def build_overview(newest: Sequence[EstimateSync], tongue: Tongue, *, now: datetime) -> Overview | None:
    """Sum up the newest syncs, which are given newest first; None when there are none."""
    if not newest:
        return None
    key, sync = _find_trouble(newest)
    cause = find_cause(sync, tongue) if sync else None
    good = next((each for each in newest if find_phase(each) is Phase.SUCCEEDED), None)
    busy = any(not each.is_finished for each in newest)
    return Overview(
        tone=("failed" if key == "failed" else "stalled") if sync else ("running" if busy else "succeeded"),
        title=tongue.say(f"list.now.{key}"),
        text=tongue.join([cause.happened, cause.cure]) if cause else "",
        work=_say_work(newest, tongue),
        trouble=see_sync(sync, tongue, now=now) if sync else None,
        last_good=see_sync(good, tongue, now=now) if good else None,
    )


def _find_trouble(newest: Sequence[EstimateSync]) -> tuple[str, EstimateSync | None]:
    """What is worst, first: an obstacle can be removed now; only the newest end counts, older ones are history."""
    stalled = next((each for each in newest if not each.is_finished and each.status.reason in OBSTACLES), None)
    if stalled:
        return "stalled", stalled
    judged = [each for each in newest if find_phase(each) in {Phase.SUCCEEDED, Phase.FAILED}]
    if judged and find_phase(judged[0]) is Phase.FAILED:
        return "failed", judged[0]
    if judged and judged[0].status.callback and judged[0].status.callback.state is CallbackState.FAILED:
        return "unheard", judged[0]
    return "well", None


def _say_work(newest: Sequence[EstimateSync], tongue: Tongue) -> str:
    running = sum(1 for each in newest if find_phase(each) is Phase.RUNNING)
    queued = sum(1 for each in newest if find_phase(each) is Phase.QUEUED)
    if not running + queued:
        return tongue.say("list.now.idle")
    return tongue.say("list.now.busy", running=tongue.say_number(running), queued=tongue.say_number(queued))


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of a list of facts: a text, or a time."""

    name: str
    text: str = ""
    moment: Moment | None = None
