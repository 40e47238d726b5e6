"""The pages that show: the list of syncs, which is the home page, the trends, and one sync with its log."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import Phase
from falcon.asgi import Response

from estimatesync_api.core.listing import FINAL_PHASES, SyncQuery, format_cursor, parse_sync_query
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import StoreUnavailableError
from estimatesync_api.logs import LogResource
from estimatesync_api.request import Access, Request, Resource
from estimatesync_api.status_page.core.charts import MAX_SYNCS, build_strip, build_trends
from estimatesync_api.status_page.core.detail_view import build_sync_detail, is_flash_true
from estimatesync_api.status_page.core.list_view import (
    FILTERS,
    build_summary,
    build_sync_row,
    count_filters,
    is_any_callback_open,
)
from estimatesync_api.status_page.page_request import get_page_request
from estimatesync_api.status_page.rendering import send_page
from estimatesync_api.syncs import require_found, require_sync_name

REFRESH_SECONDS: Final = 5
"""Without the script, while a sync is active; the script polls more often, and only for the part that changes."""
LOG_LINES: Final = 60
"""The newest lines of the log that the page itself holds, so that they show without the script as well."""
_PAGE_SIZE: Final = 20
_SUMMARY_SIZE: Final = 40
"""The newest syncs that the summary and the strip are built from."""
_REDELIVERED_ALL: Final = "redelivered_all"

_logger: Final = logging.getLogger(__name__)


class HomeResource(Resource):
    """GET: the summary, and the syncs, newest first."""

    access = Access.SESSION

    def __init__(self, store: SyncStore, *, stale_after: timedelta | None) -> None:
        """`stale_after` is how long no sync need have succeeded before the summary says so; None: for ever."""
        self._store = store
        self._stale_after = stale_after

    async def on_get(self, req: Request, resp: Response) -> None:
        page_request = get_page_request(req)
        status, cursor = req.get_param("status") or "", req.get_param("cursor") or ""
        status = status if status in FILTERS else ""
        query = parse_sync_query(
            {"status": status, "cursor": cursor, "limit": str(_PAGE_SIZE)},
            time_zone=page_request.localizer.time_zone,
        )
        page = await self._store.list_page(query)
        flash = req.get_param("flash") or ""
        newest = (await self._store.list_page(SyncQuery(limit=_SUMMARY_SIZE))).syncs
        is_said = flash == _REDELIVERED_ALL and is_any_callback_open(newest)
        send_page(
            req,
            resp,
            "list.html",
            rows=[build_sync_row(sync, page_request.localizer, now=page_request.now) for sync in page.syncs],
            older=format_cursor(page.end),
            cursor=cursor,
            status=status,
            filters=count_filters(await self._store.count_phases(), page_request.localizer, chosen=status),
            flash=page_request.localizer.translate(f"flash.{flash}") if is_said else "",
            summary=build_summary(
                newest,
                page_request.localizer,
                now=page_request.now,
                last_success=await self._find_last_success(newest, page_request.now),
                stale_after=self._stale_after,
            ),
            strip=build_strip(newest, page_request.localizer),
            refresh_seconds=_choose_refresh(newest),
        )

    async def _find_last_success(self, newest: Sequence[EstimateSync], now: datetime) -> EstimateSync | None:
        """Find the newest sync that has succeeded, which may be older than all that the summary is built from."""
        found = next((sync for sync in newest if sync.status.has_succeeded_by(now)), None)
        if found is not None or len(newest) < _SUMMARY_SIZE:
            return found
        page = await self._store.list_page(SyncQuery(limit=_SUMMARY_SIZE, phases=frozenset({Phase.SUCCEEDED})))
        return next((sync for sync in page.syncs if sync.status.has_succeeded_by(now)), None)


class TrendsResource(Resource):
    """GET: durations and counts over time."""

    access = Access.SESSION

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        page_request = get_page_request(req)
        page = await self._store.list_page(SyncQuery(limit=MAX_SYNCS, phases=FINAL_PHASES))
        send_page(req, resp, "trends.html", trends=build_trends(page.syncs, page_request.localizer))


class SyncPageResource(Resource):
    """GET: the page of one sync."""

    access = Access.SESSION

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, sync_id: str) -> None:
        page_request = get_page_request(req)
        sync = require_found(await self._store.fetch(require_sync_name(sync_id)), req)
        flash = req.get_param("flash") or ""
        is_waiting = not sync.is_finished or sync.status.owes_callback
        # The script reads the log from a stream of its own.
        log = () if page_request.is_part else await self._read_log(sync)
        send_page(
            req,
            resp,
            "sync.html",
            detail=build_sync_detail(
                sync, page_request.localizer, now=page_request.now, running=await self._list_running(sync)
            ),
            flash=page_request.localizer.translate(f"flash.{flash}") if is_flash_true(flash, sync) else "",
            log=log,
            days=sync.status.date_range or sync.spec.date_range,
            is_of_changes=sync.spec.mode is Mode.CHANGES,
            refresh_seconds=REFRESH_SECONDS if is_waiting else 0,
        )

    async def _list_running(self, sync: EstimateSync) -> Sequence[EstimateSync]:
        """List what a waiting sync waits for."""
        if sync.status.queue is None or not sync.status.queue.ahead:
            return ()
        return (await self._store.list_page(SyncQuery(phases=frozenset({Phase.RUNNING})))).syncs

    async def _read_log(self, sync: EstimateSync) -> tuple[str, ...] | None:
        """Read the end of the log; None when it cannot be read, which must not hide the rest of the page."""
        try:
            return (await self._store.read_log(sync))[-LOG_LINES:]
        except StoreUnavailableError as error:
            _logger.warning("sync=%s the log cannot be read for the page: %s", sync.name, error)
            return None


class PageLogResource(LogResource):
    """GET: the log as the API serves it, authenticated by the session."""

    access = Access.SESSION


def _choose_refresh(newest: Sequence[EstimateSync]) -> int:
    is_any_active = any(not sync.is_finished for sync in newest)
    return REFRESH_SECONDS if is_any_active else 0
