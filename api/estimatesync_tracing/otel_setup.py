"""Sets OpenTelemetry up; `switch` imports it when tracing is on, nobody else does.

What the library reads from the environment itself, it is left to read. A collector that is away costs the spans only.
"""

import logging
import os
from collections.abc import Callable
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from estimatesync_tracing.otel_tracer import ChosenIds, OtelTracer
from estimatesync_tracing.quiet_exporter import QuietExporter

_SEND_SECONDS: Final = 1.0
"""How long a span waits for others at most: what a killed process takes with it is not more than that."""


def create_otel_tracer(*, part: str, target: str, warn: Callable[[str], None]) -> OtelTracer:
    """Create a tracer by the variables of the environment.

    Raises:
        Exception: A variable cannot be used; which, the library's own errors say.
    """
    _silence()
    ids = ChosenIds()
    provider = TracerProvider(resource=_build_resource(part), id_generator=ids, shutdown_on_exit=False)

    def create_processor() -> BatchSpanProcessor:
        exporter = OTLPSpanExporter(certificate_file=_find_authorities())
        delay = None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else _SEND_SECONDS * 1000
        return BatchSpanProcessor(QuietExporter(exporter, target=target, warn=warn), schedule_delay_millis=delay)

    return OtelTracer(provider, ids, create_processor=create_processor)


def _silence() -> None:
    """The library reports each failed try, with the address; one warning of our own says it all."""
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False


def _build_resource(part: str) -> Resource:
    """A name that a person gave wins."""
    given = Resource.create({SERVICE_NAMESPACE: "estimatesync"})
    is_named = not str(given.attributes[SERVICE_NAME]).startswith("unknown_service")
    return given if is_named else given.merge(Resource({SERVICE_NAME: f"estimatesync-{part}"}))


def _find_authorities() -> str | None:
    """Find the file that everybody else trusts: requests, which carries the spans, does not know its variable."""
    has_own = os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE")
    return None if has_own else os.environ.get("SSL_CERT_FILE") or None
