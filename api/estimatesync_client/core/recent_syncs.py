"""What recent syncs show about Attic Tech, the database and the callback; `doctor` uses it.

The API holds none of their credentials, so it cannot check them; but the syncs have used them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from estimatesync_contract.causes import Reason
from estimatesync_contract.job_environment import DATABASE_URL
from estimatesync_contract.specific_causes import find_cure
from estimatesync_contract.status import compute_latest_end

from estimatesync_client.core.api import SUCCEEDED, Callback, Sync
from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, Verdict, build_finding
from estimatesync_client.core.formatting import format_age, format_count, strip_control_characters

_SOURCE_REASONS: Final = frozenset(
    {Reason.LOGIN_FAILED, Reason.SOURCE_UNAVAILABLE, Reason.SOURCE_INVALID, Reason.SECRET_MISSING}
)
_DATABASE_REASONS: Final = frozenset({Reason.DATABASE_UNAVAILABLE, Reason.DATABASE_REFUSED, Reason.SECRET_MISSING})

_SOURCE: Final = "Attic Tech"
_DATABASE: Final = "PostgreSQL"

_CURE_DETAILS: Final[Mapping[str, str]] = {
    Reason.LOGIN_FAILED: " where syncs read them: their Secret, or .env",
    Reason.CONFIGURATION_INVALID: ": estimatesync logs {sync_id}",
}
"""What this program can add to a cure: where to go from here."""


def decide_source(syncs: Iterable[Sync], now: datetime) -> Finding:
    """Decide by the newest sync that got as far as Attic Tech: a page that arrived needed a login.

    Args:
        syncs: newest first.
        now: the current time.
    """
    syncs = tuple(syncs)
    if waiting := _find_waiting(syncs, _SOURCE):
        return _build_seen(Check.SOURCE, Diagnosis.SEEN_FAILING, waiting, now)
    for sync in syncs:
        if sync.reason == Reason.FIELDS_UNSHOWN:
            return _build_seen(Check.SOURCE, Diagnosis.SEEN_FAILING, sync, now)
        if sync.unshown:
            fields = strip_control_characters(", ".join(sync.unshown.fields))
            return _build_seen(Check.SOURCE, Diagnosis.SEEN_SHOWING_LESS, sync, now, fields=fields)
        if sync.status == SUCCEEDED or (sync.progress and sync.progress.page):
            return _build_seen(Check.SOURCE, Diagnosis.SEEN_WORKING, sync, now)
        if _is_about(sync, _SOURCE_REASONS, settings="ATTIC_TECH"):
            return _build_seen(Check.SOURCE, Diagnosis.SEEN_FAILING, sync, now)
    return build_finding(Check.SOURCE, Diagnosis.NO_EVIDENCE)


def decide_database(syncs: Iterable[Sync], now: datetime) -> Finding:
    """Decide by the newest sync that stored its rows or failed to; newest first."""
    syncs = tuple(syncs)
    if waiting := _find_waiting(syncs, _DATABASE):
        return _build_seen(Check.DATABASE, Diagnosis.SEEN_FAILING, waiting, now)
    for sync in syncs:
        if sync.status == SUCCEEDED:
            return _build_seen(Check.DATABASE, Diagnosis.SEEN_WORKING, sync, now)
        if _is_about(sync, _DATABASE_REASONS, settings=DATABASE_URL.partition("_")[0]):
            return _build_seen(Check.DATABASE, Diagnosis.SEEN_FAILING, sync, now)
    return build_finding(Check.DATABASE, Diagnosis.NO_EVIDENCE)


def decide_callback(syncs: Iterable[Sync], now: datetime) -> Finding:
    """Decide by the newest sync whose callback was tried, or is disabled; newest first."""
    for sync in syncs:
        if tried := [each for each in sync.deliveries if each.state != "pending"]:
            return _decide_delivery(sync, min(tried, key=lambda each: each.state == "delivered"), now)
    return build_finding(Check.CALLBACK, Diagnosis.NO_EVIDENCE)


def decide_success(
    succeeded: Iterable[Sync], syncs: Sequence[Sync], now: datetime, *, stale_after: timedelta | None
) -> Finding:
    """Decide by the newest sync that has succeeded, however old; where there is none, by the oldest of the newest.

    Args:
        succeeded: syncs that have succeeded, newest first; an end in the future, of a wrong clock, says nothing.
        syncs: the newest syncs, newest first.
        now: the current time.
        stale_after: how old the last success may be; None: any age.
    """
    latest = compute_latest_end(now)
    for sync in succeeded:
        if sync.completed_at is not None and sync.completed_at <= latest:
            is_stale = stale_after is not None and now - sync.completed_at > stale_after
            diagnosis = Diagnosis.SUCCEEDED_LONG_AGO if is_stale else Diagnosis.SUCCEEDED_LATELY
            return _build_seen(Check.SUCCESS, diagnosis, sync, now)
    first = syncs[-1] if syncs else None
    if first and first.created_at and stale_after is not None and now - first.created_at > stale_after:
        details = {"sync_id": first.sync_id, "age": format_age(first.created_at, now)}
        return build_finding(Check.SUCCESS, Diagnosis.NOT_SUCCEEDED_FOR_LONG, **details)
    return build_finding(Check.SUCCESS, Diagnosis.NEVER_SUCCEEDED)


def combine_findings(tried: Finding | None, seen: Finding) -> Finding:
    """Combine a probe with what syncs show: the probe is newer, but used settings of its own.

    Args:
        tried: what a probe from here found; None when its settings are not known.
        seen: what recent syncs show.
    """
    if tried is None or (tried.verdict is Verdict.UNKNOWN and seen.verdict is not Verdict.UNKNOWN):
        return seen
    if tried.verdict is Verdict.OK and seen.verdict is Verdict.FAULT:
        return build_finding(tried.check, Diagnosis.CONTRADICTED, tried=tried.cause, seen=seen.cause)
    return tried


def _find_waiting(syncs: Iterable[Sync], part: str) -> Sync | None:
    """The newest sync that waits for a part now: newer evidence than any sync that has ended, and than its own pages.

    One that only says how far it is has no cure; of one that waits, the message names the part.
    """
    running = (each for each in syncs if each.reason == Reason.RUNNING and each.cure)
    return next((each for each in running if part in (each.message or "")), None)


def _is_about(sync: Sync, reasons: frozenset[Reason], *, settings: str) -> bool:
    """Wrong settings of either part have the same reason; the message names the variables."""
    if sync.reason == Reason.CONFIGURATION_INVALID:
        return settings in (sync.message or "")
    return sync.reason in reasons


def _decide_delivery(sync: Sync, callback: Callback, now: datetime) -> Finding:
    code = callback.last_status_code
    details = {
        "sync_id": sync.sync_id,
        "age": format_age(callback.last_attempt_at or sync.completed_at, now),
        "attempts": format_count(callback.attempts, "attempt"),
        "detail": strip_control_characters(callback.last_error or (f"HTTP {code}" if code else "no cause is known")),
    }
    diagnoses = {
        "delivered": Diagnosis.DELIVERED,
        "failed": Diagnosis.CALLBACK_GONE if code == HTTPStatus.GONE else Diagnosis.CALLBACK_FAILED,
        "retrying": Diagnosis.CALLBACK_RETRYING,
        "disabled": Diagnosis.CALLBACK_DISABLED,
    }
    return build_finding(Check.CALLBACK, diagnoses.get(callback.state, Diagnosis.NO_EVIDENCE), **details)


def _build_seen(check: Check, diagnosis: Diagnosis, sync: Sync, now: datetime, **details: str) -> Finding:
    moment = sync.completed_at or sync.started_at or sync.created_at
    detail = strip_control_characters(sync.message or sync.reason or "").rstrip(".")
    return build_finding(
        check,
        diagnosis,
        sync_id=sync.sync_id,
        age=format_age(moment, now),
        detail=detail,
        cure=_format_cure(sync),
        **details,
    )


def _format_cure(sync: Sync) -> str:
    reason = sync.reason or ""
    if sync.cure == (general := find_cure(reason, None)) or sync.cure is None:
        return general + _CURE_DETAILS.get(reason, "").format(sync_id=sync.sync_id)
    return strip_control_characters(sync.cure)
