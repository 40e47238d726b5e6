"""How many requests may be in flight: from few to many while the server keeps up, and half as many once it does not.

Additive increase, multiplicative decrease, as TCP shares a line it knows nothing about
(https://www.rfc-editor.org/rfc/rfc5681). `request_gate` keeps to it.
"""

from typing import Final

import msgspec

FIRST: Final = 8
"""Requests at once to a server that nothing is known about: about as many as one browser makes."""

_FORGETTING: Final = 1.05
"""By how much the quickest time grows with each answer, so that one lucky answer is not the measure for ever."""

_TOLERATED: Final = 2.0
"""An answer that takes this many times the quickest one's time has waited in a queue: more would only lengthen it."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The pace at a moment.

    Attributes:
        bound: requests in flight at most, whatever happens.
        allowed: requests in flight now; its fraction is progress towards one more.
        quickest: seconds of the quickest answer of late; None before the first.
        slowdowns: how often it has been halved. Until the first time each answer allows one more.
    """

    bound: int
    allowed: float
    quickest: float | None = None
    slowdowns: int = 0


def build_pace(bound: int) -> Pace:
    """Build the pace of the start."""
    return Pace(bound=bound, allowed=float(min(FIRST, bound)))


def next_pace_after_answer(pace: Pace, *, seconds: float) -> Pace:
    """Allow more after an answer that came without queueing: one more each, or after trouble one more a round."""
    quickest = seconds if pace.quickest is None else min(seconds, pace.quickest * _FORGETTING)
    more = 0.0 if seconds > _TOLERATED * quickest else 1.0 / (pace.allowed if pace.slowdowns else 1.0)
    return msgspec.structs.replace(pace, quickest=quickest, allowed=min(pace.allowed + more, float(pace.bound)))


def next_pace_after_trouble(pace: Pace, *, slowdowns: int) -> Pace:
    """Halve after a failed request; those that were sent before the last halving (`slowdowns` then) tell no news."""
    if slowdowns != pace.slowdowns:
        return pace
    return msgspec.structs.replace(pace, allowed=max(1.0, pace.allowed / 2), slowdowns=pace.slowdowns + 1)
