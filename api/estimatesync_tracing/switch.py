"""Switches tracing on or off: the one place that imports OpenTelemetry, and only when a collector is named.

Called by each part's `main`.
"""

import os
from collections.abc import Callable

from estimatesync_tracing.no_tracer import NO_TRACER
from estimatesync_tracing.ports import Tracer
from estimatesync_tracing.settings import ENDPOINT, TracingSettings


def create_tracer(settings: TracingSettings, *, part: str, warn: Callable[[str], None]) -> Tracer:
    """Create the tracer of a part (`api`, `operator`, `sync`); `open` it where the spans come from.

    Whatever is wrong with tracing is told through `warn`, once, maybe from another thread, and costs the traces only.
    """
    if not settings.is_on:
        return NO_TRACER
    # OpenTelemetry's library reads the process's environment itself, and settings may come from a file.
    os.environ.update(settings.variables)
    try:
        from estimatesync_tracing.otel_setup import create_otel_tracer  # noqa: PLC0415 - it costs 0.1 s, when on

        return create_otel_tracer(part=part, target=settings.target, warn=warn)
    except ImportError:
        warn(f"{ENDPOINT} is set, but OpenTelemetry is not installed: no traces. Install estimatesync[tracing]")
    except Exception as error:  # noqa: BLE001 - no fault of tracing may keep a part from its work
        warn(f"tracing cannot be set up ({type(error).__name__}): no traces. Check the variables OTEL_…")
    return NO_TRACER
