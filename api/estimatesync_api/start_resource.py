"""The address where a sync is asked for: reads the request, stores a sync, and answers at once or when it has ended."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final
from zoneinfo import ZoneInfo

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import build_keyed_sync_name, build_sync_name, build_sync_path
from estimatesync_contract.status import Phase
from falcon.asgi import Request, Response

from estimatesync_api.idempotency import build_sync, require_same_request
from estimatesync_api.metrics import ApiMetrics
from estimatesync_api.ports import StoreUnavailableError, SyncExistsError, SyncStore
from estimatesync_api.problems import RETRY_AFTER_SECONDS
from estimatesync_api.request_body import read_body
from estimatesync_api.responses import (
    compute_error,
    represent_accepted,
    represent_failure,
    represent_success,
)
from estimatesync_api.sync_request import SyncRequest, parse_sync_request
from estimatesync_api.waiting import Pause, wait_until_finished

_logger: Final = logging.getLogger(__name__)


class StartResource:
    """POST: store a sync, then answer at once or when it has ended."""

    def __init__(
        self,
        store: SyncStore,
        *,
        time_zone: ZoneInfo,
        clock: Callable[[], datetime],
        token: Callable[[], str],
        pause: Pause,
        metrics: ApiMetrics,
    ) -> None:
        self._store = store
        self._time_zone = time_zone
        self._clock = clock
        self._token = token
        self._pause = pause
        self._metrics = metrics

    async def on_post(self, req: Request, resp: Response) -> None:
        """Start a sync."""
        now = self._clock()
        request = parse_sync_request(
            query=req.params,
            body=await read_body(req),
            idempotency_key=req.get_header("Idempotency-Key"),
            today=now.astimezone(self._time_zone).date(),
        )
        key = request.idempotency_key
        name = build_keyed_sync_name(key) if key else build_sync_name(now, self._token())
        # Known to the log before it is stored: after a timeout, the name is how a person finds out whether it was.
        req.context.sync_id = name
        sync = await self._store_sync(request, name)
        resp.location = build_sync_path(sync.name)
        if request.is_background:
            resp.status = HTTPStatus.ACCEPTED
            resp.retry_after = RETRY_AFTER_SECONDS
            resp.media = represent_accepted(sync.name, now)
        else:
            await self._answer_outcome(sync.name, resp)

    async def _store_sync(self, request: SyncRequest, name: str) -> EstimateSync:
        try:
            sync = await self._store.create(build_sync(request, name=name))
        except SyncExistsError:
            return await self._fetch_first(request, name)
        self._metrics.record_started()
        days = request.date_range
        _logger.info("sync=%s stored, for %s to %s", sync.name, days.start, days.end)
        return sync

    async def _fetch_first(self, request: SyncRequest, name: str) -> EstimateSync:
        """Answer a repeated request with the sync that the first one made."""
        sync = await self._store.fetch(name)
        if sync is None:
            raise StoreUnavailableError("the sync vanished while its request was repeated")
        require_same_request(sync, request)
        self._metrics.record_repeated()
        _logger.info("sync=%s asked for again with its Idempotency-Key", name)
        return sync

    async def _answer_outcome(self, name: str, resp: Response) -> None:
        try:
            sync = await wait_until_finished(self._store, name, pause=self._pause)
        except asyncio.CancelledError:
            _logger.info("sync=%s its caller left before the end; the sync goes on", name)
            raise
        if sync is None:
            resp.status = HTTPStatus.INTERNAL_SERVER_ERROR
            resp.media = represent_failure(name, "The sync was deleted before it ended.", ())
            return
        log = await self._read_log(sync)
        if sync.status.phase is Phase.SUCCEEDED:
            resp.media = represent_success(sync, log)
        else:
            resp.status = HTTPStatus.INTERNAL_SERVER_ERROR
            resp.media = represent_failure(name, compute_error(sync), log)

    async def _read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """The outcome is known: a log that cannot be read must not turn it into an error."""
        try:
            return await self._store.read_log(sync)
        except StoreUnavailableError:
            return ()
