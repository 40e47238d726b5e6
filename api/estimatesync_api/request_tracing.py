"""One span for each request that has been let in with a key, as part of the caller's trace if there is one.

Who has no key can neither fill the collector nor write into others' traces, whose ids a `traceparent` may name. The
rest of the API knows spans only as what is current. `main` creates the tracer; it is opened in each worker, after
gunicorn has forked.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

from estimatesync_tracing.context import TRACEPARENT_HEADER, parse_traceparent
from estimatesync_tracing.log_fields import install_trace_fields
from estimatesync_tracing.settings import TracingSettings
from estimatesync_tracing.setup import create_tracer
from estimatesync_tracing.spans import Attribute, SpanKind, Tracer
from falcon.asgi import Request, Response

_CLOSE_SECONDS: Final = 2.0
_SERVER_ERROR: Final = 500

_logger: Final = logging.getLogger(__name__)


def create_api_tracer(settings: TracingSettings) -> Tracer:
    """Create the tracer of the API, and have the log name traces."""
    tracer = create_tracer(settings, part="api", warn=_logger.warning)
    install_trace_fields(tracer, logging.getLogger().handlers, as_text=True)
    return tracer


class RequestTracing:
    """Falcon's middleware, the first of all, so that the line of the access log is part of the trace."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def process_startup(self, _scope: Mapping[str, Any], _event: Mapping[str, Any]) -> None:
        """Run once in each worker, before the first request."""
        self._tracer.open()

    async def process_shutdown(self, _scope: Mapping[str, Any], _event: Mapping[str, Any]) -> None:
        """Run once, after the last request."""
        await asyncio.to_thread(self._tracer.close, seconds=_CLOSE_SECONDS)

    async def process_request(self, req: Request, _resp: Response) -> None:
        """Note that there is no span yet."""
        req.context.tracing = None

    async def process_response(self, req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:  # noqa: FBT001 - Falcon passes it by position
        """End it with what the answer was, and for which sync."""
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
    """Falcon's middleware, the last of all: those before it have turned away whom they do not let in."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def process_resource(self, req: Request, _resp: Response, resource: object, _params: dict[str, Any]) -> None:
        """Begin a span; what everybody may see, and the looks of an open page, are not worth one."""
        is_open = getattr(resource, "is_public", False) or getattr(resource, "is_open", False)
        if is_open or req.context.is_routine:
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
