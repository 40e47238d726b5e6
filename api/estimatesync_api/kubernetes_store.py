"""Keeps syncs in Kubernetes, as EstimateSync objects: the store of the deployed API.

Single syncs are read as they are now, and not from a cache; the list comes from the index, which the watch keeps.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync, Metadata, parse_estimate_sync, to_object
from estimatesync_contract.names import ANNOTATION_REDELIVER
from estimatesync_contract.spec import DateRange

from estimatesync_api import kubernetes_logs
from estimatesync_api.kubernetes_calls import MERGE_PATCH, KubernetesCalls
from estimatesync_api.kubernetes_connection import create_api_client
from estimatesync_api.kubernetes_errors import MissingObjectError
from estimatesync_api.kubernetes_index import SyncIndex
from estimatesync_api.kubernetes_watch import SyncWatch
from estimatesync_api.listing import SyncPage, SyncQuery
from estimatesync_api.ports import LogMark, LogPart, StoreUnavailableError, SyncExistsError, SyncRefusedError

_PROBE: Final = EstimateSync(metadata=Metadata(name="readiness-probe"))
# A field that the installed CRD does not know must not be dropped in silence.
_WRITING: Final = {"fieldManager": "estimatesync-api", "fieldValidation": "Strict"}


class KubernetesStore:
    """A SyncStore on the API server."""

    def __init__(self, *, kubeconfig: str | None, service_account: Path, namespace: str | None) -> None:
        self._kubeconfig = kubeconfig
        self._service_account = service_account
        self._namespace = namespace
        self._index = SyncIndex()
        self._opened: tuple[KubernetesCalls, SyncWatch, asyncio.Task[None]] | None = None

    async def open(self) -> None:
        """Read the credentials and begin to watch; the API server need not be there."""
        client, namespace = await create_api_client(
            kubeconfig=self._kubeconfig, service_account=self._service_account, namespace=self._namespace
        )
        calls = KubernetesCalls(client, namespace)
        watch = SyncWatch(calls, self._index)
        self._opened = (calls, watch, asyncio.create_task(watch.run(), name="watch of syncs"))

    async def close(self) -> None:
        """End the watch and close every connection."""
        if self._opened:
            calls, _, watching = self._opened
            self._opened = None
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await calls.close()

    async def check(self) -> None:
        """Create a sync without storing it: that needs the same rights, schema and storage as a real one."""
        try:
            await self._create(_PROBE, {"dryRun": "All"})
        except SyncExistsError:
            return
        except SyncRefusedError as error:
            raise StoreUnavailableError(f"no sync can be stored: {error}") from error

    async def create(self, sync: EstimateSync) -> EstimateSync:
        """Create the object. After a timeout it may exist all the same; asking again with its name tells."""
        return self._take(await self._create(sync, {}))

    async def fetch(self, name: str) -> EstimateSync | None:
        """Read the object."""
        try:
            return self._take(await self._calls.send("GET", self._build_path(name)))
        except MissingObjectError:
            return None

    async def find_at_work(self, days: DateRange) -> str | None:
        """Look into the index, without waiting for it: the request itself may take long enough."""
        if not self._watch.is_current:
            raise StoreUnavailableError("the list of syncs is not known now")
        return self._index.find_at_work(days)

    async def find_ended(self, names: Collection[str]) -> frozenset[str]:
        """Look into the index."""
        await self._watch.require_current()
        return frozenset(name for name in names if self._index.has_ended(name))

    async def list_page(self, query: SyncQuery) -> SyncPage:
        """Look into the index."""
        await self._watch.require_current()
        return self._index.select(query)

    async def request_cancel(self, name: str) -> EstimateSync | None:
        """Set the one field of the spec that stops a sync."""
        return await self._patch(name, {"spec": {"cancel": True}})

    async def request_redelivery(self, name: str, token: str) -> EstimateSync | None:
        """Set the annotation that the operator watches for."""
        return await self._patch(name, {"metadata": {"annotations": {ANNOTATION_REDELIVER: token}}})

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """Read the tail of each of the job's pods."""
        return await kubernetes_logs.read_tail(self._calls, sync)

    async def read_log_part(self, sync: EstimateSync, mark: LogMark | None) -> LogPart:
        """Read on in the logs of the job's pods."""
        return await kubernetes_logs.read_part(self._calls, sync, mark)

    @property
    def _calls(self) -> KubernetesCalls:
        if self._opened is None:
            raise RuntimeError("the store is not open")
        return self._opened[0]

    @property
    def _watch(self) -> SyncWatch:
        if self._opened is None:
            raise RuntimeError("the store is not open")
        return self._opened[1]

    def _build_path(self, name: str) -> str:
        return f"{self._calls.syncs_path}/{name}"

    async def _create(self, sync: EstimateSync, options: Mapping[str, str]) -> bytes:
        return await self._calls.send(
            "POST", self._calls.syncs_path, query={**_WRITING, **options}, body=to_object(sync)
        )

    async def _patch(self, name: str, patch: dict[str, Any]) -> EstimateSync | None:
        try:
            body = await self._calls.send(
                "PATCH", self._build_path(name), query=_WRITING, body=patch, media=MERGE_PATCH
            )
        except MissingObjectError:
            return None
        return self._take(body)

    def _take(self, body: bytes) -> EstimateSync:
        """Read an answer; the list shows it from now on, and not only when the watch does."""
        sync = parse_estimate_sync(msgspec.json.decode(body))
        self._index.put(sync)
        return sync
