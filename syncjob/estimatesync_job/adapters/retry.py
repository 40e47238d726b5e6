"""Sends a request again until it succeeds, or until another attempt makes no sense. `attic_tech` sends all through it.

Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. A Retry-After pauses all
requests of the conversation, and no attempt is made that would come after the sync must have ended.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from estimatesync_contract.backoff import compute_backoff
from estimatesync_contract.timestamps import parse_retry_after

from estimatesync_job.core.errors import SourceUnavailableError, TransientSourceError
from estimatesync_job.core.ports import Log

T = TypeVar("T")


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a request's retries, in seconds; by default about half a minute, up to a minute, of trying.

    `longest_retry_after` applies only while it is not known how long the sync may take.
    """

    attempts: int = 7
    first_delay: float = 1.0
    longest_delay: float = 30.0
    longest_retry_after: float = 120.0


def compute_retry_delay(
    policy: RetryPolicy, *, failures: int, jitter: float, retry_after: float | None, remaining: float
) -> float | None:
    """Compute the seconds until the next attempt; None when that would be too late.

    Args:
        policy: the bounds.
        failures: how often the request has failed so far, from 1.
        jitter: a random number from 0 to 1.
        retry_after: the seconds that the server asked for, 0 or more; jitter is only added to them.
        remaining: the seconds until the sync must have ended; infinite when there is no such time.
    """
    if retry_after is None:
        delay = jitter * compute_backoff(failures, first=policy.first_delay, longest=policy.longest_delay)
    else:
        longest = policy.longest_retry_after if math.isinf(remaining) else math.inf
        delay = min(retry_after, longest) + jitter * policy.first_delay
    return delay if delay < remaining else None


class Retries:
    """The retries of one conversation.

    Attributes:
        clock: the server's clock, once it is known; a Retry-After date is counted from it.
    """

    def __init__(self, policy: RetryPolicy, *, log: Log, seconds: float) -> None:
        """Begin; `seconds` from now the sync must have ended."""
        self.clock: datetime | None = None
        self._policy: Final = policy
        self._log: Final = log
        self._deadline: Final = asyncio.get_running_loop().time() + seconds
        self._paused_until = 0.0

    async def run(self, what: str, send: Callable[[], Awaitable[T]]) -> T:
        """Send something until it succeeds.

        Raises:
            SourceUnavailableError: The last attempt failed, or the next would come too late.
        """
        failures = 0
        while True:
            await self.wait_while_paused()
            try:
                return await send()
            except TransientSourceError as error:
                failures += 1
                if failures == self._policy.attempts:
                    raise SourceUnavailableError(
                        f"Attic Tech is not available. {what} failed {failures} times, at last with: {error}."
                    ) from error
                await self._wait_before_next(what, failures, error)

    async def _wait_before_next(self, what: str, failures: int, error: TransientSourceError) -> None:
        retry_after = parse_retry_after(error.retry_after, now=self.clock or datetime.now(UTC))
        jitter = random.random()  # noqa: S311 - spreads load, guards nothing
        now = asyncio.get_running_loop().time()
        delay = compute_retry_delay(
            self._policy,
            failures=failures,
            jitter=jitter,
            retry_after=None if retry_after is None else retry_after.total_seconds(),
            remaining=self._deadline - now,
        )
        if delay is None:
            raise SourceUnavailableError(
                f"Attic Tech is not available. {what} failed ({error}), and by the time it may be asked again this "
                "sync must have ended. Raise timeoutSeconds, or sync again later."
            ) from error
        message = (
            f"⏳ [SYNC] {what} failed ({error}). Attempt {failures + 1} of {self._policy.attempts} in {delay:.1f} s"
        )
        self._log.write("retrying", message, level="warning", failures=failures, delay_seconds=round(delay, 3))
        if retry_after is not None:
            self._paused_until = max(self._paused_until, now + delay)
        await asyncio.sleep(delay)

    async def wait_while_paused(self) -> None:
        """Wait out a Retry-After: a server that asked one request to wait means all of them."""
        await asyncio.sleep(max(0.0, self._paused_until - asyncio.get_running_loop().time()))
