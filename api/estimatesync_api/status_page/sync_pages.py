"""The list of syncs, which is the page's home, and the trends.

One sync with everything about it, and its log.
"""

import logging
from collections.abc import Sequence
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase
from falcon.asgi import Request, Response

from estimatesync_api.list_request import format_cursor, parse_sync_query
from estimatesync_api.listing import SyncQuery
from estimatesync_api.log_resource import LogResource
from estimatesync_api.ports import StoreUnavailableError, SyncStore
from estimatesync_api.status_page.core.charts import MOST_SYNCS, build_strip, build_trends
from estimatesync_api.status_page.core.detail_view import show_sync
from estimatesync_api.status_page.core.list_view import build_overview, see_sync
from estimatesync_api.status_page.page_request import Visit, get_visit
from estimatesync_api.status_page.rendering import send_page
from estimatesync_api.sync_resources import require_found, require_sync_name

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


LOG_LINES: Final = 60
"""So many of the newest lines are on the page itself; without the script, too."""
_TOLD: Final = frozenset({"started", "cancelled", "too_late", "redelivered"})

_logger: Final = logging.getLogger(__name__)


class SyncPageResource:
    """GET: the page of one sync."""

    is_page = True

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, sync_id: str) -> None:
        """Show it as it is now."""
        visit = get_visit(req)
        sync = require_found(await self._store.fetch(require_sync_name(sync_id)), req)
        told = req.get_param("told") or ""
        is_waiting = not sync.is_finished or _has_callback_to_send(sync)
        # The script has the log from a stream of its own.
        log = () if visit.is_part else await self._read_log(sync)
        send_page(
            req,
            resp,
            "sync.html",
            shown=show_sync(sync, visit.tongue, now=visit.now),
            told=visit.tongue.say(f"told.{told}") if told in _TOLD else "",
            log=log,
            days=sync.status.date_range or sync.spec.date_range,
            refresh_seconds=REFRESH_SECONDS if is_waiting else 0,
        )

    async def _read_log(self, sync: EstimateSync) -> tuple[str, ...] | None:
        """The end of the log; None when it cannot be read, which must not hide all the rest."""
        try:
            return (await self._store.read_log(sync))[-LOG_LINES:]
        except StoreUnavailableError as error:
            _logger.warning("sync=%s its log cannot be read for its page: %s", sync.name, error)
            return None


class PageLogResource(LogResource):
    """GET: the log, as the API gives it, for somebody who is signed in."""

    is_page = True


def _has_callback_to_send(sync: EstimateSync) -> bool:
    return sync.status.callback is not None and not sync.status.callback.state.is_final
