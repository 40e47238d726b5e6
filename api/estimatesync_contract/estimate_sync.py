"""The EstimateSync itself: the one value that travels between the stores, the API and the reconciler."""

from typing import Any

import msgspec

from estimatesync_contract.names import API_VERSION, KIND
from estimatesync_contract.spec import DEFAULT_OPTIONS, EstimateSyncSpec, Options, resolve_options
from estimatesync_contract.status import EstimateSyncStatus, Time


class MalformedSyncError(ValueError):
    """An object that claims to be an EstimateSync is not one; the message says where."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The part of ObjectMeta that we use. Absent fields are filled by the store that creates the object."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 1
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class EstimateSync(msgspec.Struct, frozen=True, kw_only=True):
    """One sync, from the POST (or `kubectl apply`) to its delivered callback."""

    metadata: Metadata
    spec: EstimateSyncSpec = EstimateSyncSpec()
    status: EstimateSyncStatus = EstimateSyncStatus()

    @property
    def name(self) -> str:
        """The `sync_id` of the HTTP API."""
        return self.metadata.name

    @property
    def uid(self) -> str:
        """What derived names are made from: unlike the name, it is never used twice."""
        return self.metadata.uid

    @property
    def options(self) -> Options:
        """How it runs: as on record, else as its spec says, which then has all that was without a default once."""
        return self.status.options or resolve_options(self.spec, DEFAULT_OPTIONS)

    @property
    def is_finished(self) -> bool:
        """True when the outcome is known; the callback may still be under way."""
        return self.status.phase is not None and self.status.phase.is_final


def parse_estimate_sync(raw: object) -> EstimateSync:
    """Read an object as Kubernetes serves it (JSON builtins).

    Raises:
        MalformedSyncError: A field has the wrong type or is out of bounds; the message names it.
    """
    try:
        return msgspec.convert(raw, EstimateSync)
    except msgspec.ValidationError as error:
        raise MalformedSyncError(f"not a valid {KIND}: {error}") from error


def decode_estimate_sync(body: bytes | msgspec.Raw) -> EstimateSync:
    """Read an object as Kubernetes sends it; at once, since a listing may be of thousands.

    Raises:
        MalformedSyncError: As above.
    """
    try:
        return msgspec.json.decode(body, type=EstimateSync)
    except msgspec.ValidationError as error:
        raise MalformedSyncError(f"not a valid {KIND}: {error}") from error


def to_object(sync: EstimateSync) -> dict[str, Any]:
    """Write the object as the Kubernetes API takes it (JSON builtins)."""
    return {"apiVersion": API_VERSION, "kind": KIND, **msgspec.to_builtins(sync)}


def to_status_object(status: EstimateSyncStatus) -> dict[str, Any]:
    """Write a status as JSON builtins; unknown fields are left out, times are RFC 3339 in UTC."""
    builtins: dict[str, Any] = msgspec.to_builtins(status)
    return builtins
