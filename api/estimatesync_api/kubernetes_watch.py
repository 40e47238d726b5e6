"""Keeps the index of syncs up to date: one listing in pages, then one watch, again and again.

It ends with the store. What it cannot do is seen by callers as "not now", and told to the log once.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import logging
import random
import time
from contextlib import suppress
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync

from estimatesync_api.kubernetes_calls import TIMEOUT_SECONDS, KubernetesCalls
from estimatesync_api.kubernetes_index import SyncIndex
from estimatesync_api.ports import StoreUnavailableError

PAGE_SIZE: Final = 500
WATCH_SECONDS: Final = 240
SILENCE_SECONDS: Final = 90.0
"""The API server sends a bookmark about once a minute; longer silence is a connection that is no more."""

BLINDNESS_SECONDS: Final = 10.0
"""For so long a list may be answered from what was known when the watch was lost."""

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 5.0

_logger: Final = logging.getLogger(__name__)


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_token: str = msgspec.field(default="", name="continue")
    name: str = ""


class _Page(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: list[msgspec.Raw]


class _Object(msgspec.Struct, frozen=True):
    metadata: _ListMeta


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class SyncWatch:
    """One for each server process."""

    def __init__(self, calls: KubernetesCalls, index: SyncIndex) -> None:
        self._calls = calls
        self._index = index
        self._loaded = asyncio.Event()
        self._lost_at: float | None = None
        """When the watch was lost; None while it is there."""

    async def require_current(self) -> None:
        """Wait for the first listing, for a moment.

        Raises:
            StoreUnavailableError: The index is not there yet, or too old.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._loaded.wait(), TIMEOUT_SECONDS)
        if not self.is_current:
            raise StoreUnavailableError("the list of syncs is not known now")

    @property
    def is_current(self) -> bool:
        """True while the index shows what there is."""
        is_blind = self._lost_at is not None and time.monotonic() - self._lost_at > BLINDNESS_SECONDS
        return self._loaded.is_set() and not is_blind

    async def run(self) -> None:
        """Load and watch until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        version = ""
        while True:
            try:
                version = await self._follow(version or await self._load())
                pause = _FIRST_PAUSE_SECONDS
            except Exception as error:  # noqa: BLE001 - whatever it is, the list must not stay as it is in silence
                self._note_loss(error)
                version = ""
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            # With jitter, so that a cluster that comes back is not asked by all at once.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - nobody gains by guessing it

    async def _load(self) -> str:
        """List everything, page by page; answers the version to watch from."""
        names: set[str] = set()
        token, version = "", ""
        while True:
            query = {"limit": str(PAGE_SIZE), **({"continue": token} if token else {})}
            body = await self._calls.send("GET", self._calls.syncs_path, query=query)
            page = msgspec.json.decode(body, type=_Page)
            names.update(self._take(raw) for raw in page.items)
            version, token = page.metadata.resource_version, page.metadata.continue_token
            if not token:
                break
        self._index.keep_only(names, version=int(version))
        self._note_contact()
        return version

    async def _follow(self, version: str) -> str:
        """Watch until the API server ends it; answers the version to go on from, blank to begin anew."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with self._calls.streaming(self._calls.syncs_path, query=query, silence_seconds=SILENCE_SECONDS) as lines:
            self._note_contact()
            async for line in lines:
                version = self._take_event(msgspec.json.decode(line, type=_Event))
                if not version:
                    break
        return version

    def _take_event(self, event: _Event) -> str:
        if event.type == "ERROR":
            return ""
        seen = msgspec.json.decode(event.object, type=_Object).metadata
        if event.type == "DELETED":
            self._index.remove(seen.name, version=int(seen.resource_version))
        elif event.type != "BOOKMARK":
            self._take(event.object)
        return seen.resource_version

    def _take(self, raw: msgspec.Raw) -> str:
        """Take in one object, and answer its name. One that cannot be read is left out; others must be shown."""
        with suppress(msgspec.ValidationError):
            self._index.put(msgspec.json.decode(raw, type=EstimateSync))
        return msgspec.json.decode(raw, type=_Object).metadata.name

    def _note_contact(self) -> None:
        if self._lost_at is not None:
            _logger.info("the list of syncs is known again")
        self._lost_at = None
        self._loaded.set()

    def _note_loss(self, error: Exception) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            _logger.warning("the list of syncs cannot be followed for now: %s: %s", type(error).__name__, error)
