"""How long to wait before a request is sent again, and when that makes no sense any more.

Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
"""

import math

import msgspec
from estimatesync_contract.backoff import compute_backoff


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
