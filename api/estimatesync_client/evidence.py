"""What recent syncs tell about the source, the database and the callback. Pure; `doctor` calls it.

The API holds none of their credentials, so nobody can ask them through it; but the syncs have used them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from estimatesync_contract.causes import Reason
from estimatesync_contract.job_environment import DATABASE_URL

from estimatesync_client.answers import SUCCEEDED, Callback, Sync
from estimatesync_client.causes import Cause, build_finding
from estimatesync_client.findings import Check, Finding, Verdict
from estimatesync_client.wording import format_age, format_count, format_harmless

Causes = Mapping[str, Cause]

_EITHER: Final[Causes] = {Reason.SECRET_MISSING: Cause.SECRET_MISSING}
SOURCE_CAUSES: Final[Causes] = {
    Reason.LOGIN_FAILED: Cause.LOGIN_FAILED,
    Reason.SOURCE_UNAVAILABLE: Cause.SOURCE_UNAVAILABLE,
    Reason.SOURCE_INVALID: Cause.SOURCE_INVALID,
    **_EITHER,
}
DATABASE_CAUSES: Final[Causes] = {
    Reason.DATABASE_UNAVAILABLE: Cause.DATABASE_UNAVAILABLE,
    Reason.DATABASE_REFUSED: Cause.DATABASE_REFUSED,
    **_EITHER,
}
_GONE: Final = 410


def judge_source(syncs: Iterable[Sync], now: datetime) -> Finding:
    """Judge by the newest sync that got as far as Attic Tech: a page that arrived needed a login.

    Args:
        syncs: Newest first.
        now: The current time.
    """
    for sync in syncs:
        if sync.status == SUCCEEDED or (sync.progress and sync.progress.page):
            return _build_seen(Check.SOURCE, Cause.SEEN_WORKING, sync, now)
        if cause := _find_fault(sync, SOURCE_CAUSES, about="ATTIC_TECH"):
            return _build_seen(Check.SOURCE, cause, sync, now)
    return build_finding(Check.SOURCE, Cause.NO_EVIDENCE)


def judge_database(syncs: Iterable[Sync], now: datetime) -> Finding:
    """Judge by the newest sync that stored its rows, or could not; newest first."""
    for sync in syncs:
        if sync.status == SUCCEEDED:
            return _build_seen(Check.DATABASE, Cause.SEEN_WORKING, sync, now)
        if cause := _find_fault(sync, DATABASE_CAUSES, about=DATABASE_URL.partition("_")[0]):
            return _build_seen(Check.DATABASE, cause, sync, now)
    return build_finding(Check.DATABASE, Cause.NO_EVIDENCE)


def judge_callback(syncs: Iterable[Sync], now: datetime) -> Finding:
    """Judge by the newest sync whose callback was tried, or is none; newest first."""
    for sync in syncs:
        if sync.callback and sync.callback.state != "pending":
            return _judge_delivery(sync, sync.callback, now)
    return build_finding(Check.CALLBACK, Cause.NO_EVIDENCE)


def combine(tried: Finding | None, seen: Finding) -> Finding:
    """Join what was tried from here with what syncs have seen: what was tried is newer, but with settings of its own.

    Args:
        tried: What a try from here has found; None when the settings for it are not known.
        seen: What syncs have seen.
    """
    if tried is None or (tried.verdict is Verdict.UNKNOWN and seen.verdict is not Verdict.UNKNOWN):
        return seen
    if tried.verdict is Verdict.OK and seen.verdict is Verdict.FAULT:
        return build_finding(tried.check, Cause.CONTRADICTED, tried=tried.cause, seen=seen.cause)
    return tried


def _find_fault(sync: Sync, causes: Causes, *, about: str) -> Cause | None:
    if sync.reason == Reason.CONFIGURATION_INVALID and about in (sync.message or ""):
        return Cause.CONFIGURATION_INVALID
    return causes.get(sync.reason or "")


def _judge_delivery(sync: Sync, callback: Callback, now: datetime) -> Finding:
    code = callback.last_status_code
    details = {
        "sync_id": sync.sync_id,
        "age": format_age(callback.last_attempt_at or sync.completed_at, now),
        "attempts": format_count(callback.attempts, "attempt"),
        "detail": format_harmless(callback.last_error or (f"HTTP {code}" if code else "no cause is known")),
    }
    causes = {
        "delivered": Cause.DELIVERED,
        "failed": Cause.CALLBACK_GONE if code == _GONE else Cause.CALLBACK_FAILED,
        "retrying": Cause.CALLBACK_RETRYING,
        "disabled": Cause.CALLBACK_DISABLED,
    }
    return build_finding(Check.CALLBACK, causes.get(callback.state, Cause.NO_EVIDENCE), **details)


def _build_seen(check: Check, cause: Cause, sync: Sync, now: datetime) -> Finding:
    moment = sync.completed_at or sync.started_at or sync.created_at
    said = format_harmless(sync.message or sync.reason or "").rstrip(".")
    return build_finding(check, cause, sync_id=sync.sync_id, age=format_age(moment, now), detail=said)
