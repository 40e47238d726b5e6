"""How many requests may be in flight: from few to many while the server keeps up, and half as many once it does not.

Additive increase, multiplicative decrease, as TCP shares a line it knows nothing about
(https://www.rfc-editor.org/rfc/rfc5681).
"""

from typing import Final

import msgspec

FIRST: Final = 8
"""Requests at once to a server that nothing is known about: about as many as one browser makes."""

_QUICKEST_GROWTH: Final = 1.05
"""By how much the quickest time grows with each response, so that a lucky one does not set the measure forever."""

_QUEUED_RATIO: Final = 2.0
"""A response that takes this many times as long as the quickest has waited in a queue: more would only lengthen it."""


class ConcurrencyLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit at one moment.

    Attributes:
        bound: requests in flight at most, whatever happens.
        allowed: requests in flight now; its fraction is progress towards one more.
        quickest: seconds of the quickest recent response; None before the first.
        slowdowns: how often the limit has been halved. Until the first time each response allows one more.
    """

    bound: int
    allowed: float
    quickest: float | None = None
    slowdowns: int = 0


def build_limit(bound: int) -> ConcurrencyLimit:
    """Build the limit to start with."""
    return ConcurrencyLimit(bound=bound, allowed=float(min(FIRST, bound)))


def next_limit_after_response(limit: ConcurrencyLimit, *, seconds: float) -> ConcurrencyLimit:
    """Allow more after a response that did not queue: one more for each, or after a failure one more a round."""
    quickest = seconds if limit.quickest is None else min(seconds, limit.quickest * _QUICKEST_GROWTH)
    more = 0.0 if seconds > _QUEUED_RATIO * quickest else 1.0 / (limit.allowed if limit.slowdowns else 1.0)
    return msgspec.structs.replace(limit, quickest=quickest, allowed=min(limit.allowed + more, float(limit.bound)))


def next_limit_after_failure(limit: ConcurrencyLimit, *, slowdowns: int) -> ConcurrencyLimit:
    """Halve after a failed request, unless it was sent before the last halving: that failure has counted already.

    `slowdowns` is the limit's own when the request was sent.
    """
    if slowdowns != limit.slowdowns:
        return limit
    return msgspec.structs.replace(limit, allowed=max(1.0, limit.allowed / 2), slowdowns=limit.slowdowns + 1)
