"""What happens around every request: access control, one access line, one span, and the life of the store.

A span is begun only for a request that presented a valid key: a caller without one can neither fill the collector nor
write into other people's traces, whose ids a `traceparent` may name. The rest of the API knows spans only as what is
current.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any, Final

from estimatesync_tracing.context import TRACEPARENT_HEADER, parse_traceparent
from estimatesync_tracing.log_fields import install_trace_fields
from estimatesync_tracing.settings import TracingSettings
from estimatesync_tracing.setup import create_tracer
from estimatesync_tracing.spans import Attribute, SpanKind, Tracer
from falcon.asgi import Response

from estimatesync_api.adapters.metrics import ApiMetrics
from estimatesync_api.core.access import HEADER, AccessControl, ApiKey, Network, is_trusted_peer, read_presented_key
from estimatesync_api.core.connections import IS_PROXY
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.request import Access, Request, find_client, get_access
from estimatesync_api.waiter import CLOSE_WAITER, SyncWaiter

_CLOSE_SECONDS: Final = 2.0
_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500
_NAMES_CLIENT: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
"""Whoever gets one of these must be found by somebody; of others the log keeps no address."""

_access_logger: Final = logging.getLogger("estimatesync_api.access")
_logger: Final = logging.getLogger(__name__)


def create_api_tracer(settings: TracingSettings) -> Tracer:
    """Create the tracer of the API, and have the log name traces.

    It is opened in each worker, after gunicorn has forked.
    """
    tracer = create_tracer(settings, part="api", warn=_logger.warning)
    install_trace_fields(tracer, logging.getLogger().handlers, as_text=True)
    return tracer


class Authentication:
    """Identifies the key of each request, and counts the requests that it refuses."""

    def __init__(self, access_control: AccessControl, metrics: ApiMetrics) -> None:
        self._access_control = access_control
        self._metrics = metrics

    def authenticate(self, *, presented: str, method: str, client: str) -> ApiKey:
        """Find the key.

        Raises:
            ApiError: The key is missing or wrong, may not do this, or has been used too often.
        """
        try:
            return self._access_control.authenticate(presented=presented, method=method, client=client)
        except ApiError as error:
            if error.problem in {Problem.TOO_MANY_REQUESTS, Problem.TOO_MANY_GUESSES}:
                self._metrics.record_limited(error.problem.code)
            else:
                self._metrics.record_unauthenticated(error.problem.code)
            raise


class KeyCheck:
    """Checks the key of a request before its body is read, unless its resource asks for something else."""

    def __init__(self, authentication: Authentication, *, trusted_proxies: tuple[Network, ...]) -> None:
        self._authentication = authentication
        self._trusted_proxies = trusted_proxies

    async def process_resource(self, req: Request, _resp: Response, resource: object, _params: dict[str, Any]) -> None:
        if get_access(resource) is not Access.KEY:
            return
        client = find_client(req, self._trusted_proxies)
        presented = read_presented_key(req.get_header(HEADER) or "")
        req.context.key_name = self._authentication.authenticate(
            presented=presented, method=req.method, client=client
        ).name


class AccessLog:
    """One line and one number for each answer; the query is left out, because people put secrets there."""

    def __init__(self, metrics: ApiMetrics, *, trusted_proxies: tuple[Network, ...]) -> None:
        self._metrics = metrics
        self._trusted_proxies = trusted_proxies

    async def process_request(self, req: Request, _resp: Response) -> None:
        req.context.started = time.perf_counter()

    async def process_response(self, req: Request, resp: Response, resource: object, _succeeded: bool) -> None:  # noqa: FBT001 - Falcon passes it by position
        """Log the request, its key's name and the answer; probes and polls of an open page only if they fail."""
        seconds = time.perf_counter() - req.context.started
        # Anyone may send any method to any address: only what was declared becomes a label.
        is_declared = hasattr(resource, f"on_{req.method.lower()}")
        method, route = (req.method, req.uri_template) if is_declared else (None, None)
        self._metrics.record_request(method=method, route=route, status=resp.status_code, seconds=seconds)
        is_routine = get_access(resource) is Access.PUBLIC or req.context.is_routine
        if is_routine and resp.status_code < _CLIENT_ERROR:
            return
        _access_logger.info(
            "%s %s -> %s in %.1f ms sync=%s key=%s%s",
            req.method,
            # A path may hold any decoded character, a line break as well.
            req.path.encode("unicode_escape").decode(),
            f"{resp.status_code} {req.context.problem}" if req.context.problem else resp.status_code,
            seconds * 1000,
            req.context.sync_id or "-",
            req.context.key_name or "-",
            f" client={find_client(req, self._trusted_proxies)}" if resp.status_code in _NAMES_CLIENT else "",
        )


class RequestTracing:
    """The first middleware of all, so that the line of the access log is part of the trace."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def process_startup(self, _scope: Mapping[str, Any], _event: Mapping[str, Any]) -> None:
        self._tracer.open()

    async def process_shutdown(self, _scope: Mapping[str, Any], _event: Mapping[str, Any]) -> None:
        await asyncio.to_thread(self._tracer.close, seconds=_CLOSE_SECONDS)

    async def process_response(self, req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:  # noqa: FBT001 - Falcon passes it by position
        """End the span with what the answer was, and for which sync."""
        if req.context.tracing is None:
            return
        stack, span = req.context.tracing
        span.note({Attribute.STATUS: resp.status_code})
        if req.context.sync_id:
            span.note({Attribute.SYNC_ID: req.context.sync_id})
        if resp.status_code >= _SERVER_ERROR:
            span.fail(str(resp.status_code))
        stack.close()


class SpanBeginning:
    """The last middleware of all: those before it have refused the requests without a valid key."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def process_resource(self, req: Request, _resp: Response, resource: object, _params: dict[str, Any]) -> None:
        """Begin a span, unless anyone may send this request, or an open page polls."""
        if get_access(resource) in {Access.PUBLIC, Access.SIGN_IN} or req.context.is_routine:
            return
        stack = ExitStack()
        span = stack.enter_context(
            self._tracer.span(
                f"{req.method} {req.uri_template}",
                kind=SpanKind.SERVER,
                parent=parse_traceparent(req.get_header(TRACEPARENT_HEADER)),
                attributes={Attribute.METHOD: req.method, Attribute.ROUTE: req.uri_template or ""},
            )
        )
        req.context.tracing = stack, span


class Lifespan:
    """Opens the store when a server process starts and closes it at its end; hands to the server what it must know."""

    def __init__(self, store: SyncStore, waiter: SyncWaiter, *, trusted_proxies: tuple[Network, ...]) -> None:
        self._store = store
        self._waiter = waiter
        self._trusted_proxies = trusted_proxies

    async def process_startup(self, scope: Mapping[str, Any], _event: Mapping[str, Any]) -> None:
        if "state" in scope:
            scope["state"][CLOSE_WAITER] = self._waiter.close_after
            scope["state"][IS_PROXY] = lambda peer: is_trusted_peer(peer, self._trusted_proxies)
        await self._store.open()

    async def process_response(self, _req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:  # noqa: FBT001 - Falcon passes it by position
        """Announce that the connection closes once the process must end, so that no request is sent into it."""
        if self._waiter.is_closing:
            resp.set_header("Connection", "close")

    async def process_shutdown(self, _scope: Mapping[str, Any], _event: Mapping[str, Any]) -> None:
        await self._store.close()
