"""Since when no sync has succeeded, on which sync that is on record, and whether it is to be told. Pure.

A silence begins with the end of the newest sync that has succeeded; where none has, with the creation of the oldest
there is. It is told once, by an alert that stands in the status of one sync: of the newest that has succeeded, or else
of the oldest that has ended. That sync stays past its time, until a newer one has succeeded.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import build_alert_id
from estimatesync_contract.status import AlertStatus, CallbackState, CallbackStatus

from estimatesync_operator.core.retention import compute_expiry, get_success

OVER: Final = "A sync has succeeded before the alert was delivered"


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Since when no sync has succeeded."""

    name: str
    uid: str
    """Of the sync that has the alert, or is to get it."""
    since: datetime
    has_alert: bool

    def is_to_be_told(self, *, now: datetime, stale_after: timedelta | None) -> bool:
        """Return whether an alert is to begin; `stale_after` is None where none is ever sent."""
        return stale_after is not None and not self.has_alert and now - self.since > stale_after


def build_silence(sync: EstimateSync, since: datetime) -> Silence:
    """Describe the silence that is on record on this sync, or will be."""
    return Silence(name=sync.name, uid=sync.uid, since=since, has_alert=sync.status.alert is not None)


def has_silence(sync: EstimateSync, silence: Silence | None) -> bool:
    """Return whether this sync is the one on which it is on record."""
    return silence is not None and silence.uid == sync.uid


def may_have_silence(sync: EstimateSync) -> bool:
    """Return whether it may be on record on this finished sync."""
    return get_success(sync) is not None or sync.status.alert is not None


def may_be_kept(sync: EstimateSync, *, now: datetime, default_ttl: timedelta) -> bool:
    """Return whether it matters where the silence is on record: maybe on this sync, whose time is over."""
    expiry = compute_expiry(sync, default_ttl=default_ttl)
    return expiry is not None and expiry <= now and may_have_silence(sync)


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
    with its silence: it would not be true any more.
    """
    alert = sync.status.alert
    if alert is not None:
        is_over = not (alert.delivery.state.is_final or has_silence(sync, silence))
        return _end(alert) if is_over else alert
    if silence is None or silence.uid != sync.uid or stale_after is None:
        return None
    if not silence.is_to_be_told(now=now, stale_after=stale_after):
        return None
    pending = CallbackStatus(
        state=CallbackState.PENDING,
        id=build_alert_id(sync.uid),
        environment=environment,
        # What there is to see is not on the page of one sync.
        details_url=f"{public_url}/" if public_url else None,
    )
    hours = stale_after // timedelta(hours=1)
    return AlertStatus(time=now, since=silence.since, stale_after_hours=hours, delivery=pending)


def _end(alert: AlertStatus) -> AlertStatus:
    ended = msgspec.structs.replace(
        alert.delivery, state=CallbackState.DISABLED, next_attempt_time=None, last_error=OVER
    )
    return msgspec.structs.replace(alert, delivery=ended)
