"""Decides at the door who may come in: the key, what it may do, and how often. Called before anything else is read.

Guessing is slowed for each client address: after some wrong keys no further one is even looked at for a while. An
address from which a key has been used with success is still let in with that key, so that a stranger behind the same
address (Make.com's are shared by its customers) cannot lock a scenario out.
"""

import math
from collections.abc import Callable
from typing import Final

from estimatesync_api.allowances import Allowance, Buckets
from estimatesync_api.keys import ApiKey
from estimatesync_api.problems import ApiError, Problem

GUESSES: Final = Allowance(burst=10, per_second=1 / 6)
_OUT_OF_REACH: Final = 1e9
"""Requests per minute of somebody without a limit."""
_MOST_ACQUAINTANCES: Final = 10_000
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


FindKey = Callable[[str], ApiKey | None]
"""Finds the valid key that is presented."""


class Gate:
    """One for each server process."""

    def __init__(self, find: FindKey, *, requests_per_minute: int, monotonic: Callable[[], float]) -> None:
        self._find = find
        self._monotonic = monotonic
        self._guesses = Buckets(GUESSES)
        most = requests_per_minute or _OUT_OF_REACH
        self._requests = Buckets(Allowance(burst=most, per_second=most / 60))
        self._acquaintances: dict[tuple[str, bytes], None] = {}

    def admit(self, *, presented: str, method: str, client: str) -> ApiKey:
        """Let a request in, and say with which key.

        Raises:
            ApiError: It is not to be answered, or not now.
        """
        if not presented:
            raise ApiError(Problem.KEY_MISSING)
        key = self._check_key(presented, client)
        self.let_pass(key, method=method)
        return key

    def let_pass(self, key: ApiKey, *, method: str) -> None:
        """Let a request in whose key is known to be valid: the key of a session, for one.

        Raises:
            ApiError: The key may not do this, or not now.
        """
        if key.is_read_only and method not in _READING:
            raise ApiError(Problem.KEY_READ_ONLY)
        wait = self._requests.take(key.name, self._monotonic())
        if wait:
            raise ApiError(Problem.TOO_MANY_REQUESTS, retry_after=math.ceil(wait))

    def _check_key(self, presented: str, client: str) -> ApiKey:
        key = self._find(presented)
        now = self._monotonic()
        acquaintance = (client, key.digest) if key else None
        wait = self._guesses.compute_wait(client, now)
        if wait and acquaintance not in self._acquaintances:
            raise ApiError(Problem.TOO_MANY_GUESSES, retry_after=math.ceil(wait))
        if key is None or acquaintance is None:
            self._guesses.take(client, now)
            raise ApiError(Problem.KEY_WRONG)
        self._remember(acquaintance)
        return key

    def _remember(self, acquaintance: tuple[str, bytes]) -> None:
        self._acquaintances.pop(acquaintance, None)
        self._acquaintances[acquaintance] = None
        if len(self._acquaintances) > _MOST_ACQUAINTANCES:
            del self._acquaintances[next(iter(self._acquaintances))]
