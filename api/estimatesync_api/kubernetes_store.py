"""Keeps syncs in Kubernetes, as EstimateSync objects: the store of the deployed API.

Every call ends within a few seconds, so that an API server that hangs becomes a 503 and not a caller's timeout.
Nothing is retried here: the caller does that, knowing whether it may.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from estimatesync_contract.estimate_sync import EstimateSync, Metadata, parse_estimate_sync, represent_estimate_sync
from estimatesync_contract.names import GROUP, PLURAL, SYNC_CONTAINER, VERSION, build_job_name
from kubernetes.aio.client import ApiClient, CoreV1Api, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException

from estimatesync_api.kubernetes_connection import create_api_client
from estimatesync_api.kubernetes_errors import is_missing_object, map_api_error, parse_api_status
from estimatesync_api.ports import StoreUnavailableError, SyncExistsError, SyncRefusedError

TIMEOUT_SECONDS: Final = 2.5
LOG_TAIL_LINES: Final = 1000
"""Of each run of a sync; the answer to a caller stays below a few megabytes."""

_PROBE: Final = EstimateSync(metadata=Metadata(name="readiness-probe"))
_logger: Final = logging.getLogger(__name__)


class _MissingObjectError(StoreUnavailableError):
    """The object asked for does not exist; told apart from a resource that is not installed."""


# 400 is how the API server says that a container has not started.
_NO_LOG: Final = (StoreUnavailableError, SyncRefusedError, UnicodeDecodeError)


@dataclass(frozen=True, kw_only=True)
class _Connection:
    client: ApiClient
    objects: CustomObjectsApi
    core: CoreV1Api
    namespace: str


class KubernetesStore:
    """A SyncStore on the API server."""

    def __init__(self, *, kubeconfig: str | None, namespace: str | None) -> None:
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._opened: _Connection | None = None

    async def open(self) -> None:
        """Read the credentials; the API server need not be there."""
        client, namespace = await create_api_client(kubeconfig=self._kubeconfig, namespace=self._namespace)
        self._opened = _Connection(
            client=client, objects=CustomObjectsApi(client), core=CoreV1Api(client), namespace=namespace
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._opened:
            await self._opened.client.close()  # type: ignore[no-untyped-call] # has no types
            self._opened = None

    async def check(self) -> None:
        """Create a sync without storing it: that needs the same rights, schema and storage as a real one."""
        try:
            await self._create(_PROBE, dry_run="All")
        except SyncExistsError:
            return
        except SyncRefusedError as error:
            raise StoreUnavailableError(f"no sync can be stored: {error}") from error

    async def create(self, sync: EstimateSync) -> EstimateSync:
        """Create the object. After a timeout it may exist all the same; asking again with its name tells."""
        return parse_estimate_sync(await self._create(sync))

    async def fetch(self, name: str) -> EstimateSync | None:
        """Read the object, as it is now and not from a cache."""
        connection = self._connection
        try:
            with _store_errors():
                return parse_estimate_sync(
                    await connection.objects.get_namespaced_custom_object(
                        GROUP, VERSION, connection.namespace, PLURAL, name, _request_timeout=TIMEOUT_SECONDS
                    )
                )
        except _MissingObjectError:
            return None

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """Read the tail of each of the job's pods, oldest pod first; pods and logs that are gone are left out."""
        connection = self._connection
        try:
            with _store_errors():
                pods: Any = await connection.core.list_namespaced_pod(
                    connection.namespace,
                    # By the job, whose name holds the sync's uid: a label with the sync's own name would also find
                    # pods of an earlier sync of that name.
                    label_selector=f"batch.kubernetes.io/job-name={build_job_name(sync.uid)}",
                    _request_timeout=TIMEOUT_SECONDS,
                )
        except _NO_LOG as error:
            _logger.warning("sync=%s its pods could not be listed: %s", sync.name, error)
            return ()
        oldest_first = sorted(pods.items, key=lambda pod: pod.metadata.creation_timestamp)
        return tuple([line for pod in oldest_first for line in await self._read_pod_log(sync, pod.metadata.name)])

    @property
    def _connection(self) -> _Connection:
        if self._opened is None:
            raise RuntimeError("the store is not open")
        return self._opened

    async def _create(self, sync: EstimateSync, *, dry_run: str | None = None) -> object:
        connection = self._connection
        with _store_errors():
            return await connection.objects.create_namespaced_custom_object(
                GROUP,
                VERSION,
                connection.namespace,
                PLURAL,
                represent_estimate_sync(sync),
                dry_run=dry_run,
                field_manager="estimatesync-api",
                # A field that the installed CRD does not know must not be dropped in silence.
                field_validation="Strict",
                _request_timeout=TIMEOUT_SECONDS,
            )

    async def _read_pod_log(self, sync: EstimateSync, pod_name: str) -> tuple[str, ...]:
        connection = self._connection
        try:
            with _store_errors():
                text = await connection.core.read_namespaced_pod_log(
                    pod_name,
                    connection.namespace,
                    container=SYNC_CONTAINER,
                    tail_lines=LOG_TAIL_LINES,
                    _request_timeout=TIMEOUT_SECONDS,
                )
        except _NO_LOG as error:
            _logger.warning("sync=%s the log of pod %s could not be read: %s", sync.name, pod_name, error)
            return ()
        return tuple(text.splitlines())


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        raise StoreUnavailableError(f"the API server cannot be reached: {type(error).__name__}") from error
    except ApiException as error:
        status = parse_api_status(error.body)
        if is_missing_object(error.status, status):
            raise _MissingObjectError(status.message) from error
        raise map_api_error(error.status, status) from error
