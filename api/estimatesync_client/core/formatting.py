"""Numbers, times and syncs as text: short for a table, in full for a single sync. `adapters.terminal` lays it out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from estimatesync_contract.spec import Mode

from estimatesync_client.core.api import CANCELLED, CHANGES, FAILED, SUCCEEDED, Callback, Progress, Results, Sync

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_SIGNS: Final = {SUCCEEDED: "✔", FAILED: "✘", CANCELLED: "⊘", "running": "▶", "queued": "…"}
_CALLBACK_SIGNS: Final = {"delivered": "✔", "failed": "✘", "retrying": "↻", "pending": "…", "disabled": "-"}

COLUMNS: Final = ("ID", "STATUS", "PAGES", "NEW", "UPDATED", "CALL", "AGE")
"""Narrow enough for an id of 36 characters in a terminal of 80."""


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
    """Write an instant in the time zone of this terminal."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def format_count(number: int, noun: str) -> str:
    """`1 attempt`, `2 attempts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def strip_control_characters(text: str) -> str:
    """Remove the control characters from foreign text: they could repaint a terminal."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)


def format_sign(sync: Sync) -> str:
    """One character for the status."""
    return _SIGNS.get(sync.status, "?")


def format_row(sync: Sync, now: datetime) -> tuple[str, ...]:
    """Write a sync as a row under COLUMNS."""
    results = sync.results
    return (
        sync.sync_id,
        sync.status,
        sync.progress.text if sync.progress else "-",
        str(results.new_estimates) if results else "-",
        str(results.updated_estimates) if results else "-",
        "".join(_CALLBACK_SIGNS.get(each.state, "?") for each in sync.deliveries) or "-",
        format_age(sync.created_at, now),
    )


def format_outcome(sync: Sync) -> str:
    """Write the outcome, or what the sync waits for, in one line."""
    if sync.status == SUCCEEDED and sync.results:
        return _format_results(sync.results)
    cause = strip_control_characters(sync.message or "")
    if sync.status == FAILED and sync.reason:
        return f"{sync.reason}: {cause}" if cause else sync.reason
    return "" if sync.reason in {"Running", "Cancelled"} else cause


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
    text = f"New: {results.new_estimates}, Updated: {results.updated_estimates}"
    if results.unchanged_estimates:
        text += f" ({results.unchanged_estimates} of them unchanged)"
    text += f", Skipped: {results.skipped_estimates}" if results.skipped_estimates else ""
    return text + (f", Deleted: {results.deleted_estimates}" if results.deleted_estimates else "")


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
    if callback.last_attempt_at:
        text += f", {format_age(callback.last_attempt_at, now)} ago"
    if callback.next_attempt_at and callback.state == "retrying":
        text += f"; next at {format_moment(callback.next_attempt_at)}"
    return text + (f" ({strip_control_characters(callback.last_error)})" if callback.last_error else "")
