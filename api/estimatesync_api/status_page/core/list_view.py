"""What the list shows, in words: a row for each sync, what is wrong with it, and a summary of them all. Pure.

The page of one sync (`detail_view.py`) is built on the same rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.causes import BLOCKERS
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.specific_causes import SOURCE_CAUSES, find_specific_cause
from estimatesync_contract.status import CallbackState, CallbackStatus, Phase, Results

from estimatesync_api.core.listing import find_phase
from estimatesync_api.status_page.core.addresses import build_sync_address
from estimatesync_api.status_page.core.localization import LANGUAGES, Localizer, Moment, read_translations

CALLBACK_TONES: Final = {
    CallbackState.PENDING: "queued",
    CallbackState.RETRYING: "stalled",
    CallbackState.DELIVERED: "succeeded",
    CallbackState.FAILED: "failed",
    CallbackState.DISABLED: "cancelled",
}

FILTERS: Final = ("", "running", "queued", "succeeded", "failed", "cancelled")
_ATTEMPTS_TOLD: Final = 2
"""So many attempts in vain are told while no callback gets through."""
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
    ended: Moment | None
    bar: ProgressBar | None
    new: str
    changed: str
    unchanged: str
    duration: str
    callback: Badge | None
    one_line: str
    """Counts and duration together, for narrow screens."""
    callback_line: str
    """The state of the callback with its subject, for narrow screens; blank while none is owed."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A link that shows the syncs of one phase; `status` is blank for all."""

    status: str
    name: str
    count: str
    is_chosen: bool


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
    is_any_active: bool
    trouble: SyncRow | None
    """The sync to look at, if something is wrong."""
    last_success: SyncRow | None
    undelivered: str
    """How many of them have callbacks that were given up; blank for none, and where the title says so."""
    can_send_again: bool
    """Some of them have callbacks that were given up."""


def build_sync_row(sync: EstimateSync, localizer: Localizer, *, now: datetime) -> SyncRow:
    """Describe a sync in one line."""
    results = find_stored(sync)
    duration, callback = format_sync_duration(sync, localizer, now=now), build_callback_badge(sync, localizer)
    created_at, ended_at = sync.metadata.creation_timestamp, sync.status.completion_time
    callback_line = localizer.translate("list.callback_line", state=callback.word) if callback else ""
    return SyncRow(
        name=sync.name,
        address=build_sync_address(sync.name),
        days=format_days(sync, localizer),
        badge=build_phase_badge(sync, localizer),
        is_active=not find_phase(sync).is_final,
        accepted=localizer.to_moment(created_at, now=now) if created_at else None,
        ended=localizer.to_moment(ended_at, now=now) if ended_at else None,
        bar=build_progress_bar(sync, localizer),
        new=localizer.format_number(results.new_estimates) if results else "",
        changed=localizer.format_number(results.changed_estimates) if results else "",
        unchanged=localizer.format_number(results.unchanged_estimates) if results else "",
        duration=duration,
        callback=callback,
        one_line=localizer.join([format_counts(results, localizer) if results else "", duration]),
        callback_line=callback_line,
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


def find_stored(sync: EstimateSync) -> Results | None:
    """Find the counts of what a sync has stored; None unless it has succeeded: its phase says it better than zeros."""
    return sync.status.results if find_phase(sync) is Phase.SUCCEEDED else None


def format_counts(results: Results, localizer: Localizer) -> str:
    """Write how many estimates are new, changed and unchanged. For Make.com, changed and unchanged are updated."""
    counts = {"new": results.new_estimates, "changed": results.changed_estimates}
    counts["unchanged"] = results.unchanged_estimates
    return localizer.translate("list.counts", **{name: localizer.format_number(each) for name, each in counts.items()})


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
    """Say what went wrong with a sync, holds it up, or what it waits for; None while all is well."""
    status = sync.status
    specific = find_specific_cause(status.cause)
    is_waiting = find_phase(sync) is Phase.RUNNING and specific is not None
    is_bad = find_phase(sync) is Phase.FAILED or status.reason in BLOCKERS or is_waiting
    if not is_bad:
        return None
    reason = status.reason or "InternalError"
    happened, cure = _describe_reason(reason, localizer)
    if specific:
        exactly = localizer.translate(f"cause.{specific.code}.happened")
        waiting = localizer.translate("waiting.source" if specific in SOURCE_CAUSES else "waiting.database")
        happened, cure = (
            f"{waiting if is_waiting else happened}: {exactly}",
            localizer.translate(f"cause.{specific.code}.cure"),
        )
    message = status.message or ""
    return Diagnosis(reason=reason, happened=happened, cure=cure, message="" if message == happened else message)


def _describe_reason(reason: str, localizer: Localizer) -> tuple[str, str]:
    """An operator that is newer than this page may know reasons that the page does not."""
    if f"cause.{reason}.happened" not in read_translations()[LANGUAGES[0]]:
        return localizer.translate("cause.unknown"), ""
    return localizer.translate(f"cause.{reason}.happened"), localizer.translate(f"cause.{reason}.cure")


def count_filters(counts: Mapping[Phase, int], localizer: Localizer, *, chosen: str) -> tuple[Filter, ...]:
    """List the filters of the list, each with how many syncs it shows; blank stands for all."""
    amounts = {"": sum(counts.values()), **{phase.lower(): counts.get(phase, 0) for phase in Phase}}
    return tuple(
        Filter(
            status=status,
            name=localizer.translate(f"phase.{status}" if status else "list.all"),
            count=localizer.format_number(amounts[status]),
            is_chosen=status == chosen,
        )
        for status in FILTERS
    )


def is_any_callback_open(newest: Sequence[EstimateSync]) -> bool:
    """Return whether a callback is not delivered (yet), so that what was asked for may still be to come."""
    open_states = {CallbackState.PENDING, CallbackState.RETRYING, CallbackState.FAILED}
    return any(each.state in open_states for sync in newest for each in sync.status.deliveries)


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
    retrying = _list_retrying(newest)
    age = _compute_silence(newest, last_success, now)
    if sync is None and stale_after is not None and age > stale_after:
        key, sync = ("stale", last_success) if last_success else ("never", newest[0])
    undelivered = sum(bool(each.status.given_up) for each in newest)
    return Summary(
        tone=("failed" if key == "failed" else "stalled") if sync else "succeeded",
        title=_format_title(key, newest, localizer, age=age, retrying=len(retrying)),
        text=_format_retrying(retrying, localizer) if key == "retrying" else _format_trouble(key, sync, localizer),
        activity=_format_activity(newest, localizer),
        is_any_active=any(not each.is_finished for each in newest),
        trouble=build_sync_row(sync, localizer, now=now) if sync else None,
        last_success=build_sync_row(last_success, localizer, now=now) if last_success else None,
        undelivered=localizer.format_count("list.undelivered", undelivered)
        if undelivered and key != "undelivered"
        else "",
        can_send_again=undelivered > 0,
    )


def _find_trouble(newest: Sequence[EstimateSync]) -> tuple[str, EstimateSync | None]:
    """Find the worst that is true now: a blocker can be removed; of the ends only the newest counts.

    A callback that was given up is true until it is sent again; one that is being retried, while none gets through.
    """
    stalled = next((each for each in newest if not each.is_finished and each.status.reason in BLOCKERS), None)
    if stalled:
        return "stalled", stalled
    ended = next((each for each in newest if find_phase(each) in {Phase.SUCCEEDED, Phase.FAILED}), None)
    if ended and find_phase(ended) is Phase.FAILED:
        return "failed", ended
    undelivered = next(filter(_count_undelivered, newest), None)
    if undelivered:
        return "undelivered", undelivered
    retrying = _list_retrying(newest)
    # A single failure may be an accident.
    is_trouble = sum(callback.attempts for _, callback in retrying) >= _ATTEMPTS_TOLD
    return ("retrying", retrying[0][0]) if is_trouble else ("well", None)


def _list_retrying(newest: Sequence[EstimateSync]) -> list[tuple[EstimateSync, CallbackStatus]]:
    """List the newest callbacks of each target while all of them are being retried: since one got through, or ended."""
    retrying: list[tuple[EstimateSync, CallbackStatus]] = []
    done: set[str | None] = set()
    for sync in newest:
        for callback in sync.status.deliveries:
            if callback.target in done:
                continue
            if callback.state is CallbackState.RETRYING:
                retrying.append((sync, callback))
            elif callback.state in {CallbackState.DELIVERED, CallbackState.FAILED}:
                done.add(callback.target)
    return retrying


def _count_undelivered(sync: EstimateSync) -> int:
    return len(sync.status.given_up)


def _compute_silence(newest: Sequence[EstimateSync], last_success: EstimateSync | None, now: datetime) -> timedelta:
    """How long ago a sync has succeeded last; where none has, how long ago the oldest of the newest was created."""
    since = last_success.status.completion_time if last_success else newest[-1].metadata.creation_timestamp
    return now - since if since else timedelta()


def _format_title(
    key: str, newest: Sequence[EstimateSync], localizer: Localizer, *, age: timedelta, retrying: int
) -> str:
    if key == "retrying":
        return localizer.format_count("list.now.retrying", retrying)
    if key == "undelivered":
        return localizer.format_count("list.now.undelivered", sum(map(_count_undelivered, newest)))
    if key != "stale":
        return localizer.translate(f"list.now.{key}")
    hours = int(age.total_seconds()) // 3600
    unit, count = ("days", hours // 24) if hours >= _HOURS_TOLD else ("hours", hours)
    return localizer.format_count(f"list.now.stale.{unit}", count)


def _format_retrying(retrying: Sequence[tuple[EstimateSync, CallbackStatus]], localizer: Localizer) -> str:
    """Say why the newest one was not delivered, in the words of the operator, and for whom it was."""
    if not retrying:
        return ""
    callback = retrying[0][1]
    return localizer.join(
        [callback.target or "", callback.last_error or "", localizer.translate("list.now.retrying_text")]
    )


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
