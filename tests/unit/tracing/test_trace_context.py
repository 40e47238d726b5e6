import pytest
from estimatesync_tracing.context import TraceContext, format_traceparent, parse_traceparent

VALID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CONTEXT = TraceContext(trace_id=0x0AF7651916CD43DD8448EB211C80319C, span_id=0xB7AD6B7169203331, is_sampled=True)


@pytest.mark.parametrize(
    ("text", "is_sampled"),
    [
        pytest.param(VALID, True, id="recorded"),
        pytest.param(f" {VALID}\n", True, id="with blanks around it"),
        pytest.param(VALID[:-2] + "00", False, id="not recorded"),
        pytest.param(VALID[:-2] + "03", True, id="with a flag of a later level"),
        pytest.param(f"01{VALID[2:]}-more", True, id="of a later version, with more"),
    ],
)
def test_a_traceparent_is_read_as_its_specification_says(text: str, is_sampled: bool) -> None:  # noqa: FBT001 - a column
    context = parse_traceparent(text)

    assert context is not None
    assert (context.trace_id, context.span_id, context.is_sampled) == (CONTEXT.trace_id, CONTEXT.span_id, is_sampled)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="nothing"),
        pytest.param(f"ff{VALID[2:]}", id="the forbidden version"),
        pytest.param(f"{VALID}-more", id="more than this version has"),
        pytest.param(VALID.upper(), id="capitals"),
        pytest.param(f"00-{'0' * 32}-b7ad6b7169203331-01", id="no trace"),
        pytest.param(f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", id="no span"),
        pytest.param(VALID.replace("7", "\N{ARABIC-INDIC DIGIT SEVEN}"), id="digits of another script"),
        pytest.param(f"{VALID}\r\nX-Other: header", id="a line break"),
    ],
)
def test_anything_else_is_as_good_as_none(text: str | None) -> None:
    assert parse_traceparent(text) is None


def test_what_is_written_is_what_was_read() -> None:
    assert format_traceparent(CONTEXT) == VALID
    assert parse_traceparent(VALID) == CONTEXT
