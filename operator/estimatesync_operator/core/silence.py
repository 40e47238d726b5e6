"""Since when no sync has succeeded, on which sync that is on record, and whether it is to be told. Pure.

A silence begins with the end of the newest sync that has succeeded; where none has, with the creation of the oldest
there is. It is told once, by an alert that stands in the status of one sync: of the newest that has succeeded, or else
of the oldest that has ended. That sync stays past its time, told or not, until a newer one has succeeded.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import build_alert_id
from estimatesync_contract.redelivery import compute_redelivery_token
from estimatesync_contract.status import AlertStatus, CallbackState, CallbackStatus, compute_latest_end

from estimatesync_operator.core.retention import begin_again, compute_expiry, find_told_time

OVER: Final = "A sync has succeeded before the alert was delivered"
OFF: Final = "The URL for alerts, or the limit, was taken away before the alert was delivered"
EARLY: Final = "The clock was ahead when the alert began"


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Since when no sync has succeeded."""

    name: str
    uid: str
    """Of the sync that has the alert, or is to get it."""
    since: datetime
    told_at: datetime | None
    """When an alert began that was, or is to be, delivered."""

    def is_to_be_told(self, *, now: datetime, stale_after: timedelta | None) -> bool:
        """Return whether an alert is to begin; `stale_after` is None where none is ever sent.

        One that began in the future was begun by a clock that was wrong.
        """
        is_told = self.told_at is not None and self.told_at <= compute_latest_end(now)
        return stale_after is not None and not is_told and now - self.since > stale_after


def build_silence(sync: EstimateSync, since: datetime) -> Silence:
    """Describe the silence that is on record on this sync, or will be."""
    return Silence(name=sync.name, uid=sync.uid, since=since, told_at=find_told_time(sync.status))


def has_silence(sync: EstimateSync, silence: Silence | None) -> bool:
    """Return whether this sync is the one on which it is on record."""
    return silence is not None and silence.uid == sync.uid


def may_be_kept(sync: EstimateSync, *, now: datetime, default_ttl: timedelta) -> bool:
    """Return whether it matters where the silence is on record: maybe on this sync, whose time is over."""
    expiry = compute_expiry(sync, default_ttl=default_ttl)
    return expiry is not None and expiry <= now


def decide_alert(
    sync: EstimateSync,
    silence: Silence | None,
    *,
    now: datetime,
    stale_after: timedelta | None,
    environment: str,
    public_url: str = "",
) -> AlertStatus | None:
    """Decide what is to be on record on a finished sync; None where no alert is.

    All that a new one says is fixed with it, and its first attempt is due at once. One that is still under way ends
    with its silence, for it would not be true any more, and where nobody is to be told. An alert that has ended so
    begins again if its silence goes on, just as it was if anybody may have got it.
    """
    alert, is_on = sync.status.alert, has_silence(sync, silence)
    if alert is not None and not alert.delivery.state.is_final:
        why = _find_end(alert, is_on=is_on, now=now, stale_after=stale_after)
        return _end(alert, why) if why else alert
    if silence is None or not is_on or stale_after is None:
        return alert
    if not silence.is_to_be_told(now=now, stale_after=stale_after):
        return alert
    if alert is not None and _was_attempted(alert) and alert.time <= compute_latest_end(now):
        return msgspec.structs.replace(alert, delivery=begin_again(alert.delivery))
    pending = CallbackStatus(
        state=CallbackState.PENDING,
        id=build_alert_id(sync.uid),
        environment=environment,
        # What there is to see is not on the page of one sync.
        details_url=f"{public_url}/" if public_url else None,
        redelivery=compute_redelivery_token(sync),
    )
    hours = stale_after // timedelta(hours=1)
    return AlertStatus(time=now, since=silence.since, stale_after_hours=hours, delivery=pending)


def _find_end(alert: AlertStatus, *, is_on: bool, now: datetime, stale_after: timedelta | None) -> str | None:
    """Why an alert under way is not to be delivered; None while it is."""
    if not is_on:
        return OVER
    if stale_after is None:
        return OFF
    return EARLY if alert.time > compute_latest_end(now) else None


def _was_attempted(alert: AlertStatus) -> bool:
    return alert.delivery.attempts + alert.delivery.earlier_attempts > 0


def _end(alert: AlertStatus, why: str) -> AlertStatus:
    ended = msgspec.structs.replace(
        alert.delivery, state=CallbackState.DISABLED, next_attempt_time=None, last_error=why
    )
    return msgspec.structs.replace(alert, delivery=ended)
