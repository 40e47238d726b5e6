"""One sync with everything about it, and its log."""

import logging
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from falcon.asgi import Request, Response

from estimatesync_api.log_resource import LogResource
from estimatesync_api.ports import StoreUnavailableError, SyncStore
from estimatesync_api.status_page.list_resources import REFRESH_SECONDS
from estimatesync_api.status_page.rendering import send_page
from estimatesync_api.status_page.shown_sync import show_sync
from estimatesync_api.status_page.visits import get_visit
from estimatesync_api.sync_resources import require_found, require_sync_name

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
