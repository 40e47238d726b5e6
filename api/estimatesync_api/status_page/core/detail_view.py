"""What the page of one sync shows, in words: headline, diagnosis, counts, timeline, callback, progress grid. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.causes import BLOCKERS
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_CANCELLED_BY, ANNOTATION_REDELIVERED_BY, ANNOTATION_STARTED_BY
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import (
    AlertStatus,
    CallbackAttemptRecord,
    CallbackState,
    CallbackStatus,
    Phase,
    Progress,
    QueuePlace,
)
from msgspec import UNSET

from estimatesync_api.core.listing import find_phase
from estimatesync_api.core.problems import ApiError
from estimatesync_api.core.sync_request import require_redeliverable
from estimatesync_api.status_page.core.list_view import (
    CALLBACK_TONES,
    Badge,
    Diagnosis,
    Field,
    SyncRow,
    build_delivery_badge,
    build_diagnosis,
    build_sync_row,
    format_sync_duration,
)
from estimatesync_api.status_page.core.localization import Localizer, Moment

_MIN_PAGES_FOR_ESTIMATE: Final = 3
"""Fewer pages say too little about how long the rest will take."""
_COUNTS: Final = (
    ("total_fetched", "counts.fetched"),
    ("new_estimates", "counts.new"),
    ("updated_estimates", "counts.updated"),
    ("unchanged_estimates", "counts.unchanged"),
    ("skipped_estimates", "counts.skipped"),
    ("deleted_estimates", "counts.deleted"),
    ("previous_total_fetched", "counts.previous"),
)
_MAX_SQUARES: Final = 240
_MAX_COLUMNS: Final = 40
_MIN_COLUMNS: Final = 20
"""With fewer columns, the squares of a few pages would be huge."""
_SIDE: Final = 12
_GAP: Final = 3


@dataclass(frozen=True, kw_only=True)
class TimelineStep:
    """One thing that has happened, is happening, or is still to come."""

    tone: str
    """`done`, `now`, `next`, or a tone of a badge."""
    title: str
    at: Moment | None = None
    text: str = ""
    diagnosis: Diagnosis | None = None


@dataclass(frozen=True, kw_only=True)
class Square:
    """One page of the source."""

    x: int
    y: int
    is_read: bool


@dataclass(frozen=True, kw_only=True)
class ProgressGrid:
    """A square for each page, filled once the page has been read."""

    width: int
    height: int
    side: int
    squares: tuple[Square, ...]


@dataclass(frozen=True, kw_only=True)
class AttemptRow:
    """One attempt to deliver the callback."""

    at: Moment
    badge: Badge
    answer: str
    why: str
    """Blank when it was delivered, or when the newest attempt failed for the same reason."""


@dataclass(frozen=True, kw_only=True)
class CallbackDetail:
    """The delivery of a callback, with its attempts; `target` and `badge` are there where targets were named."""

    target: str
    badge: Badge | None
    fields: tuple[Field, ...]
    attempts: tuple[AttemptRow, ...]
    """The newest first."""
    error: str


@dataclass(frozen=True, kw_only=True)
class SyncDetail:
    """One sync with everything that is known about it."""

    row: SyncRow
    headline: str
    diagnosis: Diagnosis | None
    progress_grid: ProgressGrid | None
    counts: tuple[Field, ...]
    timeline: tuple[TimelineStep, ...]
    callbacks: tuple[CallbackDetail, ...]
    technical_details: tuple[Field, ...]
    can_be_cancelled: bool
    can_be_redelivered: bool


def build_sync_detail(sync: EstimateSync, localizer: Localizer, *, now: datetime) -> SyncDetail:
    """Describe a sync for its own page."""
    return SyncDetail(
        row=build_sync_row(sync, localizer, now=now),
        headline=format_headline(sync, localizer, now=now),
        diagnosis=build_diagnosis(sync, localizer),
        progress_grid=build_progress_grid(sync.status.progress) if find_phase(sync) is Phase.RUNNING else None,
        counts=_build_counts(sync, localizer),
        timeline=build_timeline(sync, localizer, now=now),
        callbacks=tuple(_build_callback_detail(each, localizer, now=now) for each in sync.status.deliveries),
        technical_details=_build_technical_details(sync, localizer),
        can_be_cancelled=not sync.is_finished and not sync.spec.cancel,
        can_be_redelivered=can_be_redelivered(sync),
    )


def format_headline(sync: EstimateSync, localizer: Localizer, *, now: datetime) -> str:
    """Say in one sentence how the sync is, for a reader who knows nothing of it."""
    diagnosis = build_diagnosis(sync, localizer)
    left = compute_time_left(sync, now=now)
    values = {
        "duration": format_sync_duration(sync, localizer, now=now),
        "left": localizer.format_duration(left) if left else "",
        "happened": diagnosis.happened if diagnosis else "",
        "why": format_waiting_reason(sync, localizer),
    }
    key = _choose_headline(sync)
    return localizer.translate("headline.running_left" if key == "running" and left else f"headline.{key}", **values)


def compute_time_left(sync: EstimateSync, *, now: datetime) -> timedelta | None:
    """Estimate how long a running sync still takes, in whole minutes; None while it cannot be estimated."""
    progress, start = sync.status.progress, sync.status.start_time
    if sync.is_finished or progress is None or start is None or progress.page < _MIN_PAGES_FOR_ESTIMATE:
        return None
    seconds = (now - start).total_seconds() / progress.page * (progress.total_pages - progress.page)
    return timedelta(minutes=math.ceil(seconds / 60)) if seconds > 0 else None


def format_waiting_reason(sync: EstimateSync, localizer: Localizer) -> str:
    """Say why a sync has not started: its position in the queue, or the status message as it is.

    Operators before `status.queue` report the position in the message alone, which stays in English.
    """
    if sync.spec.suspend:
        return localizer.translate("timeline.suspended")
    if sync.status.queue is not None:
        return _format_queue_place(sync.status.queue, localizer)
    return sync.status.message or localizer.translate("timeline.unseen")


def can_be_redelivered(sync: EstimateSync) -> bool:
    """Return whether there is a callback to send again, by the API's own rule."""
    try:
        require_redeliverable(sync)
    except ApiError:
        return False
    return True


def build_progress_grid(progress: Progress | None) -> ProgressGrid | None:
    """Lay the squares out in rows; None for a single page, or for more pages than can be told apart."""
    total = progress.total_pages if progress else 0
    if progress is None or not 1 < total <= _MAX_SQUARES:
        return None
    step, columns = _SIDE + _GAP, max(_MIN_COLUMNS, min(total, _MAX_COLUMNS))
    squares = tuple(
        Square(x=page % columns * step, y=page // columns * step, is_read=page < progress.page) for page in range(total)
    )
    rows = (total - 1) // columns + 1
    return ProgressGrid(width=columns * step - _GAP, height=rows * step - _GAP, side=_SIDE, squares=squares)


def build_timeline(sync: EstimateSync, localizer: Localizer, *, now: datetime) -> tuple[TimelineStep, ...]:
    """List the steps so far, from the request to the delivered callback, and what comes next."""
    return (
        _build_accepted_step(sync, localizer, now),
        *_iterate_queue_steps(sync, localizer, now),
        *_iterate_job_steps(sync, localizer, now),
        *_iterate_end_steps(sync, localizer, now),
        *_iterate_callback_steps(sync, localizer, now),
    )


def _choose_headline(sync: EstimateSync) -> str:
    phase = find_phase(sync)
    if phase is Phase.RUNNING and sync.status.reason in BLOCKERS:
        return "stalled"
    if phase is Phase.RUNNING and sync.spec.cancel:
        return "stopping"
    return phase.lower()


def _format_queue_place(queue: QueuePlace, localizer: Localizer) -> str:
    key = "timeline.position" if queue.exact else "timeline.position_or_later"
    position = localizer.translate(key, position=localizer.format_number(queue.position))
    if not queue.ahead:
        return position
    names, more = ", ".join(queue.ahead), localizer.format_number(queue.more_ahead)
    key = "timeline.ahead_and_more" if queue.more_ahead else "timeline.ahead"
    return f"{position} {localizer.translate(key, names=names, more=more)}"


def _build_counts(sync: EstimateSync, localizer: Localizer) -> tuple[Field, ...]:
    results, progress = sync.status.results, sync.status.progress
    if results is not None and find_phase(sync) is Phase.SUCCEEDED:
        counts = [(key, count) for name, key in _COUNTS if (count := getattr(results, name)) is not UNSET]
        fields = [Field(name=localizer.translate(key), text=localizer.format_number(count)) for key, count in counts]
        return (*fields, *_iterate_mode(sync, localizer))
    if progress is not None and not sync.is_finished:
        fetched = localizer.format_number(progress.fetched)
        return (Field(name=localizer.translate("counts.fetched_so_far"), text=fetched),)
    return ()


def _iterate_mode(sync: EstimateSync, localizer: Localizer) -> Iterator[Field]:
    if sync.spec.mode is Mode.CHANGES and sync.status.mode:
        text = localizer.translate(f"counts.mode_{sync.status.mode.lower()}")
        yield Field(name=localizer.translate("counts.mode"), text=text)


def _build_callback_detail(callback: CallbackStatus, localizer: Localizer, *, now: datetime) -> CallbackDetail:
    target = callback.target or ""
    badge = build_delivery_badge(callback, localizer) if target else None
    if callback.state is CallbackState.DISABLED:
        disabled = localizer.translate("callback.disabled")
        return CallbackDetail(target=target, badge=badge, fields=(), attempts=(), error=disabled)
    fields = [Field(name=localizer.translate("callback.made"), text=localizer.format_number(callback.attempts))]
    for key, moment in (("callback.last", callback.last_attempt_time), ("callback.next", callback.next_attempt_time)):
        if moment is not None:
            fields.append(Field(name=localizer.translate(key), moment=localizer.to_moment(moment, now=now)))
    if callback.last_status_code:
        fields.append(Field(name=localizer.translate("callback.answer"), text=f"HTTP {callback.last_status_code}"))
    error = callback.last_error or ""
    attempts = tuple(_build_attempt_row(each, localizer, now=now, newest=error) for each in reversed(callback.history))
    return CallbackDetail(target=target, badge=badge, fields=tuple(fields), attempts=attempts, error=error)


def _build_attempt_row(
    attempt: CallbackAttemptRecord, localizer: Localizer, *, now: datetime, newest: str
) -> AttemptRow:
    is_delivered, code = attempt.error is None, attempt.status_code
    badge = Badge(
        tone="succeeded" if is_delivered else "failed",
        word=localizer.translate("callback.delivered" if is_delivered else "callback.not_delivered"),
    )
    return AttemptRow(
        at=localizer.to_moment(attempt.time, now=now),
        badge=badge,
        answer=f"HTTP {code}" if code else localizer.translate("callback.no_answer"),
        why="" if attempt.error is None or attempt.error == newest else attempt.error,
    )


def _build_technical_details(sync: EstimateSync, localizer: Localizer) -> tuple[Field, ...]:
    """List what helps to go on with other tools, such as `kubectl`."""
    status, annotations = sync.status, sync.metadata.annotations
    known = {
        "technical_details.name": sync.name,
        "technical_details.started_by": annotations.get(ANNOTATION_STARTED_BY),
        "technical_details.cancelled_by": annotations.get(ANNOTATION_CANCELLED_BY),
        "technical_details.redelivered_by": annotations.get(ANNOTATION_REDELIVERED_BY),
        "technical_details.uid": sync.uid,
        "technical_details.reason": status.reason,
        "technical_details.message": status.message,
        "technical_details.job": status.job_name,
        "technical_details.pod": status.pod_name,
        "technical_details.callback_id": ", ".join(each.id for each in status.deliveries if each.id),
        "technical_details.alert": _format_alert(status.alert, localizer) if status.alert else "",
        "technical_details.metadata": status.metadata or sync.spec.metadata,
        "technical_details.runs": str(status.runs) if status.runs else "",
        "technical_details.limit": str(sync.options.timeout_seconds),
    }
    return tuple(Field(name=localizer.translate(key), text=text) for key, text in known.items() if text)


def _format_alert(alert: AlertStatus, localizer: Localizer) -> str:
    """Say whether somebody was told that no sync has succeeded since."""
    word = build_delivery_badge(alert.delivery, localizer).word
    return f"{word}: {alert.delivery.last_error}" if alert.delivery.last_error else word


def _build_accepted_step(sync: EstimateSync, localizer: Localizer, now: datetime) -> TimelineStep:
    at, text = _to_moment(sync.metadata.creation_timestamp, localizer, now), "timeline.accepted_text"
    return TimelineStep(
        tone="done", title=localizer.translate("timeline.accepted"), at=at, text=localizer.translate(text)
    )


def _iterate_queue_steps(sync: EstimateSync, localizer: Localizer, now: datetime) -> Iterator[TimelineStep]:
    created_at, start = sync.metadata.creation_timestamp, sync.status.start_time
    if find_phase(sync) is Phase.QUEUED:
        text = format_waiting_reason(sync, localizer)
        yield TimelineStep(tone="now", title=localizer.translate("timeline.waiting"), text=text)
        yield TimelineStep(tone="next", title=localizer.translate("timeline.start_next"))
    elif start and created_at:
        waited = localizer.translate("timeline.waited", time=localizer.format_duration(start - created_at))
        title = localizer.translate("timeline.started")
        yield TimelineStep(tone="done", title=title, at=_to_moment(start, localizer, now), text=waited)


def _iterate_job_steps(sync: EstimateSync, localizer: Localizer, now: datetime) -> Iterator[TimelineStep]:
    status = sync.status
    if status.job_name and not status.is_job_pending:
        runs = localizer.format_count("timeline.runs", status.runs) if status.runs and status.runs > 1 else ""
        yield TimelineStep(tone="done", title=localizer.translate("timeline.job"), text=runs)
    if find_phase(sync) is not Phase.RUNNING:
        return
    if status.reason in BLOCKERS:
        title, since = localizer.translate("phase.stalled"), _to_moment(status.stalled_since, localizer, now)
        yield TimelineStep(tone="stalled", title=title, at=since, diagnosis=build_diagnosis(sync, localizer))
    else:
        title = localizer.translate("phase.stopping" if sync.spec.cancel else "timeline.running")
        yield TimelineStep(tone="now", title=title, text=_format_progress(sync, localizer))
    yield TimelineStep(tone="next", title=localizer.translate("timeline.end_next"))


def _format_progress(sync: EstimateSync, localizer: Localizer) -> str:
    progress = sync.status.progress
    if progress is None:
        return localizer.translate("timeline.no_page_yet")
    counts = {"page": progress.page, "total": progress.total_pages, "fetched": progress.fetched}
    values = {name: localizer.format_number(count) for name, count in counts.items()}
    return localizer.translate("timeline.progress", **values)


def _iterate_end_steps(sync: EstimateSync, localizer: Localizer, now: datetime) -> Iterator[TimelineStep]:
    phase, results = find_phase(sync), sync.status.results
    if not phase.is_final:
        return
    at, title = _to_moment(sync.status.completion_time, localizer, now), f"timeline.{phase.lower()}"
    text = localizer.translate("timeline.nothing_stored")
    if phase is Phase.SUCCEEDED and results is not None:
        new, updated = (localizer.format_number(count) for count in (results.new_estimates, results.updated_estimates))
        text = localizer.translate("list.counts", new=new, updated=updated)
    diagnosis = build_diagnosis(sync, localizer)
    yield TimelineStep(tone=phase.lower(), title=localizer.translate(title), at=at, text=text, diagnosis=diagnosis)


def _iterate_callback_steps(sync: EstimateSync, localizer: Localizer, now: datetime) -> Iterator[TimelineStep]:
    if not sync.status.deliveries and sync.spec.callback.enabled and not sync.is_finished:
        yield TimelineStep(tone="next", title=localizer.translate("timeline.callback_next"))
    for callback in sync.status.deliveries:
        yield from _iterate_delivery_steps(callback, localizer, now)


def _iterate_delivery_steps(callback: CallbackStatus, localizer: Localizer, now: datetime) -> Iterator[TimelineStep]:
    title = localizer.translate(f"timeline.callback.{callback.state.lower()}")
    title = f"{title}: {callback.target}" if callback.target else title
    # The timeline marks the step that is under way, where the badge in the list only says that it waits.
    tone = "now" if callback.state is CallbackState.PENDING else CALLBACK_TONES[callback.state]
    if callback.state is CallbackState.DISABLED:
        yield TimelineStep(tone=tone, title=title)
        return
    attempts = localizer.format_count("callback.attempts", callback.attempts)
    code = localizer.translate("callback.code", code=callback.last_status_code) if callback.last_status_code else ""
    at = _to_moment(callback.last_attempt_time, localizer, now)
    yield TimelineStep(tone=tone, title=title, at=at, text=localizer.join([attempts, code]))
    if callback.next_attempt_time and not callback.state.is_final:
        retry_at = _to_moment(callback.next_attempt_time, localizer, now)
        yield TimelineStep(tone="next", title=localizer.translate("timeline.callback_retry"), at=retry_at)


def _to_moment(moment: datetime | None, localizer: Localizer, now: datetime) -> Moment | None:
    return localizer.to_moment(moment, now=now) if moment else None
