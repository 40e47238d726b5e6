"""How often a caller may ask: a bucket of tokens for each, which fills up by itself. Pure: the time is given.

Kept in memory, so each server process counts for itself: with three of them a key has three times its limit. That is
enough to stop a scenario that runs wild, and needs no store that could be unavailable. For the arithmetic of one bucket
a library would bring more code than it saves.
"""

from dataclasses import dataclass
from typing import Final

MAX_BUCKETS: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """How many at once, and how many per second from then on."""

    burst: float
    per_second: float


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """What is left, and as of when (seconds of any steady clock)."""

    tokens: float
    at: float


def compute_level(bucket: Bucket | None, limit: RateLimit, now: float) -> float:
    """Compute how full a bucket is; an unknown one is full."""
    if bucket is None:
        return limit.burst
    return min(limit.burst, bucket.tokens + max(0.0, now - bucket.at) * limit.per_second)


class RateLimiter:
    """One bucket for each caller that has taken a token recently."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._buckets: dict[str, Bucket] = {}

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._buckets)

    def compute_wait(self, name: str, now: float) -> float:
        """Seconds until the caller may take a token; 0 if there is one now."""
        level = compute_level(self._buckets.get(name), self._limit, now)
        return max(0.0, 1 - level) / self._limit.per_second

    def take(self, name: str, now: float) -> float:
        """Take a token if there is one; returns the seconds to wait, 0 if it was taken."""
        wait = self.compute_wait(name, now)
        if not wait:
            level = compute_level(self._buckets.pop(name, None), self._limit, now)
            # Popped and put back, so that the oldest are in front.
            self._buckets[name] = Bucket(tokens=level - 1, at=now)
            self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        """Keep memory bounded, whatever callers do: a full bucket need not be remembered."""
        while self._buckets:
            name, bucket = next(iter(self._buckets.items()))
            is_full = compute_level(bucket, self._limit, now) >= self._limit.burst
            if not is_full and len(self._buckets) <= MAX_BUCKETS:
                break
            del self._buckets[name]
