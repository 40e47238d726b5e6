"""Puts the API together: addresses, key check, and one way for every error to become JSON."""

import asyncio
import logging
import secrets
import string
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import falcon
import falcon.asgi
import falcon.media
import msgspec
from estimatesync_contract.names import START_PATH, START_PATH_ALIAS, SYNCS_PATH
from estimatesync_tracing.setup import NO_TRACER
from estimatesync_tracing.spans import Tracer

from estimatesync_api.document_resources import DocsResource, OpenApiResource
from estimatesync_api.gate import Gate
from estimatesync_api.health_resources import HealthResource, MetricsResource, ReadyResource
from estimatesync_api.key_ring import KeyRing
from estimatesync_api.log_resource import LogResource
from estimatesync_api.metrics import ApiMetrics
from estimatesync_api.middleware import AccessLog, KeyCheck, Lifespan
from estimatesync_api.ports import SyncStore
from estimatesync_api.problems import (
    ApiError,
    Problem,
    build_problem_headers,
    map_exception,
    map_status,
    to_problem_body,
)
from estimatesync_api.request_tracing import RequestTracing, SpanBeginning
from estimatesync_api.settings import Settings
from estimatesync_api.start_resource import StartResource
from estimatesync_api.status_page.routes import add_status_page
from estimatesync_api.sync_resources import CancelResource, RedeliverResource, SyncListResource, SyncResource
from estimatesync_api.sync_starter import SyncStarter
from estimatesync_api.waiting import Pause, WaitingRoom

Asgi = falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]

TOKEN_LENGTH: Final = 8

_logger: Final = logging.getLogger(__name__)


def read_clock() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def create_token() -> str:
    """Draw the random part of a sync's name."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(TOKEN_LENGTH))


def create_app(
    settings: Settings,
    store: SyncStore,
    *,
    clock: Callable[[], datetime] = read_clock,
    token: Callable[[], str] = create_token,
    pause: Pause = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    tracer: Tracer = NO_TRACER,
) -> Asgi:
    """Create the ASGI application.

    Args:
        settings: What the deployment chose.
        store: Keeps the syncs; opened and closed by the application, once in each server process.
        clock: Gives the current time, aware.
        token: Gives a few random characters of `a-z0-9`.
        pause: Sleeps between two looks at syncs that callers wait for.
        monotonic: Seconds of a steady clock, for what is limited per time.
        tracer: Tells what happens to requests; opened and closed like the store.

    Raises:
        SettingsError: A file of keys cannot be used.
    """
    metrics = ApiMetrics()
    waiting = WaitingRoom(store, pause=pause)
    ring = KeyRing(settings.keys)
    gate = Gate(ring.find, requests_per_minute=settings.requests_per_minute, monotonic=monotonic)
    starter = SyncStarter(store, metrics, token=token, repeated_requests=settings.repeated_requests, tracer=tracer)
    app: Asgi = falcon.asgi.App()
    if tracer.is_on:
        app.add_middleware(RequestTracing(tracer))
    app.add_middleware(AccessLog(metrics))
    app.add_middleware(KeyCheck(gate, metrics, trusted_proxies=settings.trusted_proxies))
    app.add_middleware(Lifespan(store, waiting))
    _configure(app)
    start = StartResource(
        store,
        starter,
        waiting,
        time_zone=settings.time_zone,
        foreground_seconds=settings.foreground_seconds,
        clock=clock,
    )
    app.add_route(START_PATH, start)
    app.add_route(START_PATH_ALIAS, start)
    _add_sync_routes(app, store, settings, clock=clock, token=token, pause=pause)
    app.add_route("/healthz", HealthResource())
    app.add_route("/readyz", ReadyResource(store))
    app.add_route("/metrics", MetricsResource(metrics))
    app.add_route("/openapi.json", OpenApiResource())
    app.add_route("/docs", DocsResource())
    if settings.has_status_page:
        add_status_page(app, settings, store, starter, ring=ring, gate=gate, metrics=metrics, clock=clock, pause=pause)
    if tracer.is_on:
        app.add_middleware(SpanBeginning(tracer))
    return app


def _configure(app: Asgi) -> None:
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = falcon.media.JSONHandler(dumps=msgspec.json.encode)
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(Exception, _answer_exception)
    app.add_error_handler(falcon.HTTPError, _answer_http_error)


def _add_sync_routes(
    app: Asgi,
    store: SyncStore,
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    token: Callable[[], str],
    pause: Pause,
) -> None:
    one = f"{SYNCS_PATH}/{{sync_id}}"
    app.add_route(SYNCS_PATH, SyncListResource(store, time_zone=settings.time_zone))
    app.add_route(one, SyncResource(store))
    app.add_route(f"{one}/logs", LogResource(store, pause=pause))
    app.add_route(f"{one}/cancel", CancelResource(store))
    app.add_route(f"{one}/redeliver", RedeliverResource(store, clock=clock, token=token))


async def _answer_exception(
    req: falcon.asgi.Request, resp: falcon.asgi.Response, error: Exception, _params: dict[str, Any]
) -> None:
    answer = map_exception(error)
    if answer.problem is Problem.INTERNAL_ERROR:
        _logger.error("sync=%s unexpected error", req.context.sync_id or "-", exc_info=error)
    elif answer is not error:
        _logger.warning("sync=%s %s: %s", req.context.sync_id or "-", answer.problem.code, error)
    _answer(req, resp, answer)


async def _answer_http_error(
    req: falcon.asgi.Request, resp: falcon.asgi.Response, error: falcon.HTTPError, _params: dict[str, Any]
) -> None:
    # The framework's headers matter: Allow for a wrong method.
    resp.set_headers(error.headers or {})
    _answer(req, resp, map_status(error.status_code))


def _answer(req: falcon.asgi.Request, resp: falcon.asgi.Response, answer: ApiError) -> None:
    resp.status = answer.problem.status
    resp.set_headers(dict(build_problem_headers(answer)))
    # The address decides who reads it: a program, or a person.
    if req.context.answer_as_page:
        req.context.answer_as_page(req, resp, answer)
    else:
        resp.media = to_problem_body(answer)
