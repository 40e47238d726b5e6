"""EstimateSyncs as the API server keeps them."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from estimatesync_contract.estimate_sync import (
    EstimateSync,
    MalformedSyncError,
    parse_estimate_sync,
    represent_estimate_sync,
)
from estimatesync_contract.names import GROUP, PLURAL, VERSION
from estimatesync_contract.status import EstimateSyncStatus
from kubernetes.aio.client import ApiClient, CustomObjectsApi, V1DeleteOptions, V1Preconditions
from kubernetes.aio.client.exceptions import ApiException

from estimatesync_operator.kubernetes_api import CONFLICT, NOT_FOUND, REQUEST_TIMEOUT, explain, translate_failures
from estimatesync_operator.ports import StaleSyncError

_FORBIDDEN: Final = 403


class NotServedError(Exception):
    """EstimateSyncs cannot be had here until a person acts; the message says how."""


def parse_unfinished(items: Iterable[object]) -> Iterator[EstimateSync]:
    """Read the syncs that run or wait; a malformed one is left to its own visit, it must not hold up all the others."""
    for item in items:
        try:
            sync = parse_estimate_sync(item)
        except MalformedSyncError:
            continue
        if not sync.is_finished and not sync.metadata.deletion_timestamp:
            yield sync


class KubernetesSyncStore:
    """The reconciler's SyncStore on a cluster, for one namespace."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        """Use `client`, which somebody else closes."""
        self._api = CustomObjectsApi(client)
        self._namespace = namespace

    async def check(self) -> None:
        """Ask once, at start, whether there is anything to serve: kopf would wait for ever, and in silence.

        Raises:
            NotServedError: There is no CustomResourceDefinition, or no right to list.
            WorldUnavailableError: It cannot be told yet.
        """
        with translate_failures("listing EstimateSyncs"):
            try:
                await self._api.list_namespaced_custom_object(**self._address(), limit=1)
            except ApiException as error:
                if error.status not in {NOT_FOUND, _FORBIDDEN}:
                    raise
                raise NotServedError(_explain_absence(error)) from error

    async def fetch(self, name: str) -> EstimateSync | None:
        """See SyncStore."""
        with translate_failures(f"reading EstimateSync {name}"):
            try:
                raw = await self._api.get_namespaced_custom_object(**self._address(name))
            except ApiException as error:
                if error.status == NOT_FOUND:
                    return None
                raise
        sync = parse_estimate_sync(raw)
        return None if sync.metadata.deletion_timestamp else sync

    async def fetch_unfinished(self) -> tuple[EstimateSync, ...]:
        """See SyncStore."""
        with translate_failures("listing EstimateSyncs"):
            raw: Any = await self._api.list_namespaced_custom_object(**self._address())
        return tuple(parse_unfinished(raw["items"]))

    async def write_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync:
        """See SyncStore. A replacement with the version that was read: fields that are gone go, lists too."""
        body = represent_estimate_sync(msgspec.structs.replace(sync, status=status))
        with translate_failures(f"writing the status of EstimateSync {sync.name}"):
            try:
                raw = await self._api.replace_namespaced_custom_object_status(**self._address(sync.name), body=body)
            except ApiException as error:
                if error.status in {NOT_FOUND, CONFLICT}:
                    raise StaleSyncError(sync.name) from error
                raise
        return parse_estimate_sync(raw)

    async def delete(self, sync: EstimateSync) -> None:
        """See SyncStore. The uid is a precondition, so that a new sync of the same name is spared."""
        body = V1DeleteOptions(propagation_policy="Background", preconditions=V1Preconditions(uid=sync.uid))
        with translate_failures(f"deleting EstimateSync {sync.name}"):
            try:
                await self._api.delete_namespaced_custom_object(**self._address(sync.name), body=body)
            except ApiException as error:
                if error.status not in {NOT_FOUND, CONFLICT}:
                    raise

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
