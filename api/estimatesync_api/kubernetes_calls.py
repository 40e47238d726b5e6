"""Calls to the API server for one namespace: bytes out, bytes in, and every failure as an error of the store.

The generated client gives the connection, the credentials and their renewal. Its models are left aside: the contract's
own types read JSON several times faster, and no generated call knows the time from which a log is to be read.
Every call ends within a few seconds, so that an API server that hangs becomes a 503 and not a caller's timeout.
Nothing is retried here: the caller does that, knowing whether it may.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from estimatesync_contract.names import GROUP, PLURAL, VERSION
from kubernetes.aio.client import ApiClient

from estimatesync_api.kubernetes_errors import MissingObjectError, is_missing_object, map_api_error, parse_api_status
from estimatesync_api.ports import StoreUnavailableError

TIMEOUT_SECONDS: Final = 2.5

_TIMEOUT: Final = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
_CREDENTIALS: Final = ["BearerToken"]
_JSON: Final = "application/json"

MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass(frozen=True, kw_only=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str]
    body: object = None
    media: str = _JSON


class KubernetesCalls:
    """One client and one namespace."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self.syncs_path: Final = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
        self.pods_path: Final = f"/api/v1/namespaces/{namespace}/pods"

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()  # type: ignore[no-untyped-call] # has no types

    async def send(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None, media: str = _JSON
    ) -> bytes:
        """Call, and answer the body.

        Args:
            method: An HTTP method.
            path: Names in it must need no escaping, as those of Kubernetes do not.
            query: Parameters.
            body: JSON builtins.
            media: What the body is.

        Raises:
            StoreUnavailableError, SyncExistsError, SyncRefusedError: It failed; MissingObjectError if nothing is there.
        """
        with _store_errors():
            request = _Request(method=method, path=path, query=query or {}, body=body, media=media)
            async with self._responding(request, _TIMEOUT) as response:
                return await response.read()

    @asynccontextmanager
    async def streaming(
        self, path: str, *, query: Mapping[str, str], silence_seconds: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Read an answer as it comes; it fails as unavailable when nothing has come for so long."""
        patience = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_SECONDS, sock_read=silence_seconds)
        with _store_errors():
            async with self._responding(_Request(method="GET", path=path, query=query), patience) as response:
                yield response.content

    @asynccontextmanager
    async def _responding(
        self, request: _Request, patience: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        client: Any = self._client  # its types are the generator's
        prepared = await client.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query.items()),
            header_params={"Accept": f"{_JSON}, */*", "Content-Type": request.media},
            body=request.body,
            auth_settings=_CREDENTIALS,
        )
        answer = await client.call_api(*prepared, _request_timeout=patience)
        response: aiohttp.ClientResponse = answer.response
        async with response:
            if response.status >= HTTPStatus.BAD_REQUEST:
                _raise_failure(response.status, await response.read())
            yield response


def _raise_failure(code: int, body: bytes) -> None:
    status = parse_api_status(body)
    if is_missing_object(code, status):
        raise MissingObjectError(status.message)
    raise map_api_error(code, status)


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        # TimeoutError is an OSError.
        raise StoreUnavailableError(f"the API server cannot be reached: {type(error).__name__}") from error
