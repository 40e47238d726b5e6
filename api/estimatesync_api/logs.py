"""The address of a sync's log: what it has printed so far or, followed, all that it prints until it has ended."""

import logging
from collections.abc import AsyncIterator
from typing import Final

import falcon
from estimatesync_contract.estimate_sync import EstimateSync
from falcon.asgi import Response

from estimatesync_api.core.ports import LogPart, SyncStore
from estimatesync_api.core.problems import ApiError, Problem, StoreUnavailableError
from estimatesync_api.request import Request, Resource
from estimatesync_api.syncs import require_found, require_sync_name
from estimatesync_api.waiter import Pause

POLL_SECONDS: Final = 1.0

_logger: Final = logging.getLogger(__name__)


class LogResource(Resource):
    """GET: the log, as plain text. Reads on in small parts, so that a reader costs no more than the part at hand."""

    def __init__(self, store: SyncStore, *, pause: Pause) -> None:
        self._store = store
        self._pause = pause

    async def on_get(self, req: Request, resp: Response, sync_id: str) -> None:
        """Show the log; `follow=true` goes on until the sync has ended."""
        is_followed = parse_follow(req.params.get("follow", ""))
        sync = require_found(await self._store.fetch(require_sync_name(sync_id)), req)
        # Read before the answer begins: a log that cannot be read now is a 503 and not half an answer.
        first = await self._store.read_log_part(sync, None)
        resp.content_type = falcon.MEDIA_TEXT
        resp.cache_control = ("no-store",)
        # A proxy that collects the answer would hold a followed log back.
        resp.set_header("X-Accel-Buffering", "no")
        reading = _Reading(self._store, sync, first)
        resp.stream = reading.follow(self._pause) if is_followed else reading.read_on()


def parse_follow(value: str | list[str]) -> bool:
    """Read the parameter.

    Raises:
        ApiError: It is neither true nor false: a log that stops where it was to be followed would mislead.
    """
    text = value if isinstance(value, str) else value[-1]
    if text not in {"true", "false", ""}:
        raise ApiError(Problem.INVALID_REQUEST, "follow: send true or false")
    return text == "true"


class _Reading:
    """One reader of one log, and how far it is."""

    def __init__(self, store: SyncStore, sync: EstimateSync, first: LogPart) -> None:
        self._store = store
        self._sync = sync
        self._part = first

    async def read_on(self) -> AsyncIterator[bytes]:
        """Yield all there is now."""
        while self._part.lines:
            yield _encode(self._part.lines)
            self._part = await self._store.read_log_part(self._sync, self._part.cursor)

    async def follow(self, pause: Pause) -> AsyncIterator[bytes]:
        """Yield all there is until the sync has ended, through times when the log cannot be read."""
        while True:
            # Asked before reading: what is printed before the end is then still read.
            is_over = await self._is_over()
            try:
                async for lines in self.read_on():
                    yield lines
                self._part = await self._store.read_log_part(self._sync, self._part.cursor)
            except StoreUnavailableError as error:
                _logger.warning("sync=%s its log cannot be read for now: %s", self._sync.name, error)
                is_over = False
                self._part = LogPart(cursor=self._part.cursor)
            if is_over and not self._part.lines:
                return
            await pause(0 if self._part.lines else POLL_SECONDS)

    async def _is_over(self) -> bool:
        try:
            if self._sync.name not in await self._store.find_ended({self._sync.name}):
                return False
            # That was a hint; what follows is certain.
            found = await self._store.fetch(self._sync.name)
        except StoreUnavailableError:
            return False
        return found is None or found.is_finished or found.uid != self._sync.uid


def _encode(lines: tuple[str, ...]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="replace")
