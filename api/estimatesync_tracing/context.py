"""A place in a trace, and how it travels: as the header, annotation or variable `traceparent`. Pure.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from typing import Final

import msgspec

TRACEPARENT_HEADER: Final = "traceparent"

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED: Final = 1


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """A span, and the trace that it is part of.

    Attributes:
        trace_id: 128 bits, not zero.
        span_id: 64 bits, not zero.
        is_sampled: whether the trace is recorded, as was decided where it began.
    """

    trace_id: int
    span_id: int
    is_sampled: bool


def parse_traceparent(text: str | None) -> TraceContext | None:
    """Read a `traceparent`; None for anything that the specification calls invalid.

    What a later version adds behind the flags is not looked at.
    """
    match = _TRACEPARENT.fullmatch(text.strip()) if text else None
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    context = TraceContext(
        trace_id=int(match[2], 16), span_id=int(match[3], 16), is_sampled=bool(int(match[4], 16) & _SAMPLED)
    )
    return context if context.trace_id and context.span_id else None


def format_traceparent(context: TraceContext) -> str:
    """Write a `traceparent`: `00-<trace id>-<span id>-01`."""
    return f"00-{format_trace_id(context)}-{format_span_id(context)}-{int(context.is_sampled):02x}"


def format_trace_id(context: TraceContext) -> str:
    """Write the trace's id as people look it up: 32 hexadecimal digits."""
    return f"{context.trace_id:032x}"


def format_span_id(context: TraceContext) -> str:
    """Write the span's id: 16 hexadecimal digits."""
    return f"{context.span_id:016x}"
