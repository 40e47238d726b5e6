"""What the list shows, in words: a row for each sync, what is wrong with it, and a summary of them all. Pure.

The page of one sync (`detail_view.py`) is built on the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.causes import BLOCKERS
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, CallbackStatus, Phase

from estimatesync_api.core.listing import find_phase
from estimatesync_api.status_page.core.addresses import build_sync_address
from estimatesync_api.status_page.core.localization import LANGUAGES, TRANSLATIONS, Localizer, Moment

CALLBACK_TONES: Final = {
    CallbackState.PENDING: "queued",
    CallbackState.RETRYING: "stalled",
    CallbackState.DELIVERED: "succeeded",
    CallbackState.FAILED: "failed",
    CallbackState.DISABLED: "cancelled",
}

_HOURS_TOLD: Final = 48
"""From here on an age is told in days."""


@dataclass(frozen=True, kw_only=True)
class Badge:
    """A state as a word and a sign; `tone` names the sign and its colour, and the word says it without either."""

    tone: str
    word: str


@dataclass(frozen=True, kw_only=True)
class ProgressBar:
    """How far a running sync has come."""

    percent: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Field:
    """A name with its value: a text, or a time."""

    name: str
    text: str = ""
    moment: Moment | None = None


@dataclass(frozen=True, kw_only=True)
class SyncRow:
    """One line of the list; what is not known yet is blank."""

    name: str
    address: str
    days: str
    badge: Badge
    is_active: bool
    accepted: Moment | None
    bar: ProgressBar | None
    new: str
    updated: str
    duration: str
    callback: Badge | None
    one_line: str
    """Counts, duration and callback together, for narrow screens."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What went wrong with a sync, or holds it up; `cure` is blank where there is nothing to do."""

    reason: str
    happened: str
    cure: str
    message: str
    """The status message, in English as it was reported; blank when it adds nothing."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The newest syncs at a glance."""

    tone: str
    title: str
    text: str
    activity: str
    """How many run and how many wait."""
    trouble: SyncRow | None
    """The sync to look at, if something is wrong."""
    last_success: SyncRow | None
    undelivered: str
    """How many of them have callbacks that were given up; blank for none."""


def build_sync_row(sync: EstimateSync, localizer: Localizer, *, now: datetime) -> SyncRow:
    """Describe a sync in one line."""
    new, updated = _format_counts(sync, localizer)
    duration, callback = format_sync_duration(sync, localizer, now=now), build_callback_badge(sync, localizer)
    created_at = sync.metadata.creation_timestamp
    counts = [localizer.translate("list.counts", new=new, updated=updated)] if new else []
    return SyncRow(
        name=sync.name,
        address=build_sync_address(sync.name),
        days=format_days(sync, localizer),
        badge=build_phase_badge(sync, localizer),
        is_active=not find_phase(sync).is_final,
        accepted=localizer.to_moment(created_at, now=now) if created_at else None,
        bar=build_progress_bar(sync, localizer),
        new=new,
        updated=updated,
        duration=duration,
        callback=callback,
        one_line=localizer.join([*counts, duration, callback.word if callback else ""]),
    )


def build_phase_badge(sync: EstimateSync, localizer: Localizer) -> Badge:
    """Name the phase; a running sync that is stalled or being cancelled has a badge of its own."""
    phase = find_phase(sync)
    if not phase.is_final and sync.status.reason in BLOCKERS:
        return Badge(tone="stalled", word=localizer.translate("phase.stalled"))
    if not phase.is_final and sync.spec.cancel:
        return Badge(tone="stopping", word=localizer.translate("phase.stopping"))
    return Badge(tone=phase.lower(), word=localizer.translate(f"phase.{phase.lower()}"))


def build_callback_badge(sync: EstimateSync, localizer: Localizer) -> Badge | None:
    """Name the state of the callback, of several the worst; None while none is owed."""
    callback = sync.status.worst_delivery
    return build_delivery_badge(callback, localizer) if callback else None


def build_delivery_badge(callback: CallbackStatus, localizer: Localizer) -> Badge:
    """Name the state of one callback."""
    word = localizer.translate(f"callback.state.{callback.state.lower()}")
    return Badge(tone=CALLBACK_TONES[callback.state], word=word)


def build_progress_bar(sync: EstimateSync, localizer: Localizer) -> ProgressBar | None:
    """Show how far a running sync has come; None until it has reported any progress."""
    progress = sync.status.progress
    if find_phase(sync) is not Phase.RUNNING or progress is None:
        return None
    page, total = localizer.format_number(progress.page), localizer.format_number(progress.total_pages)
    return ProgressBar(percent=progress.percent, text=localizer.translate("progress", page=page, total=total))


def format_days(sync: EstimateSync, localizer: Localizer) -> str:
    """Write the days of a sync, or the default range while the operator has not resolved them."""
    days = sync.status.date_range or sync.spec.date_range
    return localizer.format_date_range(days) if days else localizer.translate("list.default_days")


def format_sync_duration(sync: EstimateSync, localizer: Localizer, *, now: datetime) -> str:
    """Write how long a sync took, or has taken so far; blank before it has started."""
    status = sync.status
    if status.duration_seconds is not None:
        return localizer.format_duration(timedelta(seconds=status.duration_seconds))
    return localizer.format_duration(now - status.start_time) if status.start_time else ""


def build_diagnosis(sync: EstimateSync, localizer: Localizer) -> Diagnosis | None:
    """Say what went wrong with a sync, or holds it up; None while all is well."""
    status = sync.status
    is_bad = find_phase(sync) is Phase.FAILED or status.reason in BLOCKERS
    if not is_bad:
        return None
    reason = status.reason or "InternalError"
    # An operator that is newer than this page may know reasons that the page does not.
    is_known = f"cause.{reason}.happened" in TRANSLATIONS[LANGUAGES[0]]
    happened = localizer.translate(f"cause.{reason}.happened" if is_known else "cause.unknown")
    cure = localizer.translate(f"cause.{reason}.cure") if is_known else ""
    message = status.message or ""
    return Diagnosis(reason=reason, happened=happened, cure=cure, message="" if message == happened else message)


def build_summary(
    newest: Sequence[EstimateSync],
    localizer: Localizer,
    *,
    now: datetime,
    last_success: EstimateSync | None,
    stale_after: timedelta | None,
) -> Summary | None:
    """Sum up the newest syncs, given newest first; None when there are none.

    Args:
        newest: The newest syncs.
        localizer: The language.
        now: The current time.
        last_success: The newest sync that has succeeded, however old it is.
        stale_after: How long none need have succeeded before that is said; None: for ever.
    """
    if not newest:
        return None
    key, sync = _find_trouble(newest)
    age = _compute_silence(newest, last_success, now)
    if sync is None and stale_after is not None and age > stale_after:
        key, sync = ("stale", last_success) if last_success else ("never", newest[0])
    is_any_active = any(not each.is_finished for each in newest)
    return Summary(
        tone=("failed" if key == "failed" else "stalled") if sync else ("running" if is_any_active else "succeeded"),
        title=_format_title(key, newest, localizer, age=age),
        text=_format_trouble(key, sync, localizer),
        activity=_format_activity(newest, localizer),
        trouble=build_sync_row(sync, localizer, now=now) if sync else None,
        last_success=build_sync_row(last_success, localizer, now=now) if last_success else None,
        undelivered=_format_undelivered(newest, localizer),
    )


def _format_undelivered(newest: Sequence[EstimateSync], localizer: Localizer) -> str:
    count = sum(any(each.state is CallbackState.FAILED for each in sync.status.deliveries) for sync in newest)
    return localizer.format_count("list.undelivered", count) if count else ""


def _find_trouble(newest: Sequence[EstimateSync]) -> tuple[str, EstimateSync | None]:
    """Find the worst that is true now: a blocker can be removed; of the ends only the newest counts.

    A callback that was given up is true until it is sent again.
    """
    stalled = next((each for each in newest if not each.is_finished and each.status.reason in BLOCKERS), None)
    if stalled:
        return "stalled", stalled
    ended = next((each for each in newest if find_phase(each) in {Phase.SUCCEEDED, Phase.FAILED}), None)
    if ended and find_phase(ended) is Phase.FAILED:
        return "failed", ended
    undelivered = next(filter(_count_undelivered, newest), None)
    return ("undelivered", undelivered) if undelivered else ("well", None)


def _count_undelivered(sync: EstimateSync) -> int:
    return sum(each.state is CallbackState.FAILED for each in sync.status.deliveries)


def _compute_silence(newest: Sequence[EstimateSync], last_success: EstimateSync | None, now: datetime) -> timedelta:
    """How long ago a sync has succeeded last; where none has, how long ago the oldest of the newest was created."""
    since = last_success.status.completion_time if last_success else newest[-1].metadata.creation_timestamp
    return now - since if since else timedelta()


def _format_title(key: str, newest: Sequence[EstimateSync], localizer: Localizer, *, age: timedelta) -> str:
    if key == "undelivered":
        return localizer.format_count("list.now.undelivered", sum(map(_count_undelivered, newest)))
    if key != "stale":
        return localizer.translate(f"list.now.{key}")
    hours = int(age.total_seconds()) // 3600
    unit, count = ("days", hours // 24) if hours >= _HOURS_TOLD else ("hours", hours)
    return localizer.format_count(f"list.now.stale.{unit}", count)


def _format_trouble(key: str, sync: EstimateSync | None, localizer: Localizer) -> str:
    if key in {"never", "stale", "undelivered"}:
        return localizer.translate(f"list.now.{key}_text")
    diagnosis = build_diagnosis(sync, localizer) if sync else None
    return localizer.join([diagnosis.happened, diagnosis.cure]) if diagnosis else ""


def _format_activity(newest: Sequence[EstimateSync], localizer: Localizer) -> str:
    running = sum(1 for each in newest if find_phase(each) is Phase.RUNNING)
    queued = sum(1 for each in newest if find_phase(each) is Phase.QUEUED)
    if not running + queued:
        return localizer.translate("list.now.idle")
    values = {"running": localizer.format_number(running), "queued": localizer.format_number(queued)}
    return localizer.translate("list.now.active", **values)


def _format_counts(sync: EstimateSync, localizer: Localizer) -> tuple[str, str]:
    """A failed sync has stored nothing, which its phase says better than two zeros."""
    results = sync.status.results
    if results is None or find_phase(sync) is not Phase.SUCCEEDED:
        return "", ""
    return localizer.format_number(results.new_estimates), localizer.format_number(results.updated_estimates)
