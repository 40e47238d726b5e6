import logging

import pytest
from estimatesync_tracing.context import TraceContext
from estimatesync_tracing.log_fields import install_trace_fields
from estimatesync_tracing.settings import TracingSettings
from estimatesync_tracing.setup import NO_TRACER, create_tracer
from estimatesync_tracing.spans import Tracer

CONTEXT = TraceContext(trace_id=0xA, span_id=0xB, is_sampled=True)


class Collector(logging.Handler):
    """Keeps what passes, formatted."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        self.records: list[logging.LogRecord] = []
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.lines.append(self.format(record))


@pytest.fixture
def tracer() -> Tracer:
    """Never opened, so it sends nothing."""
    return create_tracer(TracingSettings(target="http://nowhere.test"), part="api", warn=pytest.fail)


def write(handler: Collector) -> None:
    handler.handle(logging.makeLogRecord({"levelname": "INFO", "msg": "words"}))


def test_a_line_within_a_span_has_its_ids_as_fields(tracer: Tracer) -> None:
    handler = Collector()
    install_trace_fields(tracer, [handler], as_text=False)

    with tracer.span("x", parent=CONTEXT):
        current = tracer.find_current()
        write(handler)

    assert current is not None
    (record,) = handler.records
    assert (vars(record)["trace_id"], vars(record)["span_id"]) == (f"{0xA:032x}", f"{current.span_id:016x}")
    assert handler.lines == ["INFO words"]


def test_a_line_of_text_has_them_behind_the_sentence(tracer: Tracer) -> None:
    handler = Collector()
    install_trace_fields(tracer, [handler], as_text=True)

    with tracer.span("x", parent=CONTEXT):
        write(handler)

    assert handler.lines[0].startswith(f"INFO words trace_id={0xA:032x} span_id=")


@pytest.mark.parametrize("is_on", [pytest.param(True, id="no span"), pytest.param(False, id="tracing is off")])
def test_any_other_line_is_left_as_it_is(tracer: Tracer, is_on: bool) -> None:  # noqa: FBT001 - a column
    handler = Collector()
    install_trace_fields(tracer if is_on else NO_TRACER, [handler], as_text=True)

    write(handler)

    assert handler.lines == ["INFO words"]
    assert not hasattr(handler.records[0], "trace_id")
