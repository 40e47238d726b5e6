"""One sync in words: short ones for a table, full ones for a look at it. Pure; `views` lays them out."""

from datetime import datetime
from typing import Final

from estimatesync_client.answers import CANCELLED, FAILED, SUCCEEDED, Callback, Progress, Results, Sync
from estimatesync_client.wording import (
    format_age,
    format_count,
    format_duration,
    format_harmless,
    format_moment,
)

_SIGNS: Final = {SUCCEEDED: "✔", FAILED: "✘", CANCELLED: "⊘", "running": "▶", "queued": "…"}
_CALLBACK_SIGNS: Final = {"delivered": "✔", "failed": "✘", "retrying": "↻", "pending": "…", "disabled": "-"}

COLUMNS: Final = ("ID", "STATUS", "PAGES", "NEW", "UPDATED", "CALL", "AGE")
"""Narrow enough for an id of 36 characters in a terminal of 80."""


def format_sign(sync: Sync) -> str:
    """One character for the status."""
    return _SIGNS.get(sync.status, "?")


def format_row(sync: Sync, now: datetime) -> tuple[str, ...]:
    """The sync as a row under COLUMNS."""
    results = sync.results
    return (
        sync.sync_id,
        sync.status,
        sync.progress.text if sync.progress else "-",
        str(results.new_estimates) if results else "-",
        str(results.updated_estimates) if results else "-",
        _CALLBACK_SIGNS.get(sync.callback.state, "?") if sync.callback else "-",
        format_age(sync.created_at, now),
    )


def format_outcome(sync: Sync) -> str:
    """What became of it, or what it waits for, in one line."""
    if sync.status == SUCCEEDED and sync.results:
        return _format_results(sync.results)
    cause = format_harmless(sync.message or "")
    if sync.status == FAILED and sync.reason:
        return f"{sync.reason}: {cause}" if cause else sync.reason
    return "" if sync.reason in {"Running", "Cancelled"} else cause


def format_fields(sync: Sync, now: datetime) -> tuple[tuple[str, str], ...]:
    """Everything worth knowing, as names and texts; what nobody knows yet is left out."""
    days, created = sync.date_range, sync.created_at
    fields = (
        ("Days", f"{days.start_date} to {days.end_date}" if days else ""),
        ("Pages", _format_progress(sync.progress) if sync.progress else ""),
        ("Asked for", f"{format_moment(created)}, {format_age(created, now)} ago" if created else ""),
        ("Started", format_moment(sync.started_at) if sync.started_at else ""),
        ("Ended", _format_end(sync)),
        ("Callback", _format_callback(sync.callback, now) if sync.callback else ""),
    )
    return tuple((name, text) for name, text in fields if text)


def format_progress_line(sync: Sync) -> str:
    """How far it is, in one line for a log."""
    progress = sync.progress
    reached = f"page {progress.text}, {format_count(progress.fetched, 'estimate')}" if progress else ""
    return "  ".join(part for part in (sync.status, reached, format_outcome(sync)) if part)


def _format_results(results: Results) -> str:
    text = f"New: {results.new_estimates}, Updated: {results.updated_estimates}"
    if results.unchanged_estimates:
        text += f" ({results.unchanged_estimates} of them unchanged)"
    return text + (f", Skipped: {results.skipped_estimates}" if results.skipped_estimates else "")


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
    return text + (f" ({format_harmless(callback.last_error)})" if callback.last_error else "")
