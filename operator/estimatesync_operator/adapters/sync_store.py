"""EstimateSyncs as the API server keeps them."""

import logging
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
from estimatesync_contract.estimate_sync import (
    EstimateSync,
    MalformedSyncError,
    decode_estimate_sync,
    parse_estimate_sync,
    to_object,
)
from estimatesync_contract.names import API_VERSION, GROUP, PLURAL
from estimatesync_contract.status import EstimateSyncStatus, Phase
from estimatesync_kubernetes.client import KubernetesClient, build_path
from estimatesync_kubernetes.errors import ConflictError, NotFoundError, StatusError

from estimatesync_operator.adapters.kubernetes_api import translate_failures
from estimatesync_operator.core.lifecycle import compute_invalid_status
from estimatesync_operator.core.ports import Clock, NotServedError, StaleSyncError, UnreadableSyncError
from estimatesync_operator.core.silence import Silence
from estimatesync_operator.core.sync_cache import SyncCache, parse_version
from estimatesync_operator.core.watch_health import WatchHealth

logger = logging.getLogger(__name__)


class KubernetesSyncStore:
    """The reconciler's SyncStore on a cluster, for one namespace. It reads what the cache knows for sure from there."""

    def __init__(
        self, client: KubernetesClient, namespace: str, *, cache: SyncCache, health: WatchHealth, clock: Clock
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._cache = cache
        self._health = health
        self._clock = clock
        self._refused: dict[str, str] = {}

    async def load(self) -> tuple[str, ...]:
        """List every sync into the cache, once, at start. Only then may slots be given.

        Returns:
            The names of those that cannot be read, and so are not in the cache.

        It also finds out whether there is anything to serve: kopf would wait forever, and log nothing.

        Raises:
            NotServedError: There is no CustomResourceDefinition, or no right to list.
            BackendUnavailableError: That is not known yet.
        """
        unreadable = []
        with translate_failures("listing EstimateSyncs"):
            try:
                async for page in self._client.list_pages(self._path()):
                    for raw in page.items:
                        try:
                            self._cache.upsert(decode_estimate_sync(raw))
                        except MalformedSyncError:
                            # It is left to its own pass, and must not hold up all the others.
                            unreadable.append(msgspec.json.decode(raw)["metadata"]["name"])
            except StatusError as error:
                if error.code not in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
                    raise
                raise NotServedError(_explain_absence(error)) from error
        return tuple(unreadable)

    async def fetch(self, name: str) -> EstimateSync | None:
        sync = self._cache.get(name)
        if sync is None or _is_held(sync):
            sync = await self._read(name)
        return None if sync is None or sync.metadata.deletion_timestamp else sync

    async def fetch_unfinished(self) -> tuple[EstimateSync, ...]:
        for name in self._cache.list_stale():
            # One that has become unreadable counts as it was last known, for it may still run.
            with suppress(UnreadableSyncError):
                await self._read(name)
        return self._cache.list_unfinished()

    async def fetch_silence(self, *, now: datetime) -> Silence | None:
        return self._cache.find_silence(now=now)

    async def write_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        """Replace, with the version that was read: absent fields are removed, lists too."""
        body = to_object(msgspec.structs.replace(sync, status=status))
        try:
            raw = await self._replace_status(sync.name, body)
        except BaseException:
            # It may have been written all the same: nothing is decided before the sync has been read again.
            self._cache.mark_stale(sync.name)
            raise
        written = decode_estimate_sync(raw)
        self._cache.upsert_written(written)
        self._health.expect(parse_version(written.metadata.resource_version), now=self._clock.now())
        return written

    async def delete(self, sync: EstimateSync) -> None:
        """Uid and version are preconditions: a new sync of the name is spared, and one that something is asked of."""
        with translate_failures(f"deleting EstimateSync {sync.name}"), suppress(NotFoundError):
            try:
                await self._client.delete(
                    self._path(sync.name),
                    propagation="Background",
                    uid=sync.uid,
                    version=sync.metadata.resource_version,
                )
            except ConflictError as error:
                self._cache.mark_stale(sync.name)
                raise StaleSyncError(sync.name) from error
        # A watch that is cut just now never shows the deletion.
        self._cache.remove(sync.name, sync.metadata.resource_version)

    async def _replace_status(self, name: str, body: dict[str, Any]) -> bytes:
        with translate_failures(f"writing the status of EstimateSync {name}"):
            try:
                return await self._client.replace(self._path(name, "status"), body)
            except (NotFoundError, ConflictError) as error:
                raise StaleSyncError(name) from error

    async def _read(self, name: str) -> EstimateSync | None:
        with translate_failures(f"reading EstimateSync {name}"):
            try:
                raw = msgspec.json.decode(await self._client.get(self._path(name)))
            except NotFoundError:
                self._cache.remove(name)
                return None
        try:
            sync = parse_estimate_sync(raw)
        except MalformedSyncError as error:
            self._cache.remove_others(name, raw["metadata"]["uid"])
            await self._refuse(raw, error)
            raise UnreadableSyncError(name) from error
        self._cache.upsert(sync)
        return sync

    async def _refuse(self, raw: dict[str, Any], error: MalformedSyncError) -> None:
        """Log once for each version of an object that it cannot be read, and say so in its status."""
        name, version = raw["metadata"]["name"], raw["metadata"].get("resourceVersion", "")
        if self._refused.get(name) != version:
            self._refused[name] = version
            logger.warning("EstimateSync %s is skipped: %s", name, error, extra={"sync_id": name})
        refusal = compute_invalid_status(raw, error, now=self._clock.now())
        if refusal is not None:
            await self._replace_status(name, refusal)

    def _path(self, name: str | None = None, subresource: str | None = None) -> str:
        return build_path(API_VERSION, self._namespace, PLURAL, name, subresource)


def _is_held(sync: EstimateSync) -> bool:
    """Nothing is written about such a sync, so only a look tells that it is gone if the watch was cut meanwhile."""
    return sync.spec.suspend and sync.status.phase is not Phase.RUNNING and not sync.is_finished


def _explain_absence(error: StatusError) -> str:
    if error.code == HTTPStatus.NOT_FOUND:
        return f"The cluster does not know {PLURAL}.{GROUP}: apply the CustomResourceDefinition, then start again"
    return (
        f"The operator may not list {PLURAL}: grant its Role in this namespace, then start again ({error.explanation})"
    )
