"""What the list shows of each sync, in words. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from estimatesync_contract.causes import OBSTACLES
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, CallbackStatus, Phase

from estimatesync_api.listing import find_phase
from estimatesync_api.status_page.addresses import build_sync_address
from estimatesync_api.status_page.tongue import Moment, Tongue


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
