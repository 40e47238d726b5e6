"""The status page over the made-up syncs of `page_scenery.py`: gunicorn serves `create()` for pictures and tests.

Nothing is stored and nothing runs.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from estimatesync_api.app import Asgi, create_app
from estimatesync_api.listing import SyncPage, SyncQuery, build_page, find_phase
from estimatesync_api.ports import LogMark, LogPart, StoreUnavailableError
from estimatesync_api.settings import parse_settings
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import DateRange

from estimatesync_demo.page_scenery import KEY, NOW, list_lines, list_syncs

AWAY: Final = "SCENERY_AWAY"
"""Names a file; while it is there, the store is away."""


class SceneryStore:
    """A SyncStore that knows these syncs and nothing else."""

    def __init__(self, *, away: Path | None = None) -> None:
        """Hold all syncs; while the file `away` exists, the list is not available."""
        self._away = away
        self._syncs = {sync.name: sync for sync in list_syncs()}

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """There is nothing to close."""

    async def check(self) -> None:
        """Always ready."""

    async def create(self, sync: EstimateSync) -> EstimateSync:
        """Take it, and forget it."""
        return sync

    async def fetch(self, name: str) -> EstimateSync | None:
        """Look it up."""
        return self._syncs.get(name)

    async def find_at_work(self, _days: DateRange) -> str | None:
        """Offer none."""
        return None

    async def find_ended(self, names: Collection[str]) -> frozenset[str]:
        """Syncs that are not active."""
        return frozenset(name for name in names if self._syncs[name].is_finished)

    async def list_page(self, query: SyncQuery) -> SyncPage:
        """The newest of the phases that are wanted."""
        if self._away is not None and self._away.exists():
            raise StoreUnavailableError
        return build_page([sync for sync in self._syncs.values() if find_phase(sync) in query.phases], query.limit)

    async def request_cancel(self, name: str) -> EstimateSync | None:
        """Change nothing."""
        return self._syncs.get(name)

    async def request_redelivery(self, name: str, _token: str) -> EstimateSync | None:
        """Change nothing."""
        return self._syncs.get(name)

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """All lines."""
        return list_lines(sync.name)

    async def read_log_part(self, sync: EstimateSync, mark: LogMark | None) -> LogPart:
        """All lines, once."""
        return LogPart(lines=() if mark else list_lines(sync.name), mark=LogMark(source="log"))


def create() -> Asgi:
    """Join the parts."""
    settings = parse_settings({"API_KEYS": f"night-shift:{KEY}", "TIME_ZONE": "America/New_York", **os.environ})
    away = os.environ.get(AWAY)
    return create_app(settings, SceneryStore(away=Path(away) if away else None), clock=lambda: NOW)
