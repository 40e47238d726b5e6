"""Keeps syncs in Kubernetes, as EstimateSync objects: the store of the deployed API.

Single syncs are read as they are now, and not from a cache; the list comes from the index, which the watch keeps.

Missing rights, a used-up quota and a namespace or resource that is not there (yet) are put right by people or by time,
so they are "not now" and Make.com tries again; "never" is only what the sync itself is refused for.
"""

import asyncio
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

from estimatesync_contract.estimate_sync import EstimateSync, Metadata, decode_estimate_sync, to_object
from estimatesync_contract.names import (
    ANNOTATION_CANCELLED_BY,
    API_VERSION,
    PLURAL,
)
from estimatesync_contract.settings import SettingsError
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.status import Phase
from estimatesync_kubernetes.client import KubernetesClient, build_path
from estimatesync_kubernetes.connection import create_api_client
from estimatesync_kubernetes.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidObjectError,
    KubernetesError,
    NotFoundError,
    StatusError,
    UnreachableError,
)

from estimatesync_api.adapters.kubernetes_logs import KubernetesLogs
from estimatesync_api.adapters.kubernetes_watch import SyncWatch
from estimatesync_api.core.listing import SyncPage, SyncQuery, Work
from estimatesync_api.core.ports import LogCursor, LogPart
from estimatesync_api.core.problems import StoreUnavailableError, SyncExistsError, SyncRefusedError
from estimatesync_api.core.sync_index import SyncIndex

_REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
TIMEOUT_SECONDS: Final = 2.5
"""For each call, so that an API server that hangs becomes a 503 and not a caller's timeout."""


StoreError = StoreUnavailableError | SyncExistsError | SyncRefusedError

_PROBE: Final = EstimateSync(metadata=Metadata(name="readiness-probe"))
# A field that the installed CRD does not know must not be dropped in silence.
_WRITE_OPTIONS: Final = {"fieldManager": "estimatesync-api", "fieldValidation": "Strict"}
_BEFORE_THE_CAUSE: Final = re.compile(r".*?(?: is invalid: | denied (?:the )?request: )", re.DOTALL)


class _Connection(NamedTuple):
    """What there is while the store is open."""

    client: KubernetesClient
    path: str
    """Of the syncs."""
    logs: KubernetesLogs
    watch: SyncWatch
    watching: asyncio.Task[None]


class KubernetesStore:
    """A SyncStore on the API server."""

    def __init__(self, *, kubeconfig: str | None, service_account: Path, namespace: str | None) -> None:
        self._kubeconfig = kubeconfig
        self._service_account = service_account
        self._namespace = namespace
        self._index = SyncIndex()
        self._opened: _Connection | None = None

    async def open(self) -> None:
        """Read the credentials and begin to watch; the API server need not be there."""
        api_client, own_namespace = await create_api_client(
            kubeconfig=self._kubeconfig, service_account=self._service_account
        )
        client = KubernetesClient(api_client, timeout_seconds=TIMEOUT_SECONDS)
        namespace = self._namespace or own_namespace
        if not namespace:
            raise SettingsError(["NAMESPACE is not set, and the service account of the pod does not name one"])
        path = build_path(API_VERSION, namespace, PLURAL)
        watch = SyncWatch(client, path, self._index)
        watching = asyncio.create_task(watch.run(), name="watch of syncs")
        self._opened = _Connection(client, path, KubernetesLogs(client, namespace), watch, watching)

    async def close(self) -> None:
        if self._opened:
            opened, self._opened = self._opened, None
            opened.watching.cancel()
            with suppress(asyncio.CancelledError):
                await opened.watching
            await opened.client.close()

    async def check(self) -> None:
        """Create a sync without storing it, which needs the same rights, schema and storage as a real one."""
        try:
            await self._create(_PROBE, {"dryRun": "All"})
        except SyncExistsError:
            return
        except SyncRefusedError as error:
            raise StoreUnavailableError(
                f"no sync can be stored: {error}", cause=SpecificCause.SYNC_UNSTORABLE
            ) from error

    async def create(self, sync: EstimateSync) -> EstimateSync:
        """Create the object. After a timeout it may exist all the same; a second attempt with its name shows which."""
        return self._parse_and_index(await self._create(sync, {}))

    async def fetch(self, name: str) -> EstimateSync | None:
        with _store_errors():
            try:
                return self._parse_and_index(await self._connection.client.get(self._build_path(name)))
            except NotFoundError:
                return None

    async def find_active(self, work: Work) -> str | None:
        """Ask the index, without waiting for it: the request itself may take long enough."""
        if not self._connection.watch.is_current:
            raise StoreUnavailableError("the list of syncs is not known now", cause=SpecificCause.LIST_OUTDATED)
        return self._index.find_active(work)

    async def find_ended(self, names: Collection[str]) -> frozenset[str]:
        await self._connection.watch.require_current()
        return frozenset(name for name in names if self._index.has_ended(name))

    async def list_page(self, query: SyncQuery) -> SyncPage:
        await self._connection.watch.require_current()
        return self._index.select(query)

    async def count_phases(self) -> Mapping[Phase, int]:
        await self._connection.watch.require_current()
        return self._index.count_phases()

    async def request_cancel(self, name: str, *, by: str) -> EstimateSync | None:
        """Set the one field of the spec that stops a sync."""
        annotations = {ANNOTATION_CANCELLED_BY: by}
        with _store_errors():
            return await self._patch(name, {"metadata": {"annotations": annotations}, "spec": {"cancel": True}})

    async def annotate(self, sync: EstimateSync, annotations: Mapping[str, str]) -> EstimateSync | None:
        """Patch with the version that was read, which the API server compares."""
        metadata = {"resourceVersion": sync.metadata.resource_version, "annotations": dict(annotations)}
        with _store_errors(), suppress(ConflictError):
            return await self._patch(sync.name, {"metadata": metadata})
        return None

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """Read the tail of each of the job's pods."""
        with _store_errors():
            return await self._connection.logs.read_tail(sync)

    async def read_log_part(self, sync: EstimateSync, cursor: LogCursor | None) -> LogPart:
        """Read on in the logs of the job's pods."""
        with _store_errors():
            return await self._connection.logs.read_part(sync, cursor)

    @property
    def _connection(self) -> _Connection:
        if self._opened is None:
            raise RuntimeError("the store is not open")
        return self._opened

    def _build_path(self, name: str) -> str:
        return f"{self._connection.path}/{name}"

    async def _create(self, sync: EstimateSync, options: Mapping[str, str]) -> bytes:
        with _store_errors():
            return await self._connection.client.create(
                self._connection.path, to_object(sync), {**_WRITE_OPTIONS, **options}
            )

    async def _patch(self, name: str, patch: dict[str, Any]) -> EstimateSync | None:
        try:
            return self._parse_and_index(
                await self._connection.client.patch(self._build_path(name), patch, _WRITE_OPTIONS)
            )
        except NotFoundError:
            return None

    def _parse_and_index(self, body: bytes) -> EstimateSync:
        """Read an answer; the list shows it from now on, and not only when the watch does."""
        sync = decode_estimate_sync(body)
        self._index.put(sync)
        return sync


def to_store_error(error: KubernetesError) -> StoreError:
    """Decide what a failed call means for a caller."""
    match error:
        case AlreadyExistsError():
            return SyncExistsError("a sync of this name exists")
        case InvalidObjectError():
            # What stands before the cause names objects and webhooks of the cluster.
            return SyncRefusedError(_BEFORE_THE_CAUSE.sub("", error.message, count=1) or "the cluster gave no reason")
        case StatusError():
            return StoreUnavailableError(
                f"the API server answered {error.code}: {error.message or _explain(error.code)}",
                cause=SpecificCause.API_SERVER_REFUSES if error.code in _REFUSALS else SpecificCause.API_SERVER_BUSY,
            )
        case UnreachableError():
            return StoreUnavailableError(str(error), cause=SpecificCause.API_SERVER_UNREACHABLE)
        case _:
            return StoreUnavailableError(str(error))


def _explain(code: int) -> str:
    """Say what the API server leaves unsaid."""
    return "is the EstimateSync resource installed?" if code == HTTPStatus.NOT_FOUND else "no reason given"


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except KubernetesError as error:
        raise to_store_error(error) from error
