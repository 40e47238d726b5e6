"""The seams between the reconciler and the world: Kubernetes on one side, the one-machine mode on the other."""

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import EstimateSyncStatus

from estimatesync_operator.core.job_observation import JobObservation, PodIdentity
from estimatesync_operator.core.silence import Silence


class StaleSyncError(Exception):
    """The sync changed, or vanished, since it was read: read it again and decide again."""


class UnreadableSyncError(Exception):
    """The object of this name cannot be understood. The store has reported that; leave the object alone."""


class JobRefusedError(Exception):
    """The job will not be taken (quota, admission, rights); the message says by whom and why. Asking again may help."""


class RunKeptError(Exception):
    """The run may not be ended, for lack of a right: asking again does not help."""


class JobNameTakenError(Exception):
    """There is a job of this name already, ours or another's: observe it."""


class BackendUnavailableError(Exception):
    """The API server or the database cannot answer now; the pass is repeated later."""


class NotServedError(Exception):
    """EstimateSyncs cannot be served here until a person acts; the message says how."""


class LeaseMovedError(Exception):
    """The lease is not what it was when it was read: read it again."""


class Leadership(Protocol):
    """Says that this process is the one that acts, and keeps on record which syncs it is starting."""

    @property
    def starting(self) -> AbstractSet[str]:
        """The uids of the syncs that hold a slot, and may not be on record as running yet."""
        ...

    async def confirm(self) -> None:
        """Return once no other process can lead, which is at once unless the API server has been away."""

    def reserve(self, uid: str) -> None:
        """Give a sync a slot, for this process."""

    async def publish(self, uid: str) -> bool:
        """Return once the slot is on record, for whoever leads next; only then is the sync recorded as running.

        False when it has been taken back meanwhile.
        """
        ...

    def settle(self, uid: str) -> None:
        """The sync runs on record, or will not: its slot is where its status says."""


class SoleLeader:
    """A Leadership without rivals: whoever starts two such processes must exclude one of them."""

    def __init__(self) -> None:
        self._starting: set[str] = set()

    @property
    def starting(self) -> AbstractSet[str]:
        return self._starting

    async def confirm(self) -> None: ...

    def reserve(self, uid: str) -> None:
        self._starting.add(uid)

    async def publish(self, uid: str) -> bool:
        return uid in self._starting

    def settle(self, uid: str) -> None:
        self._starting.discard(uid)


class SyncStore(Protocol):
    """Keeps syncs. Raises BackendUnavailableError from any call that cannot be answered now."""

    async def fetch(self, name: str) -> EstimateSync | None:
        """Read one sync as it is now; None when it is gone, or about to be.

        Raises:
            UnreadableSyncError: It is there, but cannot be understood.
        """
        ...

    async def fetch_unfinished(self) -> tuple[EstimateSync, ...]:
        """Read every sync without a final phase, in any order."""
        ...

    async def fetch_silence(self, *, now: datetime) -> Silence | None:
        """Read since when no sync has succeeded, of those that there are; an end later than now does not count.

        None where no sync has ended.
        """
        ...

    async def write_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        """Replace the status of exactly the version that was read.

        Raises:
            StaleSyncError: The stored sync has moved on.
        """
        ...

    async def delete(self, sync: EstimateSync) -> None:
        """Remove the sync and, with it, its job; a sync that is gone already is fine.

        Raises:
            StaleSyncError: It was not removed, for it is not the one that was read, or not as it was read.
        """


class JobRunner(Protocol):
    """Runs the one job of a sync. Raises BackendUnavailableError from any call that cannot be answered now."""

    async def observe(self, sync: EstimateSync, *, has_result: bool = False, knows_pod: bool = False) -> JobObservation:
        """Observe the job named in the sync's status.

        `knows_pod` says that its pod has been seen: one that is at work need not be looked up again.
        `has_result` says that a run has reported that everything is stored: of a job that has succeeded, no more is
        asked.
        """
        ...

    async def create(self, sync: EstimateSync, date_range: DateRange) -> None:
        """Create the job; one that exists already is fine, `observe` finds out whose it is.

        Raises:
            JobRefusedError: It is not taken.
            JobNameTakenError: It may be there already.
        """

    async def has_stray(self, sync: EstimateSync) -> bool:
        """Return whether the job of a finished sync is at work, if it has just been seen so.

        A request to create it may arrive long after it was given up, when the sync has ended without it.
        """
        ...

    async def stop(self, sync: EstimateSync) -> None:
        """Have the job and its runs end, within their grace period; a job that is gone already is fine.

        `observe` answers STOPPING until nothing runs any more, and then ABSENT.
        """

    async def stop_run(self, sync: EstimateSync, pod: PodIdentity) -> None:
        """Have the run in this pod end, as one that has failed; one that is gone already is fine.

        Raises:
            RunKeptError: That is not allowed.
        """

    async def remove_leftovers(self, name: str) -> None:
        """Remove the jobs that a sync of this name has left; called when there is no such sync (any more)."""

    async def read_log_tail(self, sync: EstimateSync, *, pod_name: str | None = None) -> tuple[str, ...]:
        """Read the newest lines of this pod, or of the newest run; empty when they cannot be read. Never raises."""
        ...


class EventType(StrEnum):
    """https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/."""

    NORMAL = "Normal"
    WARNING = "Warning"


class SyncEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a sync, once, recorded for people."""

    type: EventType
    reason: str
    message: str


class EventRecorder(Protocol):
    """Records events for people. Losing one is allowed, failing because of one is not."""

    async def emit(self, sync: EstimateSync, event: SyncEvent) -> None:
        """Record the event on the sync. Never raises."""


class ChangeMeter(Protocol):
    """Counts what happens to syncs."""

    def record_change(self, before: EstimateSync, after: EstimateSyncStatus) -> None:
        """Count what a status that was just written says is new. Never raises."""


class NoMeter:
    """Counts nothing."""

    def record_change(self, before: EstimateSync, after: EstimateSyncStatus) -> None: ...


class CallbackAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What one delivery attempt came to. `error` holds no secret: the path of a webhook URL is one."""

    status_code: int | None = None
    retry_after: timedelta | None = None
    body_excerpt: str = ""
    error: str | None = None
    is_refused: bool = False
    """The target is not allowed or not usable; trying again cannot help until the configuration changes."""


class CallbackSender(Protocol):
    """Posts callbacks. The URL is looked up at each attempt, so that a corrected secret works at once."""

    async def has_target(self, sync: EstimateSync) -> bool:
        """Return whether a webhook URL is configured for this sync, apart from the targets that it names."""
        ...

    async def has_alert_target(self) -> bool:
        """Return whether a webhook for alerts is configured."""
        ...

    async def send(
        self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime, target: str | None = None
    ) -> CallbackAttempt:
        """Make one attempt. Never raises: whatever goes wrong is the outcome of the attempt."""
        ...

    async def send_alert(self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime) -> CallbackAttempt:
        """Make one attempt to deliver the alert that is on record on this sync. Never raises."""
        ...


class Clock(Protocol):
    """The only source of the present, so that tests can hold it still."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...


class SystemClock:
    """The reconciler's Clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)
