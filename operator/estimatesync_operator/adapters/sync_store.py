"""EstimateSyncs as the API server keeps them."""

import logging
from contextlib import suppress
from typing import Any, Final

import msgspec
from estimatesync_contract.estimate_sync import (
    EstimateSync,
    MalformedSyncError,
    parse_estimate_sync,
    to_object,
)
from estimatesync_contract.names import GROUP, PLURAL, VERSION
from estimatesync_contract.status import EstimateSyncStatus
from kubernetes.aio.client import ApiClient, CustomObjectsApi, V1DeleteOptions, V1Preconditions
from kubernetes.aio.client.exceptions import ApiException

from estimatesync_operator.adapters.kubernetes_api import (
    CONFLICT,
    NOT_FOUND,
    REQUEST_TIMEOUT,
    explain,
    translate_failures,
)
from estimatesync_operator.core.lifecycle import compute_refusal
from estimatesync_operator.core.sync_cache import SyncCache, parse_version
from estimatesync_operator.core.watch_health import WatchHealth
from estimatesync_operator.ports import Clock, StaleSyncError, UnreadableSyncError, WorldUnavailableError

_FORBIDDEN: Final = 403
_PAGE_SIZE: Final = 500

logger = logging.getLogger(__name__)


class NotServedError(Exception):
    """EstimateSyncs cannot be had here until a person acts; the message says how."""


class KubernetesSyncStore:
    """The reconciler's SyncStore on a cluster, for one namespace. It reads what the cache knows for sure from there."""

    def __init__(
        self, client: ApiClient, namespace: str, *, cache: SyncCache, health: WatchHealth, clock: Clock
    ) -> None:
        """Use `client`, which somebody else closes."""
        self._api = CustomObjectsApi(client)
        self._namespace = namespace
        self._cache = cache
        self._health = health
        self._clock = clock
        self._refused: dict[str, str] = {}

    async def load(self) -> None:
        """List every sync into the cache, once, at start. Only then may places be given.

        It also tells whether there is anything to serve: kopf would wait for ever, and in silence.

        Raises:
            NotServedError: There is no CustomResourceDefinition, or no right to list.
            WorldUnavailableError: It cannot be told yet.
        """
        token: str | None = None
        while token != "":
            page = await self._fetch_page(token)
            token = page["metadata"].get("continue", "")
            for raw in page["items"]:
                # One that cannot be read is left to its own visit; it must not hold up all the others.
                with suppress(MalformedSyncError):
                    self._cache.take(parse_estimate_sync(raw))

    async def fetch(self, name: str) -> EstimateSync | None:
        """See SyncStore."""
        sync = self._cache.get(name) or await self._read(name)
        return None if sync is None or sync.metadata.deletion_timestamp else sync

    async def fetch_unfinished(self) -> tuple[EstimateSync, ...]:
        """See SyncStore."""
        for name in self._cache.list_doubted():
            await self._read(name)
        return self._cache.list_unfinished()

    async def write_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        """See SyncStore. A replacement with the version that was read: fields that are gone go, lists too."""
        body = to_object(msgspec.structs.replace(sync, status=status))
        try:
            raw = await self._replace_status(sync.name, body)
        except BaseException:
            # It may have been written all the same: nothing is decided before the sync has been read again.
            self._cache.doubt(sync.name)
            raise
        written = parse_estimate_sync(raw)
        self._cache.take_written(written)
        self._health.expect(parse_version(written.metadata.resource_version), now=self._clock.now())
        return written

    async def delete(self, sync: EstimateSync) -> None:
        """See SyncStore. The uid is a precondition, so that a new sync of the same name is spared."""
        body = V1DeleteOptions(propagation_policy="Background", preconditions=V1Preconditions(uid=sync.uid))
        with translate_failures(f"deleting EstimateSync {sync.name}"):
            try:
                await self._api.delete_namespaced_custom_object(**self._address(sync.name), body=body)
            except ApiException as error:
                if error.status not in {NOT_FOUND, CONFLICT}:
                    raise

    async def _replace_status(self, name: str, body: dict[str, Any]) -> object:
        with translate_failures(f"writing the status of EstimateSync {name}"):
            try:
                return await self._api.replace_namespaced_custom_object_status(**self._address(name), body=body)
            except ApiException as error:
                if error.status in {NOT_FOUND, CONFLICT}:
                    raise StaleSyncError(name) from error
                raise

    async def _read(self, name: str) -> EstimateSync | None:
        with translate_failures(f"reading EstimateSync {name}"):
            try:
                raw: Any = await self._api.get_namespaced_custom_object(**self._address(name))
            except ApiException as error:
                if error.status == NOT_FOUND:
                    self._cache.remove(name)
                    return None
                raise
        try:
            sync = parse_estimate_sync(raw)
        except MalformedSyncError as error:
            await self._refuse(dict(raw), error)
            raise UnreadableSyncError(name) from error
        self._cache.take(sync)
        return sync

    async def _refuse(self, raw: dict[str, Any], error: MalformedSyncError) -> None:
        """Say once for each version of an object that it cannot be read."""
        name, version = raw["metadata"]["name"], raw["metadata"].get("resourceVersion", "")
        if self._refused.get(name) == version:
            return
        self._refused[name] = version
        logger.warning("EstimateSync %s is passed over: %s", name, error, extra={"sync_id": name})
        refusal = compute_refusal(raw, error, now=self._clock.now())
        if refusal is not None:
            with suppress(StaleSyncError, WorldUnavailableError):
                await self._replace_status(name, refusal)

    async def _fetch_page(self, token: str | None) -> dict[str, Any]:
        address = {**self._address(), "limit": _PAGE_SIZE, "_continue": token}
        with translate_failures("listing EstimateSyncs"):
            try:
                page: Any = await self._api.list_namespaced_custom_object(**address)
            except ApiException as error:
                if error.status not in {NOT_FOUND, _FORBIDDEN}:
                    raise
                raise NotServedError(_explain_absence(error)) from error
        return dict(page)

    def _address(self, name: str | None = None) -> dict[str, Any]:
        address = {
            "group": GROUP,
            "version": VERSION,
            "namespace": self._namespace,
            "plural": PLURAL,
            "_request_timeout": REQUEST_TIMEOUT,
        }
        return address if name is None else {**address, "name": name}


def _explain_absence(error: ApiException) -> str:
    if error.status == NOT_FOUND:
        return f"The cluster does not know {PLURAL}.{GROUP}: apply the CustomResourceDefinition, then start again"
    return f"The operator may not list {PLURAL}: grant its Role in this namespace, then start again ({explain(error)})"
