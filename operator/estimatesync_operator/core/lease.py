"""Who leads: the Lease as it is on record, and what may be done about it, from what this process has seen of it. Pure.

One operator acts, the others stand by. The Lease says which, and names the syncs that are being started: a sync is
recorded as running only once it stands there, so that whoever leads next knows of a start that is still under way.
Each write names the version that it starts from. A leader that was paused, however long, is therefore refused as soon
as another one has written, and gives no slot.

Clocks are not compared: a lease runs out when it has not changed for its whole duration, by the reader's own clock.
https://kubernetes.io/docs/concepts/architecture/leases/
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

import msgspec
from estimatesync_contract.names import GROUP

LEASE_NAME: Final = "estimatesync-operator"
"""The same in every release: two releases in one namespace would run the same syncs."""

_API_VERSION: Final = "coordination.k8s.io/v1"
_STARTING: Final = f"{GROUP}/starting"
"""Annotation: the uids of syncs that have been given a slot and are not known to be on record as running."""


class LeaseTiming(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. A leader that cannot renew stops acting well before another one may lead."""

    duration: float = 10.0
    """Unchanged for so long, the lease may be taken."""
    deadline: float = 7.0
    """So long after the last renewal was sent, its holder does nothing until it has renewed."""
    renewal: float = 2.0
    """Between two renewals."""
    poll: float = 1.0
    """Between two looks of who stands by."""
    call: float = 3.0
    """For one call."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A process that may lead, as `release/pod_process` in the lease."""

    release: str
    pod: str
    process: str

    def __str__(self) -> str:
        return f"{self.release}/{self.pod}_{self.process}"

    @classmethod
    def parse(cls, holder: str) -> Self:
        """Read what stands in a lease; whatever else stands there is the name of a release."""
        release, _, rest = holder.partition("/")
        pod, _, process = rest.rpartition("_")
        return cls(release=release, pod=pod, process=process)


class _Metadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    name: str
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Spec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The object. A version of "" has not been stored yet."""

    metadata: _Metadata = _Metadata(name=LEASE_NAME)
    spec: _Spec = _Spec()

    @property
    def version(self) -> str:
        return self.metadata.resource_version

    @property
    def holder(self) -> str:
        """Empty when nobody leads."""
        return self.spec.holder_identity or ""

    @property
    def starting(self) -> frozenset[str]:
        """The uids of the syncs that are being started."""
        return frozenset(self.metadata.annotations.get(_STARTING, "").split())

    def hold(self, me: Identity, starting: Collection[str], *, now: datetime, timing: LeaseTiming) -> "Lease":
        """Take or renew it; the version stays, so that the write is refused if another one came before."""
        moment = _format_micro_time(now)
        is_renewal = self.holder == str(me)
        transitions = self.spec.lease_transitions or 0
        spec = _Spec(
            holder_identity=str(me),
            lease_duration_seconds=max(round(timing.duration), 1),
            acquire_time=self.spec.acquire_time if is_renewal else moment,
            renew_time=moment,
            lease_transitions=transitions if is_renewal or not self.version else transitions + 1,
        )
        return Lease(metadata=self._name_starting(starting), spec=spec)

    def release(self, starting: Collection[str], *, now: datetime) -> "Lease":
        """Give it up: the next one that looks may lead at once."""
        moment = _format_micro_time(now)
        spec = msgspec.structs.replace(self.spec, holder_identity=None, renew_time=moment)
        return Lease(metadata=self._name_starting(starting), spec=spec)

    def _name_starting(self, starting: Collection[str]) -> _Metadata:
        others = {name: text for name, text in self.metadata.annotations.items() if name != _STARTING}
        mine = {_STARTING: " ".join(sorted(starting))} if starting else {}
        return msgspec.structs.replace(self.metadata, annotations={**others, **mine})


def _format_micro_time(instant: datetime) -> str:
    """Write an instant in UTC as Kubernetes' MicroTime, whose microseconds must all be there."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_lease(body: bytes) -> Lease:
    """Read a Lease."""
    return msgspec.json.decode(body, type=Lease)


def to_lease_object(lease: Lease) -> dict[str, object]:
    """The body of a write."""
    return {"apiVersion": _API_VERSION, "kind": "Lease", **msgspec.to_builtins(lease)}


class Standing(StrEnum):
    """What a process may do about the lease."""

    TAKE = "take it"
    WAIT = "stand by"
    REFUSED = "another release leads"


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What one process has seen of the lease, look by look. Seconds are of its own clock, which never goes back."""

    lease: Lease | None = None
    """None: it does not exist."""
    since: float = 0.0
    """When this version was first seen."""
    versions: int = 0
    """How many different ones have been seen."""
    has_renewed: bool = False
    """The holder has been seen alive: it has written again."""

    def look(self, lease: Lease | None, *, now: float) -> "Watched":
        """See the lease once more."""
        if self.versions and self.lease is not None and lease is not None and lease.version == self.lease.version:
            return self
        is_same_holder = lease is not None and self.lease is not None and lease.holder == self.lease.holder != ""
        return Watched(lease=lease, since=now, versions=self.versions + 1, has_renewed=is_same_holder)

    def decide(self, me: Identity, *, now: float, timing: LeaseTiming) -> Standing:
        """Decide what to do now.

        A process that finds the lease with its own pod, when it has just started, takes it at once: the process that
        held it has ended. Only what it finds first: two by one name would take it from each other for ever.
        """
        if self.lease is None or self.lease.holder in {"", str(me)}:
            return Standing.TAKE
        holder = Identity.parse(self.lease.holder)
        is_predecessor = (holder.release, holder.pod) == (me.release, me.pod) and self.versions == 1
        if is_predecessor or self.compute_rest(now=now, timing=timing) <= 0:
            return Standing.TAKE
        return Standing.REFUSED if self.has_renewed and holder.release != me.release else Standing.WAIT

    def compute_rest(self, *, now: float, timing: LeaseTiming) -> float:
        """How many seconds the lease lasts yet, by its own duration if it names one."""
        named = self.lease.spec.lease_duration_seconds if self.lease else None
        return self.since + (timing.duration if named is None else named) - now
