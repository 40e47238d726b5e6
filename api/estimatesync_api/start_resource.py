"""The address where a sync is asked for: reads the request, has a sync stored, and answers at once or at its end."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final
from zoneinfo import ZoneInfo

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import build_sync_path
from estimatesync_contract.status import Phase
from falcon.asgi import Request, Response

from estimatesync_api.ports import StoreUnavailableError, SyncStore
from estimatesync_api.problems import RETRY_AFTER_SECONDS, ApiError, Problem
from estimatesync_api.request_body import read_body
from estimatesync_api.responses import compute_error, to_accepted_body, to_failure_body, to_success_body
from estimatesync_api.sync_request import parse_sync_request
from estimatesync_api.sync_starter import SyncStarter
from estimatesync_api.waiting import ClosingError, WaitingRoom

_logger: Final = logging.getLogger(__name__)


class StartResource:
    """POST: store a sync, then answer at once or when it has ended."""

    def __init__(
        self,
        store: SyncStore,
        starter: SyncStarter,
        waiting: WaitingRoom,
        *,
        time_zone: ZoneInfo,
        foreground_seconds: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._starter = starter
        self._waiting = waiting
        self._time_zone = time_zone
        self._foreground_seconds = foreground_seconds
        self._clock = clock

    async def on_post(self, req: Request, resp: Response) -> None:
        """Start a sync."""
        now = self._clock()
        request = parse_sync_request(
            query=req.params,
            body=await read_body(req),
            idempotency_key=req.get_header("Idempotency-Key"),
            today=now.astimezone(self._time_zone).date(),
        )
        name = self._starter.choose_name(request, now)
        # Known to the log before it is stored: after a timeout, the name is how a person finds out whether it was.
        req.context.sync_id = name
        sync = await self._starter.start(request, name)
        req.context.sync_id = sync.name
        resp.location = build_sync_path(sync.name)
        if request.is_background:
            resp.status = HTTPStatus.ACCEPTED
            resp.retry_after = RETRY_AFTER_SECONDS
            resp.media = to_accepted_body(sync.name, now)
        else:
            await self._answer_outcome(sync.name, resp)

    async def _answer_outcome(self, name: str, resp: Response) -> None:
        sync = await self._wait(name)
        if sync is None:
            resp.status = HTTPStatus.INTERNAL_SERVER_ERROR
            resp.media = to_failure_body(name, "The sync was deleted before it ended.", ())
            return
        log = await self._read_log(sync)
        if sync.status.phase is Phase.SUCCEEDED:
            resp.media = to_success_body(sync, log)
        else:
            resp.status = HTTPStatus.INTERNAL_SERVER_ERROR
            resp.media = to_failure_body(name, compute_error(sync), log)

    async def _wait(self, name: str) -> EstimateSync | None:
        try:
            async with asyncio.timeout(self._foreground_seconds or None):
                return await self._waiting.wait_until_finished(name)
        except TimeoutError as error:
            raise ApiError(Problem.STILL_RUNNING, sync_id=name) from error
        except ClosingError as error:
            raise ApiError(Problem.RESTARTING, sync_id=name) from error
        except asyncio.CancelledError:
            _logger.info("sync=%s its caller left before the end; the sync goes on", name)
            raise

    async def _read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """The outcome is known: a log that cannot be read must not turn it into an error."""
        try:
            return await self._store.read_log(sync)
        except StoreUnavailableError:
            return ()
