"""Keeps the index of syncs up to date: one listing in pages, then one watch after the other, until the store closes.

While it cannot, callers are answered with a 503, and one log line says so.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import logging
import random
import time
from contextlib import suppress
from typing import Final

import msgspec
from estimatesync_contract.backoff import compute_backoff
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_kubernetes.client import KubernetesClient
from estimatesync_kubernetes.errors import GoneError, StatusError
from estimatesync_kubernetes.watch import WatchEvent, open_watch, parse_metadata

from estimatesync_api.core.problems import StoreUnavailableError
from estimatesync_api.core.sync_index import SyncIndex

LOADING_SECONDS: Final = 2.5
"""How long a caller waits for the first listing."""

BLINDNESS_SECONDS: Final = 10.0
"""How long a list may be answered from what was known when the watch was lost."""

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 5.0

_logger: Final = logging.getLogger(__name__)


class SyncWatch:
    """Feeds the index, and says whether it can be trusted. One for each server process."""

    def __init__(self, client: KubernetesClient, path: str, index: SyncIndex) -> None:
        self._client = client
        self._path = path
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
            await asyncio.wait_for(self._loaded.wait(), LOADING_SECONDS)
        if not self.is_current:
            raise StoreUnavailableError("the list of syncs is not known now", cause=SpecificCause.LIST_OUTDATED)

    @property
    def is_current(self) -> bool:
        """True while the index shows what there is."""
        is_blind = self._lost_at is not None and time.monotonic() - self._lost_at > BLINDNESS_SECONDS
        return self._loaded.is_set() and not is_blind

    async def run(self) -> None:
        """Load and watch until cancelled."""
        failures = 0
        version = ""
        while True:
            try:
                version = await self._follow(version or await self._load())
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it is, the list must not go stale in silence
                self._note_loss(error)
                version = ""
                failures += 1
                await asyncio.sleep(_compute_asked_wait(error))
            pause = compute_backoff(failures + 1, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS)
            # With jitter, so that a cluster that comes back is not asked by all at once.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - guessing it gains nothing

    async def _load(self) -> str:
        """List everything, page by page; answers the version to watch from."""
        names: set[str] = set()
        version = ""
        async for page in self._client.list_pages(self._path):
            names.update(self._index_object(raw) for raw in page.items)
            version = page.version
        self._index.keep_only(names, version=int(version))
        self._note_success()
        return version

    async def _follow(self, version: str) -> str:
        """Watch until the API server ends it; answers the version to go on from, blank to list again."""
        try:
            async with open_watch(self._client, self._path, version=version) as events:
                self._note_success()
                async for event in events:
                    version = self._index_event(event)
        except GoneError:
            return ""
        return version

    def _index_event(self, event: WatchEvent) -> str:
        seen = parse_metadata(event.object)
        if event.type == "DELETED":
            self._index.remove(seen.name, version=int(seen.resource_version))
        elif event.type != "BOOKMARK":
            self._index_object(event.object)
        return seen.resource_version

    def _index_object(self, raw: msgspec.Raw) -> str:
        """Index one object and return its name; one that cannot be read is left out, so that the others are shown."""
        with suppress(msgspec.ValidationError):
            self._index.put(msgspec.json.decode(raw, type=EstimateSync))
        return parse_metadata(raw).name

    def _note_success(self) -> None:
        if self._lost_at is not None:
            _logger.info("the list of syncs is known again")
        self._lost_at = None
        self._loaded.set()

    def _note_loss(self, error: Exception) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            _logger.warning("the list of syncs cannot be followed for now: %s: %s", type(error).__name__, error)


def _compute_asked_wait(error: Exception) -> float:
    """Seconds that the API server itself asks for, within bounds."""
    wait = error.retry_after if isinstance(error, StatusError) else None
    return min(wait.total_seconds(), _LONGEST_PAUSE_SECONDS) if wait else 0.0
