"""Puts the ids of the trace on every log line that is written within one, whichever logger writes it.

Installed by `main`s on their handlers, only while tracing is on: a JSON log shows them as fields, a text log behind
the sentence.
"""

import logging
from collections.abc import Iterable

from estimatesync_tracing.context import format_span_id, format_trace_id
from estimatesync_tracing.spans import Tracer

TRACE_ID = "trace_id"
SPAN_ID = "span_id"


class TraceFilter(logging.Filter):
    """Adds `trace_id` and `span_id` to records; lets every record pass."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def filter(self, record: logging.LogRecord) -> bool:
        context = self._tracer.find_current()
        if context is not None and not hasattr(record, TRACE_ID):
            record.trace_id = format_trace_id(context)
            record.span_id = format_span_id(context)
        return True


class TextTraceFormatter(logging.Formatter):
    """Writes as another formatter does, and the ids behind it."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        line = self._formatter.format(record)
        trace_id, span_id = getattr(record, TRACE_ID, None), getattr(record, SPAN_ID, None)
        return f"{line} {TRACE_ID}={trace_id} {SPAN_ID}={span_id}" if trace_id else line


def install_trace_fields(tracer: Tracer, handlers: Iterable[logging.Handler], *, as_text: bool) -> None:
    """Have every line of these handlers carry the ids, if tracing is on."""
    if not tracer.is_on:
        return
    for handler in handlers:
        handler.addFilter(TraceFilter(tracer))
        if as_text:
            handler.setFormatter(TextTraceFormatter(handler.formatter or logging.Formatter()))
