"""How long a finished sync stays, and how its callback can be requested again meanwhile.

A sync with nothing left to do shrinks to one line in the cache, so ten thousand finished syncs cost nothing. A person
requests another delivery with an annotation, whose every new value is one request. The operator only remembers which
value it has served, so it needs no right to remove the annotation.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import build_callback_id, build_page_path
from estimatesync_contract.redelivery import (
    compute_redelivery_token,
    find_chosen_targets,
    is_alert_chosen,
    is_redelivery_requested,
)
from estimatesync_contract.spec import DEFAULT_TARGET, Mode
from estimatesync_contract.status import (
    AlertStatus,
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    compute_latest_end,
)

LONGEST_WAIT: Final = timedelta(hours=12)
"""Between two attempts of any delivery."""


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that has succeeded."""

    name: str
    uid: str
    completion_time: datetime
    total_fetched: int | None
    """None for one that has read only what had changed, which may be nothing."""
    told_at: datetime | None
    """When an alert began that no sync has succeeded for long since; None while there is none to be delivered."""

    @property
    def rank(self) -> tuple[datetime, str]:
        """The order of the ends; equal ones are told apart by the name."""
        return self.completion_time, self.name

    def is_over(self, now: datetime) -> bool:
        """False for an end that a wrong clock has put in the future, which would be the newest for as long."""
        return self.completion_time <= compute_latest_end(now)


def get_success(sync: EstimateSync) -> Success | None:
    """What a sync that has succeeded says of it; None for any other."""
    status = sync.status
    if status.phase is not Phase.SUCCEEDED or status.completion_time is None:
        return None
    results = None if status.mode is Mode.CHANGES else status.results
    return Success(
        name=sync.name,
        uid=sync.uid,
        completion_time=status.completion_time,
        total_fetched=results.total_fetched if results else None,
        told_at=find_told_time(status),
    )


def find_told_time(status: EstimateSyncStatus) -> datetime | None:
    """When the alert on record began; None if there is none, or it has ended before it was told."""
    alert = status.alert
    return None if alert is None or alert.delivery.state is CallbackState.DISABLED else alert.time


def find_newest(successes: Iterable[Success | None], *, now: datetime) -> Success | None:
    """Find the one that has ended last."""
    ended = (each for each in successes if each is not None and each.is_over(now))
    return max(ended, key=lambda each: each.rank, default=None)


def is_settled(sync: EstimateSync) -> bool:
    """Return whether nothing is left to do about a sync but to remove it when its time is over."""
    return (
        sync.is_finished
        and sync.status.observed_generation == sync.metadata.generation
        and not sync.status.owes_callback
        and not sync.status.owes_alert
        and not is_redelivery_requested(sync)
    )


def compute_expiry(sync: EstimateSync, *, default_ttl: timedelta) -> datetime | None:
    """When a finished sync may be removed; None while a callback or an alert is under way."""
    completion = sync.status.completion_time
    if completion is None or sync.status.owes_callback or sync.status.owes_alert:
        return None
    own = sync.spec.ttl_seconds_after_finished
    return completion + (default_ttl if own is None else timedelta(seconds=own))


def compute_wait(delivery: CallbackStatus, *, now: datetime) -> timedelta:
    """How long until the next attempt is due.

    One that is further away than any is planned was planned by a clock that was ahead, and is due now.
    """
    wait = (delivery.next_attempt_time or now) - now
    return wait if timedelta() < wait <= LONGEST_WAIT else timedelta()


def is_named(target: str | None) -> bool:
    """Return whether a target is another webhook than the one of all syncs that name none."""
    return target not in {None, DEFAULT_TARGET}


def build_details_url(public_url: str, sync_name: str) -> str | None:
    """Build the address of a sync's page; None where that of the status page is not known."""
    return f"{public_url}{build_page_path(sync_name)}" if public_url else None


def compute_redelivery(
    sync: EstimateSync, *, environment: str, public_url: str = "", has_target: bool
) -> tuple[CallbackStatus, ...]:
    """Begin deliveries again: same ids, and the whole schedule of attempts; the earlier attempts stay on record.

    A callback that had no target gets one if there is one by now; one that the sync never wanted stays away, and one
    that was not asked for again stays as it is.
    """
    deliveries, token = sync.status.deliveries, compute_redelivery_token(sync)
    begun = next((each for each in deliveries if each.environment), None)
    details_url = begun.details_url if begun else build_details_url(public_url, sync.name)
    chosen = find_chosen_targets(sync)
    return tuple(
        msgspec.structs.replace(
            begin_again(each),
            id=each.id or build_callback_id(sync.uid, each.target),
            environment=begun.environment if begun else environment,
            details_url=details_url,
            redelivery=token,
        )
        if each.target in chosen and sync.spec.callback.enabled and (has_target or is_named(each.target))
        else msgspec.structs.replace(each, redelivery=token)
        for each in deliveries
    )


def compute_alert_redelivery(sync: EstimateSync) -> AlertStatus | None:
    """Begin the alert again, if it was given up and is asked for."""
    alert, token = sync.status.alert, compute_redelivery_token(sync)
    if alert is None:
        return None
    delivery = begin_again(alert.delivery) if is_alert_chosen(sync) else alert.delivery
    return msgspec.structs.replace(alert, delivery=msgspec.structs.replace(delivery, redelivery=token))


def begin_again(delivery: CallbackStatus) -> CallbackStatus:
    """Begin the whole schedule of attempts again, of the same content; the earlier ones stay on record."""
    return CallbackStatus(
        state=CallbackState.PENDING,
        target=delivery.target,
        id=delivery.id,
        environment=delivery.environment,
        details_url=delivery.details_url,
        redelivery=delivery.redelivery,
        earlier_attempts=delivery.earlier_attempts + delivery.attempts,
        history=delivery.history,
    )
