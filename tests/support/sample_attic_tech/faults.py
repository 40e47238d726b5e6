"""What can go wrong on the way: faults that a test's `on_request` hook returns, and what each does to an answer.

A `Response` is a fault too: it takes the answer's place (a 429 with Retry-After, a 502 with HTML).
"""

from dataclasses import dataclass, replace
from typing import assert_never

from sample_attic_tech.messages import Response


@dataclass(frozen=True, kw_only=True)
class Reset:
    """The connection is reset and nothing is answered."""


@dataclass(frozen=True, kw_only=True)
class Truncate:
    """The true answer's headers arrive, then `after` bytes of its body, then the connection closes."""

    after: int = 0


@dataclass(frozen=True, kw_only=True)
class Delay:
    """The true answer, `seconds` late."""

    seconds: float


Fault = Response | Reset | Truncate | Delay


def apply_fault(fault: Fault | None, answer: Response) -> Response:
    """Build what is really sent in place of the true answer."""
    match fault:
        case None:
            return answer
        case Response():
            return fault
        case Reset():
            return replace(answer, is_reset=True)
        case Truncate(after=after):
            return replace(answer, cut_after=after)
        case Delay(seconds=seconds):
            return replace(answer, delay_seconds=answer.delay_seconds + seconds)
        case _:
            assert_never(fault)
