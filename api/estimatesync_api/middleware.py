"""What happens around every request: the key check, one access line, and the life of the store."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from falcon.asgi import Request, Response

from estimatesync_api.client_address import Network, compute_client
from estimatesync_api.gate import Gate
from estimatesync_api.keys import HEADER
from estimatesync_api.metrics import ApiMetrics
from estimatesync_api.ports import SyncStore
from estimatesync_api.problems import ApiError, Problem
from estimatesync_api.waiting import CLOSE_WAITING_ROOM, WaitingRoom

_logger: Final = logging.getLogger("estimatesync_api.access")


class KeyCheck:
    """Lets a request through to any resource only with a key, before its body is looked at.

    A resource is open to everyone only if it says `is_public = True`; the status page has a door of its own.
    """

    def __init__(self, gate: Gate, metrics: ApiMetrics, *, trusted_proxies: tuple[Network, ...]) -> None:
        self._gate = gate
        self._metrics = metrics
        self._trusted_proxies = trusted_proxies

    async def process_resource(self, req: Request, _resp: Response, resource: object, _params: dict[str, Any]) -> None:
        """Find out who asks, and whether that is welcome.

        Raises:
            ApiError: The key is missing or wrong, may not do this, or has been used too often.
        """
        if getattr(resource, "is_public", False) or getattr(resource, "is_page", False):
            return
        client = compute_client(req.remote_addr, req.get_header("X-Forwarded-For") or "", self._trusted_proxies)
        presented = (req.get_header(HEADER) or "").strip()
        try:
            key = self._gate.admit(presented=presented, method=req.method, client=client)
        except ApiError as error:
            self._record(error.problem)
            raise
        req.context.key_name = key.name

    def _record(self, problem: Problem) -> None:
        if problem in {Problem.TOO_MANY_REQUESTS, Problem.TOO_MANY_GUESSES}:
            self._metrics.record_limited(problem.code)
        else:
            self._metrics.record_stranger(problem.code)


class AccessLog:
    """One line and one number for each answer; the query is left out, because people put secrets there."""

    def __init__(self, metrics: ApiMetrics) -> None:
        self._metrics = metrics

    async def process_request(self, req: Request, _resp: Response) -> None:
        """Note the time, and that nothing is known about the request yet."""
        req.context.started = time.perf_counter()
        req.context.key_name = None
        req.context.sync_id = None
        req.context.is_routine = False
        req.context.answer_as_page = None

    async def process_response(self, req: Request, resp: Response, resource: object, _succeeded: bool) -> None:  # noqa: FBT001 - Falcon passes it by position
        """Say what was asked, by whom, and what the answer was.

        Probes and the looks of an open page that pass are not worth a line.
        """
        seconds = time.perf_counter() - req.context.started
        self._metrics.record_request(
            method=req.method, route=req.uri_template, status=resp.status_code, seconds=seconds
        )
        is_routine = getattr(resource, "is_public", False) or req.context.is_routine
        if is_routine and resp.status_code < 400:  # noqa: PLR2004 - HTTP's own boundary
            return
        _logger.info(
            "%s %s -> %s in %.1f ms sync=%s key=%s",
            req.method,
            # A path may hold any decoded character, a line break as well.
            req.path.encode("unicode_escape").decode(),
            resp.status_code,
            seconds * 1000,
            req.context.sync_id or "-",
            req.context.key_name or "-",
        )


class Lifespan:
    """Opens the store when a server process starts, and closes it at its end; shows the server the waiting room."""

    def __init__(self, store: SyncStore, waiting: WaitingRoom) -> None:
        self._store = store
        self._waiting = waiting

    async def process_startup(self, scope: Mapping[str, Any], _event: Mapping[str, Any]) -> None:
        """Run once, before the first request."""
        if "state" in scope:
            scope["state"][CLOSE_WAITING_ROOM] = self._waiting.close_after
        await self._store.open()

    async def process_response(self, _req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:  # noqa: FBT001 - Falcon passes it by position
        """Say that the connection closes, once the process has been told to end, so that no request is sent into it."""
        if self._waiting.is_told_to_close:
            resp.set_header("Connection", "close")

    async def process_shutdown(self, _scope: Mapping[str, Any], _event: Mapping[str, Any]) -> None:
        """Run once, after the last request."""
        await self._store.close()
