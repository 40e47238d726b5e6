"""What the page of one sync shows, in words: headline, diagnosis, counts, timeline, callback. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.causes import BLOCKERS
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_CANCELLED_BY, ANNOTATION_REDELIVERED_BY, ANNOTATION_STARTED_BY
from estimatesync_contract.redelivery import is_redelivery_requested
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import (
    AlertStatus,
    CallbackAttemptRecord,
    CallbackState,
    CallbackStatus,
    Phase,
    QueuePlace,
)
from msgspec import UNSET

from estimatesync_api.core.listing import find_phase
from estimatesync_api.core.problems import ApiError
from estimatesync_api.core.sync_request import require_redeliverable
from estimatesync_api.status_page.core.addresses import build_sync_address
from estimatesync_api.status_page.core.list_view import (
    Badge,
    Diagnosis,
    Field,
    SyncRow,
    build_delivery_badge,
    build_diagnosis,
    build_sync_row,
    find_stored,
    format_counts,
    format_days,
    format_sync_duration,
)
from estimatesync_api.status_page.core.localization import Localizer, Moment

_MIN_PAGES_FOR_ESTIMATE: Final = 3
"""Fewer pages say too little about how long the rest will take."""
_COUNTS: Final = (
    ("total_fetched", "counts.fetched"),
    ("new_estimates", "counts.new"),
    ("changed_estimates", "counts.changed"),
    ("unchanged_estimates", "counts.unchanged"),
    ("skipped_estimates", "counts.skipped"),
    ("deleted_estimates", "counts.deleted"),
    ("previous_total_fetched", "counts.previous"),
)
_MAKE: Final = "Make.com"
"""Who gets the callbacks that no target is named for."""


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
class SyncAhead:
    """A running sync that a waiting one waits for."""

    address: str
    days: str
    progress: str
    """Blank until it has reported any."""


@dataclass(frozen=True, kw_only=True)
class AttemptRow:
    """One attempt to deliver the callback."""

    at: Moment
    badge: Badge
    answer: str
    """Blank when there was none."""
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
    ahead: tuple[SyncAhead, ...]
    more_ahead: str
    """How many further syncs are running; blank for none."""
    unheard: tuple[str, ...]
    """For each callback that was given up, who does not know how the sync ended."""
    diagnosis: Diagnosis | None
    counts: tuple[Field, ...]
    timeline: tuple[TimelineStep, ...]
    callbacks: tuple[CallbackDetail, ...]
    technical_details: tuple[Field, ...]
    can_be_cancelled: bool
    can_be_redelivered: bool
    no_log: str
    """Why there may be no log."""


def build_sync_detail(
    sync: EstimateSync, localizer: Localizer, *, now: datetime, running: Sequence[EstimateSync] = ()
) -> SyncDetail:
    """Describe a sync for its own page; `running` are the syncs that it may have to wait for."""
    is_queued = find_phase(sync) is Phase.QUEUED
    return SyncDetail(
        row=build_sync_row(sync, localizer, now=now),
        headline=format_headline(sync, localizer, now=now),
        ahead=_list_ahead(sync, localizer, running),
        more_ahead=_format_more_ahead(sync, localizer),
        unheard=_list_unheard(sync, localizer),
        diagnosis=build_diagnosis(sync, localizer),
        counts=_build_counts(sync, localizer),
        timeline=build_timeline(sync, localizer, now=now),
        callbacks=tuple(_build_callback_detail(each, localizer, now=now) for each in sync.status.deliveries),
        technical_details=_build_technical_details(sync, localizer),
        can_be_cancelled=not sync.is_finished and not sync.spec.cancel,
        can_be_redelivered=can_be_redelivered(sync),
        no_log=localizer.translate("sync.log_not_begun" if is_queued else "sync.log_empty"),
    )


def format_headline(sync: EstimateSync, localizer: Localizer, *, now: datetime) -> str:
    """Say in one sentence how the sync is, for a reader who knows nothing of it."""
    diagnosis = build_diagnosis(sync, localizer)
    left = compute_time_left(sync, now=now)
    values = {
        "duration": format_sync_duration(sync, localizer, now=now),
        "left": _format_time_left(left, localizer) if left else "",
        "happened": diagnosis.happened if diagnosis else "",
        "why": format_waiting_reason(sync, localizer),
    }
    key = _choose_headline(sync)
    if key == "running" and diagnosis:
        return localizer.translate("headline.running_waiting", **values)
    return localizer.translate("headline.running_left" if key == "running" and left else f"headline.{key}", **values)


def compute_time_left(sync: EstimateSync, *, now: datetime) -> timedelta | None:
    """Estimate how long a running sync still takes; None while it cannot be estimated."""
    progress, start = sync.status.progress, sync.status.start_time
    if sync.is_finished or progress is None or start is None or progress.page < _MIN_PAGES_FOR_ESTIMATE:
        return None
    seconds = (now - start).total_seconds() / progress.page * (progress.total_pages - progress.page)
    return timedelta(seconds=seconds) if seconds > 0 else None


def format_waiting_reason(sync: EstimateSync, localizer: Localizer) -> str:
    """Say why a sync has not started: its position in the queue, or the status message as it is.

    Operators before `status.queue` report the position in the message alone, which stays in English.
    """
    if sync.spec.suspend:
        return localizer.translate("timeline.suspended")
    if (queue := sync.status.queue) is not None:
        key = "timeline.position" if queue.exact else "timeline.position_or_later"
        return localizer.translate(key, position=localizer.format_number(queue.position))
    return sync.status.message or localizer.translate("timeline.unseen")


def _format_time_left(left: timedelta, localizer: Localizer) -> str:
    """Write about how long: whole minutes, rounded up; less than one is not told in seconds, which nobody can know."""
    if left < timedelta(minutes=1):
        return localizer.translate("headline.less_than_a_minute")
    return localizer.translate(
        "headline.about", time=localizer.format_duration(timedelta(minutes=math.ceil(left / timedelta(minutes=1))))
    )


def is_flash_true(flash: str, sync: EstimateSync) -> bool:
    """Return whether what was said after a form is still true of the sync; False for a text that there is not."""
    is_over = sync.is_finished
    is_to_be_sent = sync.status.owes_callback or is_redelivery_requested(sync)
    truths = {"started": not is_over, "cancelled": not is_over, "too_late": is_over, "redelivered": is_to_be_sent}
    return truths.get(flash, False)


def can_be_redelivered(sync: EstimateSync) -> bool:
    """Return whether there is a callback to send again, by the API's own rule."""
    try:
        require_redeliverable(sync)
    except ApiError:
        return False
    return True


def build_timeline(sync: EstimateSync, localizer: Localizer, *, now: datetime) -> tuple[TimelineStep, ...]:
    """List the steps so far, from the request to the end, and what comes next; the callback has a card of its own."""
    return (
        _build_accepted_step(sync, localizer, now),
        *_iterate_queue_steps(sync, localizer, now),
        *_iterate_job_steps(sync, localizer, now),
        *_iterate_end_steps(sync, localizer, now),
    )


def _list_ahead(sync: EstimateSync, localizer: Localizer, running: Sequence[EstimateSync]) -> tuple[SyncAhead, ...]:
    """List the syncs ahead in their order; one that is not running any more is left out."""
    by_name = {each.name: each for each in running}
    queue = _find_queue(sync)
    return tuple(
        _build_ahead(found, localizer) for name in (queue.ahead if queue else ()) if (found := by_name.get(name))
    )


def _build_ahead(sync: EstimateSync, localizer: Localizer) -> SyncAhead:
    progress, text = sync.status.progress, ""
    if progress is not None:
        page, total = localizer.format_number(progress.page), localizer.format_number(progress.total_pages)
        text = localizer.translate("ahead.page", page=page, total=total)
    return SyncAhead(address=build_sync_address(sync.name), days=format_days(sync, localizer), progress=text)


def _format_more_ahead(sync: EstimateSync, localizer: Localizer) -> str:
    queue = _find_queue(sync)
    return (
        localizer.translate("ahead.more", more=localizer.format_number(queue.more_ahead))
        if queue and queue.more_ahead
        else ""
    )


def _find_queue(sync: EstimateSync) -> QueuePlace | None:
    return sync.status.queue if find_phase(sync) is Phase.QUEUED and not sync.spec.suspend else None


def _list_unheard(sync: EstimateSync, localizer: Localizer) -> tuple[str, ...]:
    given_up = [each for each in sync.status.deliveries if each.state is CallbackState.FAILED]
    return tuple(localizer.translate("callback.unheard", receiver=each.target or _MAKE) for each in given_up)


def _choose_headline(sync: EstimateSync) -> str:
    phase = find_phase(sync)
    if phase is Phase.RUNNING and sync.status.reason in BLOCKERS:
        return "stalled"
    if phase is Phase.RUNNING and sync.spec.cancel:
        return "stopping"
    return phase.lower()


def _build_counts(sync: EstimateSync, localizer: Localizer) -> tuple[Field, ...]:
    progress = sync.status.progress
    if results := find_stored(sync):
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
    error = callback.last_error or ""
    attempts = tuple(_build_attempt_row(each, localizer, now=now, newest=error) for each in reversed(callback.history))
    fields = tuple(_iterate_callback_fields(callback, localizer, now))
    return CallbackDetail(target=target, badge=badge, fields=fields, attempts=attempts, error=error)


def _iterate_callback_fields(callback: CallbackStatus, localizer: Localizer, now: datetime) -> Iterator[Field]:
    """Say what the table of attempts does not: it holds the newest ones, and none of an operator that kept none."""
    if callback.attempts > len(callback.history):
        yield Field(name=localizer.translate("callback.made"), text=localizer.format_number(callback.attempts))
    if not callback.history and callback.last_attempt_time:
        at = localizer.to_moment(callback.last_attempt_time, now=now)
        yield Field(name=localizer.translate("callback.last"), moment=at)
    if not callback.history and callback.last_status_code:
        yield Field(name=localizer.translate("callback.answer"), text=f"HTTP {callback.last_status_code}")
    if callback.next_attempt_time and not callback.state.is_final:
        at = localizer.to_moment(callback.next_attempt_time, now=now)
        yield Field(name=localizer.translate("callback.next"), moment=at)


def _build_attempt_row(
    attempt: CallbackAttemptRecord, localizer: Localizer, *, now: datetime, newest: str
) -> AttemptRow:
    outcome = "delivered" if attempt.error is None else ("refused" if attempt.status_code else "no_answer")
    return AttemptRow(
        at=localizer.to_moment(attempt.time, now=now),
        badge=Badge(
            tone="succeeded" if attempt.error is None else "failed", word=localizer.translate(f"callback.{outcome}")
        ),
        answer=f"HTTP {attempt.status_code}" if attempt.status_code else "",
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
        yield TimelineStep(tone="now", title=localizer.translate("timeline.waiting"))
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
        diagnosis = build_diagnosis(sync, localizer)
        yield TimelineStep(tone="now", title=title, text=_format_progress(sync, localizer), diagnosis=diagnosis)
    yield TimelineStep(tone="next", title=localizer.translate("timeline.end_next"))


def _format_progress(sync: EstimateSync, localizer: Localizer) -> str:
    progress = sync.status.progress
    if progress is None:
        return localizer.translate("timeline.no_page_yet")
    counts = {"page": progress.page, "total": progress.total_pages, "fetched": progress.fetched}
    values = {name: localizer.format_number(count) for name, count in counts.items()}
    return localizer.translate("timeline.progress", **values)


def _iterate_end_steps(sync: EstimateSync, localizer: Localizer, now: datetime) -> Iterator[TimelineStep]:
    phase = find_phase(sync)
    if not phase.is_final:
        if sync.spec.callback.enabled:
            yield TimelineStep(tone="next", title=localizer.translate("timeline.callback_next"))
        return
    at, title = _to_moment(sync.status.completion_time, localizer, now), f"timeline.{phase.lower()}"
    stored = find_stored(sync)
    text = format_counts(stored, localizer) if stored else localizer.translate("timeline.nothing_stored")
    diagnosis = build_diagnosis(sync, localizer)
    yield TimelineStep(tone=phase.lower(), title=localizer.translate(title), at=at, text=text, diagnosis=diagnosis)


def _to_moment(moment: datetime | None, localizer: Localizer, now: datetime) -> Moment | None:
    return localizer.to_moment(moment, now=now) if moment else None
