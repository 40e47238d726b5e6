"""The composition root: addresses, middleware, and one way for every error to become an answer."""

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

from estimatesync_api.adapters.key_store import KeyStore
from estimatesync_api.adapters.metrics import ApiMetrics
from estimatesync_api.core.access import AccessControl
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import (
    ApiError,
    Problem,
    build_problem_headers,
    map_exception,
    map_status,
)
from estimatesync_api.core.representation import to_problem_body
from estimatesync_api.core.sync_request import build_redelivery_token
from estimatesync_api.health import HealthResource, MetricsResource, ReadyResource
from estimatesync_api.logs import LogResource
from estimatesync_api.middleware import AccessLog, Authentication, KeyCheck, Lifespan, RequestTracing, SpanBeginning
from estimatesync_api.openapi.page import DocsResource, OpenApiResource
from estimatesync_api.request import Request
from estimatesync_api.settings import Settings
from estimatesync_api.start import StartResource, SyncStarter
from estimatesync_api.status_page.core.addresses import DOCS
from estimatesync_api.status_page.routes import add_status_page
from estimatesync_api.syncs import (
    CancelResource,
    RedeliverAllResource,
    RedeliverResource,
    SyncListResource,
    SyncResource,
)
from estimatesync_api.waiter import Pause, SyncWaiter

Asgi = falcon.asgi.App[Request, falcon.asgi.Response]

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
        pause: Sleeps between two polls for syncs that callers wait for.
        monotonic: Seconds of a steady clock, for what is limited per time.
        tracer: Records spans of requests; opened and closed like the store.

    Raises:
        SettingsError: A file of keys cannot be used.
    """
    metrics = ApiMetrics()
    waiter = SyncWaiter(store, pause=pause)
    key_store = KeyStore(settings.keys, report_faults=metrics.record_key_faults, monotonic=monotonic)
    access_control = AccessControl(key_store, requests_per_minute=settings.requests_per_minute, monotonic=monotonic)
    authentication = Authentication(access_control, metrics)
    starter = SyncStarter(store, metrics, token=token, repeated_requests=settings.repeated_requests, tracer=tracer)
    app: Asgi = falcon.asgi.App(request_type=Request)
    if tracer.is_on:
        app.add_middleware(RequestTracing(tracer))
    app.add_middleware(AccessLog(metrics, trusted_proxies=settings.trusted_proxies))
    app.add_middleware(KeyCheck(authentication, trusted_proxies=settings.trusted_proxies))
    app.add_middleware(Lifespan(store, waiter, trusted_proxies=settings.trusted_proxies))
    _configure(app)
    start = StartResource(
        store,
        starter,
        waiter,
        time_zone=settings.time_zone,
        foreground_seconds=settings.foreground_seconds,
        features=settings.features,
        clock=clock,
    )
    app.add_route(START_PATH, start)
    app.add_route(START_PATH_ALIAS, start)
    _add_sync_routes(app, store, settings, clock=clock, token=token, pause=pause)
    app.add_route("/healthz", HealthResource())
    app.add_route("/readyz", ReadyResource(store, monotonic=monotonic))
    app.add_route("/metrics", MetricsResource(metrics, refresh=key_store.refresh, monotonic=monotonic))
    app.add_route("/openapi.json", OpenApiResource())
    if settings.has_status_page:
        add_status_page(
            app,
            settings,
            store,
            starter,
            key_store=key_store,
            access_control=access_control,
            authentication=authentication,
            clock=clock,
            pause=pause,
        )
    else:
        app.add_route(DOCS, DocsResource())
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
    one, public_url = f"{SYNCS_PATH}/{{sync_id}}", settings.public_url
    app.add_route(SYNCS_PATH, SyncListResource(store, time_zone=settings.time_zone, public_url=public_url))
    app.add_route(one, SyncResource(store, has_page=settings.has_status_page, public_url=public_url))

    def name_request() -> str:
        return build_redelivery_token(clock(), token())

    redeliver_all = RedeliverAllResource(store, time_zone=settings.time_zone, token=name_request, pause=pause)
    app.add_route(f"{SYNCS_PATH}/redeliver", redeliver_all)
    app.add_route(f"{one}/logs", LogResource(store, pause=pause))
    app.add_route(f"{one}/cancel", CancelResource(store, public_url=public_url))
    redeliver = RedeliverResource(store, token=name_request, public_url=public_url)
    app.add_route(f"{one}/redeliver", redeliver)


async def _answer_exception(
    req: Request, resp: falcon.asgi.Response, error: Exception, _params: dict[str, Any]
) -> None:
    answer = map_exception(error)
    if answer.problem is Problem.INTERNAL_ERROR:
        _logger.error("sync=%s unexpected error", req.context.sync_id or "-", exc_info=error)
    elif answer is not error:
        _logger.warning("sync=%s %s: %s", req.context.sync_id or "-", answer.problem.code, error)
    _answer(req, resp, answer)


async def _answer_http_error(
    req: Request, resp: falcon.asgi.Response, error: falcon.HTTPError, _params: dict[str, Any]
) -> None:
    # The framework's headers matter: Allow for a wrong method.
    resp.set_headers(error.headers or {})
    _answer(req, resp, map_status(error.status_code))


def _answer(req: Request, resp: falcon.asgi.Response, answer: ApiError) -> None:
    resp.status = answer.problem.status
    req.context.problem = answer.problem.code
    resp.set_headers(dict(build_problem_headers(answer)))
    # The address decides who reads it: a program, or a person.
    if req.context.answer_as_page:
        req.context.answer_as_page(req, resp, answer)
    else:
        resp.media = to_problem_body(answer)
