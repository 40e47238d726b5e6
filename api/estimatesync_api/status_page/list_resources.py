"""The list of syncs, which is the page's home, and the trends."""

from collections.abc import Sequence
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase
from falcon.asgi import Request, Response

from estimatesync_api.list_request import format_cursor, parse_sync_query
from estimatesync_api.listing import SyncQuery
from estimatesync_api.ports import SyncStore
from estimatesync_api.status_page.overviews import build_overview
from estimatesync_api.status_page.rendering import send_page
from estimatesync_api.status_page.seen_syncs import see_sync
from estimatesync_api.status_page.trends import MOST_SYNCS, build_strip, build_trends
from estimatesync_api.status_page.visits import Visit, get_visit

REFRESH_SECONDS: Final = 5
"""Without the script, while something runs; the script looks more often, and only for what has changed."""
_FILTERS: Final = ("", "running", "queued", "succeeded", "failed", "cancelled")
_SHOWN: Final = 20
_NEWEST: Final = 40
"""So many newest syncs tell how things are."""


class HomeResource:
    """GET: how things are, and the syncs, newest first."""

    is_page = True

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        """Show the list."""
        visit = get_visit(req)
        wanted, cursor = req.get_param("status") or "", req.get_param("cursor") or ""
        status = wanted if wanted in _FILTERS else ""
        query = parse_sync_query(
            {"status": status, "cursor": cursor, "limit": str(_SHOWN)},
            time_zone=visit.tongue.time_zone,
        )
        page = await self._store.list_page(query)
        newest = (await self._store.list_page(SyncQuery(limit=_NEWEST))).syncs
        send_page(
            req,
            resp,
            "list.html",
            syncs=[see_sync(sync, visit.tongue, now=visit.now) for sync in page.syncs],
            older=format_cursor(page.end),
            cursor=cursor,
            status=status,
            filters=_FILTERS,
            overview=build_overview(newest, visit.tongue, now=visit.now),
            strip=build_strip(newest, visit.tongue),
            refresh_seconds=_choose_refresh(newest),
        )


class TrendsResource:
    """GET: durations and counts over time."""

    is_page = True

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        """Draw the charts."""
        visit: Visit = get_visit(req)
        ended = frozenset(phase for phase in Phase if phase.is_final)
        page = await self._store.list_page(SyncQuery(limit=MOST_SYNCS, phases=ended))
        send_page(req, resp, "trends.html", trends=build_trends(page.syncs, visit.tongue))


def _choose_refresh(newest: Sequence[EstimateSync]) -> int:
    is_busy = any(not sync.is_finished for sync in newest)
    return REFRESH_SECONDS if is_busy else 0
