"""The addresses of the API: each reads a request, asks the store, and answers. Decisions are made elsewhere."""

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final
from zoneinfo import ZoneInfo

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import (
    SYNC_NAME_MAX_LENGTH,
    build_keyed_sync_name,
    build_sync_name,
    build_sync_path,
)
from estimatesync_contract.spec import DNS_SUBDOMAIN_PATTERN
from estimatesync_contract.status import Phase
from falcon.asgi import Request, Response

from estimatesync_api.idempotency import build_sync, require_same_request
from estimatesync_api.ports import StoreUnavailableError, SyncExistsError, SyncStore
from estimatesync_api.problems import RETRY_AFTER_SECONDS, ApiError, Problem
from estimatesync_api.responses import (
    compute_error,
    represent_accepted,
    represent_failure,
    represent_success,
    represent_sync,
)
from estimatesync_api.sync_request import SyncRequest, parse_sync_request
from estimatesync_api.waiting import Pause, wait_until_finished

BODY_MAX_BYTES: Final = 64 * 1024

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
    ) -> None:
        self._store = store
        self._time_zone = time_zone
        self._clock = clock
        self._token = token
        self._pause = pause

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
        days = request.date_range
        _logger.info("sync=%s stored, for %s to %s", sync.name, days.start, days.end)
        return sync

    async def _fetch_first(self, request: SyncRequest, name: str) -> EstimateSync:
        """Answer a repeated request with the sync that the first one made."""
        sync = await self._store.fetch(name)
        if sync is None:
            raise StoreUnavailableError("the sync vanished while its request was repeated")
        require_same_request(sync, request)
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


class SyncResource:
    """GET: one sync, as it is now."""

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, sync_id: str) -> None:
        """Show a sync."""
        sync = await self._store.fetch(sync_id) if is_sync_name(sync_id) else None
        if sync is None:
            raise ApiError(Problem.SYNC_NOT_FOUND)
        req.context.sync_id = sync.name
        resp.media = represent_sync(sync)


class HealthResource:
    """GET: this process serves. Depends on nothing, or a broken API server would restart every API pod."""

    is_public = True

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Say so."""
        resp.media = {"status": "ok"}


class ReadyResource:
    """GET: a sync could be stored now."""

    is_public = True

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Ask the store."""
        await self._store.check()
        resp.media = {"status": "ready"}


async def read_body(req: Request) -> bytes:
    """Read the whole body, or none of one that is too large.

    Raises:
        ApiError: Too large, or cut off: half a request must not start a sync of the default days.
    """
    length = req.content_length
    if length is not None and length > BODY_MAX_BYTES:
        raise ApiError(Problem.BODY_TOO_LARGE)
    body = await req.stream.read(BODY_MAX_BYTES + 1)
    if len(body) > BODY_MAX_BYTES:
        raise ApiError(Problem.BODY_TOO_LARGE)
    if length is not None and len(body) < length:
        raise ApiError(Problem.BODY_INCOMPLETE)
    return body


def is_sync_name(text: str) -> bool:
    """Tell whether a sync can have this name; anything else is not worth asking the store."""
    return len(text) <= SYNC_NAME_MAX_LENGTH and re.fullmatch(DNS_SUBDOMAIN_PATTERN, text) is not None
