"""What recent syncs show about Attic Tech, the database and the callback; `doctor` uses it.

The API holds none of their credentials, so it cannot check them; but the syncs have used them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from estimatesync_contract.causes import Reason
from estimatesync_contract.job_environment import DATABASE_URL

from estimatesync_client.core.api import SUCCEEDED, Callback, Sync
from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, Verdict, build_finding
from estimatesync_client.core.formatting import format_age, format_count, strip_control_characters

Diagnoses = Mapping[str, Diagnosis]

_EITHER: Final[Diagnoses] = {Reason.SECRET_MISSING: Diagnosis.SECRET_MISSING}
SOURCE_DIAGNOSES: Final[Diagnoses] = {
    Reason.LOGIN_FAILED: Diagnosis.LOGIN_FAILED,
    Reason.SOURCE_UNAVAILABLE: Diagnosis.SOURCE_UNAVAILABLE,
    Reason.SOURCE_INVALID: Diagnosis.SOURCE_INVALID,
    **_EITHER,
}
DATABASE_DIAGNOSES: Final[Diagnoses] = {
    Reason.DATABASE_UNAVAILABLE: Diagnosis.DATABASE_UNAVAILABLE,
    Reason.DATABASE_REFUSED: Diagnosis.DATABASE_REFUSED,
    **_EITHER,
}
_GONE: Final = 410


def decide_source(syncs: Iterable[Sync], now: datetime) -> Finding:
    """Judge by the newest sync that got as far as Attic Tech: a page that arrived needed a login.

    Args:
        syncs: Newest first.
        now: The current time.
    """
    for sync in syncs:
        if sync.status == SUCCEEDED or (sync.progress and sync.progress.page):
            return _build_seen(Check.SOURCE, Diagnosis.SEEN_WORKING, sync, now)
        if diagnosis := _find_fault(sync, SOURCE_DIAGNOSES, about="ATTIC_TECH"):
            return _build_seen(Check.SOURCE, diagnosis, sync, now)
    return build_finding(Check.SOURCE, Diagnosis.NO_EVIDENCE)


def decide_database(syncs: Iterable[Sync], now: datetime) -> Finding:
    """Judge by the newest sync that stored its rows, or could not; newest first."""
    for sync in syncs:
        if sync.status == SUCCEEDED:
            return _build_seen(Check.DATABASE, Diagnosis.SEEN_WORKING, sync, now)
        if diagnosis := _find_fault(sync, DATABASE_DIAGNOSES, about=DATABASE_URL.partition("_")[0]):
            return _build_seen(Check.DATABASE, diagnosis, sync, now)
    return build_finding(Check.DATABASE, Diagnosis.NO_EVIDENCE)


def decide_callback(syncs: Iterable[Sync], now: datetime) -> Finding:
    """Judge by the newest sync whose callback was tried, or is none; newest first."""
    for sync in syncs:
        if sync.callback and sync.callback.state != "pending":
            return _judge_delivery(sync, sync.callback, now)
    return build_finding(Check.CALLBACK, Diagnosis.NO_EVIDENCE)


def combine(tried: Finding | None, seen: Finding) -> Finding:
    """Join what was tried from here with what syncs have seen: what was tried is newer, but with settings of its own.

    Args:
        tried: What a try from here has found; None when the settings for it are not known.
        seen: What syncs have seen.
    """
    if tried is None or (tried.verdict is Verdict.UNKNOWN and seen.verdict is not Verdict.UNKNOWN):
        return seen
    if tried.verdict is Verdict.OK and seen.verdict is Verdict.FAULT:
        return build_finding(tried.check, Diagnosis.CONTRADICTED, tried=tried.cause, seen=seen.cause)
    return tried


def _find_fault(sync: Sync, diagnoses: Diagnoses, *, about: str) -> Diagnosis | None:
    if sync.reason == Reason.CONFIGURATION_INVALID and about in (sync.message or ""):
        return Diagnosis.CONFIGURATION_INVALID
    return diagnoses.get(sync.reason or "")


def _judge_delivery(sync: Sync, callback: Callback, now: datetime) -> Finding:
    code = callback.last_status_code
    details = {
        "sync_id": sync.sync_id,
        "age": format_age(callback.last_attempt_at or sync.completed_at, now),
        "attempts": format_count(callback.attempts, "attempt"),
        "detail": strip_control_characters(callback.last_error or (f"HTTP {code}" if code else "no cause is known")),
    }
    diagnoses = {
        "delivered": Diagnosis.DELIVERED,
        "failed": Diagnosis.CALLBACK_GONE if code == _GONE else Diagnosis.CALLBACK_FAILED,
        "retrying": Diagnosis.CALLBACK_RETRYING,
        "disabled": Diagnosis.CALLBACK_DISABLED,
    }
    return build_finding(Check.CALLBACK, diagnoses.get(callback.state, Diagnosis.NO_EVIDENCE), **details)


def _build_seen(check: Check, diagnosis: Diagnosis, sync: Sync, now: datetime) -> Finding:
    moment = sync.completed_at or sync.started_at or sync.created_at
    said = strip_control_characters(sync.message or sync.reason or "").rstrip(".")
    return build_finding(check, diagnosis, sync_id=sync.sync_id, age=format_age(moment, now), detail=said)
