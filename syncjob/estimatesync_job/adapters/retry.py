"""Sends a request again until it succeeds, or until another attempt makes no sense. `attic_tech` sends all through it.

A Retry-After pauses all requests of the session, and no attempt is made that would come after the sync must have
ended.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from estimatesync_contract import log_lines
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.timestamps import parse_retry_after

from estimatesync_job.core.errors import SourceUnavailableError, TransientSourceError
from estimatesync_job.core.ports import Log
from estimatesync_job.core.retry_delay import RetryPolicy, compute_retry_delay

T = TypeVar("T")


class Retries:
    """The retries of one session.

    Attributes:
        clock: the server's clock, once it is known; a Retry-After date is counted from it.
    """

    def __init__(self, policy: RetryPolicy, *, log: Log, ends_at: float) -> None:
        """Begin; by the loop's clock, the sync must have ended at `ends_at`."""
        self.clock: datetime | None = None
        self._policy: Final = policy
        self._log: Final = log
        self._deadline: Final = ends_at
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
                answer = await send()
            except TransientSourceError as error:
                failures += 1
                if failures == self._policy.attempts:
                    raise _build_end(what, failures, error) from error
                await self._wait_before_next(what, failures, error)
            else:
                if failures:
                    message = log_lines.format_answered_again(what, attempt=failures + 1)
                    self._log.write("answered_again", message, attempts=failures + 1)
                return answer

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
                "sync must have ended. Raise timeoutSeconds, or sync again later.",
                cause=SpecificCause.SOURCE_LATE,
            ) from error
        message = log_lines.format_retry(
            what,
            str(error),
            attempt=failures + 1,
            attempts=self._policy.attempts,
            seconds=delay,
            at=datetime.now(UTC) + timedelta(seconds=delay),
            cause=error.cause,
        )
        self._log.write("retrying", message, level="warning", failures=failures, delay_seconds=round(delay, 3))
        if retry_after is not None:
            self._paused_until = max(self._paused_until, now + delay)
        await asyncio.sleep(delay)

    async def wait_while_paused(self) -> None:
        """Wait out a Retry-After: a server that asked one request to wait means all of them."""
        await asyncio.sleep(max(0.0, self._paused_until - asyncio.get_running_loop().time()))


def _build_end(what: str, failures: int, last: TransientSourceError) -> SourceUnavailableError:
    cure = f" {last.cause.cure}." if last.cause else ""
    message = f"Attic Tech is not available: {last}.{cure} {what} failed {failures} times."
    return SourceUnavailableError(message, cause=last.cause)
