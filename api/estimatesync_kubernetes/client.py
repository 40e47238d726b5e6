"""Calls to the API server: paths and builtins in, bytes out, and every failure as one of `errors`.

The generated client gives the connection, the credentials and their renewal. Its models are left aside: the contract's
own types read JSON several times faster, and no generated call knows the time from which a log is to be read.
Every call ends within the timeout. Nothing is retried here: the caller does that, knowing whether it may.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Literal, Self

import aiohttp
import msgspec
from estimatesync_contract.timestamps import parse_retry_after
from kubernetes.aio.client import ApiClient

from estimatesync_kubernetes.errors import UnreachableError, build_api_error, parse_api_status

PAGE_SIZE: Final = 500
"""Objects in one page of a listing, as client-go asks for them."""

_CREDENTIALS: Final = ["BearerToken"]
_JSON: Final = "application/json"
_MERGE_PATCH: Final = "application/merge-patch+json"

Query = Mapping[str, str]
Propagation = Literal["Background", "Foreground", "Orphan"]


def build_path(
    api_version: str, namespace: str, plural: str, name: str | None = None, subresource: str | None = None
) -> str:
    """Build the path of a namespaced collection, object or subresource. Names of Kubernetes need no escaping.

    Args:
        api_version: As objects hold it: `v1`, `batch/v1`.
        namespace: Of the objects.
        plural: The resource's name, such as `pods`.
        name: Of one object.
        subresource: Of that object, such as `status` or `log`.
    """
    root = "/apis" if "/" in api_version else "/api"
    parts = (root, api_version, "namespaces", namespace, plural, name, subresource)
    return "/".join(part for part in parts if part)


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_token: str = msgspec.field(default="", name="continue")


class ObjectPage(msgspec.Struct, frozen=True):
    """A page of a listing, its objects still undecoded."""

    metadata: _ListMeta
    items: list[msgspec.Raw]

    @property
    def version(self) -> str:
        """The resourceVersion of the whole listing, the same on each page: a watch may begin there."""
        return self.metadata.resource_version


@dataclass(frozen=True, kw_only=True)
class _Request:
    method: str
    path: str
    query: Query
    body: object = None
    media: str = _JSON


class KubernetesClient:
    """Every call raises a KubernetesError when it fails."""

    def __init__(self, client: ApiClient, *, timeout_seconds: float) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()  # type: ignore[no-untyped-call] # has no types

    async def get(self, path: str, query: Query | None = None) -> bytes:
        """Read an object, a short list or a log."""
        return await self._send(_Request(method="GET", path=path, query=query or {}))

    async def list_pages(self, path: str, query: Query | None = None) -> AsyncIterator[ObjectPage]:
        """List a collection in pages.

        Raises:
            GoneError: It took so long that the API server has forgotten the rest.
        """
        token = ""
        while True:
            paging = {"limit": str(PAGE_SIZE), **({"continue": token} if token else {})}
            page = msgspec.json.decode(await self.get(path, {**(query or {}), **paging}), type=ObjectPage)
            yield page
            token = page.metadata.continue_token
            if not token:
                return

    async def create(self, path: str, body: object, query: Query | None = None) -> bytes:
        """Create an object in the collection; answers it as stored."""
        return await self._send(_Request(method="POST", path=path, query=query or {}, body=body))

    async def replace(self, path: str, body: object, query: Query | None = None) -> bytes:
        """Replace an object or its status, of exactly the resourceVersion in the body; answers it as stored."""
        return await self._send(_Request(method="PUT", path=path, query=query or {}, body=body))

    async def patch(self, path: str, body: object, query: Query | None = None) -> bytes:
        """Merge into an object; answers it as stored."""
        return await self._send(_Request(method="PATCH", path=path, query=query or {}, body=body, media=_MERGE_PATCH))

    async def delete(
        self, path: str, *, propagation: Propagation, uid: str | None = None, version: str | None = None
    ) -> None:
        """Delete an object, if `uid` and `version` are given only that one and only as it was then.

        Raises:
            ConflictError: The object of this name is another, or has changed.
        """
        body: dict[str, object] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        preconditions = {field: value for field, value in (("uid", uid), ("resourceVersion", version)) if value}
        if preconditions:
            body["preconditions"] = preconditions
        await self._send(_Request(method="DELETE", path=path, query={}, body=body))

    @asynccontextmanager
    async def stream(
        self, path: str, query: Query | None = None, *, silence_seconds: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Read a watch or a log as it comes.

        Raises:
            UnreachableError: Also when nothing has come for `silence_seconds`.
        """
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_seconds, sock_read=silence_seconds)
        with _translated_failures():
            async with self._responding(_Request(method="GET", path=path, query=query or {}), limits) as response:
                yield response.content

    async def _send(self, request: _Request) -> bytes:
        limits = aiohttp.ClientTimeout(total=self._timeout_seconds)
        with _translated_failures():
            async with self._responding(request, limits) as response:
                return await response.read()

    @asynccontextmanager
    async def _responding(
        self, request: _Request, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        client: Any = self._client  # its types are the generator's
        # The body is left to call_api, since it is builtins already, and looking for models in it takes longer.
        *head, _, parameters = await client.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query.items()),
            header_params={"Accept": f"{_JSON}, */*", "Content-Type": request.media},
            auth_settings=_CREDENTIALS,
        )
        answer = await client.call_api(*head, request.body, parameters, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        async with response:
            if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                await _raise_failure(response)
            yield response


async def _raise_failure(response: aiohttp.ClientResponse) -> None:
    raise build_api_error(
        response.status,
        parse_api_status(await response.read()),
        http_reason=response.reason or "",
        retry_after=parse_retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC)),
    )


@contextmanager
def _translated_failures() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        # TimeoutError is an OSError.
        raise UnreachableError(error) from error
