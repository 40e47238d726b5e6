"""Sends spans as another exporter does, and says once at most that it cannot, however long a collector is away."""

from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from estimatesync_tracing.settings import ENDPOINT, HEADERS


class QuietExporter(SpanExporter):
    """Never raises."""

    def __init__(self, exporter: SpanExporter, *, target: str, warn: Callable[[str], None]) -> None:
        """Send through `exporter`; `target` is what people may read of its address."""
        self._exporter = exporter
        self._target = target
        self._warn = warn
        self._has_warned = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever it is, it costs the spans only
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.FAILURE and not self._has_warned:
            self._has_warned = True
            self._warn(
                f"traces cannot be delivered to {self._target} now; they are dropped until it takes them. "
                f"Check {ENDPOINT}, {HEADERS} and the way there"
            )
        return result

    def shutdown(self) -> None:
        """Stop trying."""
        self._exporter.shutdown()
