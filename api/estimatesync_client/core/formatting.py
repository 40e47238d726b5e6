"""Numbers, times and syncs as text: short for a table, in full for a single sync. `adapters.terminal` lays it out."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from estimatesync_contract.causes import Reason
from estimatesync_contract.spec import Mode
from estimatesync_contract.specific_causes import find_cure

from estimatesync_client.core.api import (
    CANCELLED,
    CHANGES,
    FAILED,
    SUCCEEDED,
    Callback,
    DateRange,
    Progress,
    Results,
    Sync,
)

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_SIGNS: Final = {SUCCEEDED: "✔", FAILED: "✘", CANCELLED: "⊘", "running": "▶", "queued": "…"}
_CALLBACK_SIGNS: Final = {"delivered": "✔", "failed": "✘", "retrying": "↻", "pending": "…", "disabled": "-"}

COLUMNS: Final = ("ID", "STATUS", "DAYS", "RESULT", "CALL", "AGE")
_WAITING: Final = "waiting"
"""Stands for the reason of a running sync that cannot go on for now, such as without Attic Tech."""

SHORT_ID_LENGTH: Final = 8
"""The random end of the ids that the API makes; with more characters where two end alike, or where it would begin with
a separator. As many are enough for a command that changes something."""


def format_age(moment: datetime | None, now: datetime) -> str:
    """Write how long ago, in one unit: `45 s`, `12 min`, `3 h`, `9 d`; a dash when it is unknown."""
    if moment is None:
        return "-"
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def format_duration(seconds: float) -> str:
    """Write a duration in its two largest units: `9 s`, `8 min 7 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole >= 3_600:  # noqa: PLR2004 - an hour
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"  # noqa: PLR2004 - a minute


def format_clock(seconds: float) -> str:
    """Write a duration as a running clock: `0:08:07`."""
    whole = max(0, int(seconds))
    return f"{whole // 3_600}:{whole % 3_600 // 60:02}:{whole % 60:02}"


def format_moment(moment: datetime) -> str:
    """Write an instant in the time zone of this terminal, which it names."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def format_count(number: int, noun: str) -> str:
    """`1 attempt`, `1,609 estimates`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_days(days: DateRange | None) -> str:
    """Write days as short as they are clear: `2026-10-10 to 11-24`, `2026-11-24`."""
    if days is None:
        return "-"
    if days.start_date == days.end_date:
        return days.start_date
    is_same_year = days.start_date[:4] == days.end_date[:4]
    return f"{days.start_date} to {days.end_date[5:] if is_same_year else days.end_date}"


def shorten_ids(sync_ids: Collection[str]) -> Mapping[str, str]:
    """Shorten each id to its end, which every command takes, too: as few characters as tell these apart."""
    for length in range(SHORT_ID_LENGTH, max(map(len, sync_ids), default=0)):
        shortened = {sync_id: _take_end(sync_id, length) for sync_id in sync_ids}
        if len(set(shortened.values())) == len(shortened):
            return shortened
    return {sync_id: sync_id for sync_id in sync_ids}


def _take_end(sync_id: str, length: int) -> str:
    begin = max(0, len(sync_id) - length)
    while begin and sync_id[begin] in "-.":
        begin -= 1
    return sync_id[begin:]


def strip_control_characters(text: str) -> str:
    """Remove the control characters from foreign text: they could repaint a terminal."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)


def format_sign(sync: Sync) -> str:
    """One character for the status."""
    return _SIGNS.get(sync.status, "?")


def format_row(sync: Sync, now: datetime) -> tuple[str, ...]:
    """Write a sync as a row under COLUMNS."""
    return (
        sync.sync_id,
        sync.status,
        format_days(sync.date_range),
        _format_short_result(sync) or "-",
        "".join(_CALLBACK_SIGNS.get(each.state, "?") for each in sync.deliveries) or "-",
        format_age(sync.created_at, now),
    )


def _format_short_result(sync: Sync) -> str:
    """What it came to, why it failed or is held up, or how far it is."""
    if sync.status == SUCCEEDED:
        return _format_changes(sync.results) if sync.results else ""
    if sync.status == FAILED or format_cure(sync):
        return _format_reason(sync)
    if sync.status == CANCELLED or sync.progress is None or not sync.progress.text:
        return ""
    return f"page {sync.progress.text}"


def _format_reason(sync: Sync) -> str:
    return _WAITING if sync.reason == Reason.RUNNING else strip_control_characters(sync.reason or "")


def format_cure(sync: Sync) -> str:
    """What a person should do about a sync that has failed or is held up; blank where nothing is to be done."""
    if sync.status in {SUCCEEDED, CANCELLED}:
        return ""
    return strip_control_characters(sync.cure or find_cure(sync.reason, None))


def list_cures(syncs: Iterable[Sync]) -> Mapping[str, str]:
    """What to do about the syncs of a list: each reason once, with the cure of its newest sync."""
    cures = [(_format_reason(sync), format_cure(sync)) for sync in syncs]
    return dict(reversed([(reason, cure) for reason, cure in cures if reason and cure]))


def format_outcome(sync: Sync) -> str:
    """Write the outcome, or what the sync waits for, in one line."""
    if sync.status == SUCCEEDED and sync.results:
        return _format_results(sync.results)
    cause = strip_control_characters(sync.message or "")
    if sync.status == FAILED and sync.reason:
        return f"{sync.reason}: {cause}" if cause else sync.reason
    if sync.reason == Reason.RUNNING:
        # Otherwise it only says how far it is. With a cure, the sync waits for something.
        return cause if sync.cure else ""
    return "" if sync.reason == Reason.CANCELLED else cause


def format_fields(sync: Sync, now: datetime) -> tuple[tuple[str, str], ...]:
    """Write everything worth knowing, as names and texts, without what is not known yet."""
    days, created = sync.date_range, sync.created_at
    fields = (
        ("Days", f"{days.start_date} to {days.end_date}" if days else ""),
        ("Read", _MODES.get(sync.mode or "", "")),
        ("Metadata", _format_metadata(sync.metadata or {})),
        ("Pages", _format_progress(sync.progress) if sync.progress else ""),
        ("Requested", f"{format_moment(created)}, {format_age(created, now)} ago" if created else ""),
        *(
            (name, f"by {strip_control_characters(who)}" if who else "")
            for name, who in (
                ("Asked for", sync.started_by),
                ("Cancelled", sync.cancelled_by),
                ("Sent again", sync.redelivered_by),
            )
        ),
        ("Started", format_moment(sync.started_at) if sync.started_at else ""),
        ("Ended", _format_end(sync)),
        ("Page", strip_control_characters(sync.details_url or "")),
        *((f"Callback {each.target}".rstrip(), _format_callback(each, now)) for each in sync.deliveries),
    )
    return tuple((name, text) for name, text in fields if text)


_MODES: Final = {CHANGES: "only what had changed", Mode.WHOLE.lower(): "the whole range"}
"""Told where changes were asked for."""


def format_progress_line(sync: Sync) -> str:
    """Write the progress in one line, for a log."""
    progress = sync.progress
    reached = f"page {progress.text}, {format_count(progress.fetched, 'estimate')}" if progress else ""
    return "  ".join(part for part in (sync.status, reached, format_outcome(sync)) if part)


def _format_results(results: Results) -> str:
    text = f"{_format_changes(results)}, {results.unchanged_estimates:,} unchanged"
    text += f", {results.skipped_estimates:,} skipped" if results.skipped_estimates else ""
    return text + (f", {results.deleted_estimates:,} deleted" if results.deleted_estimates else "")


def _format_changes(results: Results) -> str:
    """The API counts as updated what was equal already, too."""
    changed = max(0, results.updated_estimates - results.unchanged_estimates)
    return f"{results.new_estimates:,} new, {changed:,} changed"


def _format_metadata(metadata: Mapping[str, object]) -> str:
    return strip_control_characters(", ".join(f"{name}={value}" for name, value in metadata.items()))


def _format_progress(progress: Progress) -> str:
    return f"{progress.text} ({progress.percent} %), {format_count(progress.fetched, 'estimate')}"


def _format_end(sync: Sync) -> str:
    if sync.completed_at is None:
        return ""
    after = f", after {format_duration(sync.duration_seconds)}" if sync.duration_seconds is not None else ""
    return f"{format_moment(sync.completed_at)}{after}"


def _format_callback(callback: Callback, now: datetime) -> str:
    text = callback.state
    if callback.attempts:
        text += f" after {format_count(callback.attempts, 'attempt')}"
    if callback.earlier_attempts:
        text += f", {callback.earlier_attempts + callback.attempts} in all"
    if callback.last_attempt_at:
        text += f", {format_age(callback.last_attempt_at, now)} ago"
    if callback.next_attempt_at and callback.state == "retrying":
        text += f"; next at {format_moment(callback.next_attempt_at)}"
    return text + (f" ({strip_control_characters(callback.last_error)})" if callback.last_error else "")
