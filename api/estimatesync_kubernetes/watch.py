"""One watch of a collection, for as long as the API server keeps it open.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

import msgspec

from estimatesync_kubernetes.client import KubernetesClient
from estimatesync_kubernetes.errors import ApiStatus, build_api_error

WATCH_SECONDS: Final = 240
"""Then the API server ends the watch, and the caller opens the next one."""

SILENCE_SECONDS: Final = 90.0
"""The API server sends a bookmark about once a minute; longer silence is a dead connection."""


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The part of an object's metadata that every watch needs."""

    name: str = ""
    resource_version: str = ""


class _Object(msgspec.Struct, frozen=True):
    metadata: ObjectMeta


class WatchEvent(msgspec.Struct, frozen=True):
    """A change of one object, or with BOOKMARK the news that nothing else has changed up to this version."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw
    """The object, still undecoded."""


def parse_metadata(raw: msgspec.Raw) -> ObjectMeta:
    """Read an object's name and version, whatever else it holds."""
    return msgspec.json.decode(raw, type=_Object).metadata


@asynccontextmanager
async def open_watch(client: KubernetesClient, path: str, *, version: str) -> AsyncIterator[AsyncIterator[WatchEvent]]:
    """Watch a collection from a version on; the context is entered once the API server has accepted it.

    Raises:
        KubernetesError: Also from the iteration; GoneError when the version is no longer kept, so list again.
    """
    query = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(WATCH_SECONDS),
    }
    async with client.stream(path, query, silence_seconds=SILENCE_SECONDS) as lines:
        yield _read_events(lines)


async def _read_events(lines: AsyncIterable[bytes]) -> AsyncIterator[WatchEvent]:
    async for line in lines:
        event = msgspec.json.decode(line, type=WatchEvent)
        if event.type == "ERROR":
            status = msgspec.json.decode(event.object, type=ApiStatus)
            raise build_api_error(status.code, status)
        yield event
