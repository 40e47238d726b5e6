"""Turns the host of a callback URL into addresses, without letting slow name servers hold up who asks for other names.

The sender calls it once per attempt. Hundreds of callbacks for one dead host share a single look-up, and so take one
thread; the system's resolver blocks a thread for as long as it likes.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

_THREADS: Final = 32

Ask = Callable[..., list[tuple[Any, ...]]]
"""Like socket.getaddrinfo."""


class SharedLookups:
    """A Resolve. Nothing is remembered: a look-up is shared only by those who ask while it is under way."""

    def __init__(self, ask: Ask = socket.getaddrinfo) -> None:
        """Ask the system's resolver, or another."""
        self._ask = ask
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="lookup")
        self._under_way: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Look a host up; the resolver's order is kept: best address first.

        Raises:
            OSError: It has no address, or nobody knows.
        """
        key = host, port
        lookup = self._under_way.get(key)
        if lookup is None:
            loop = asyncio.get_running_loop()
            lookup = self._under_way[key] = loop.run_in_executor(self._threads, self._look_up, host, port)
            lookup.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(lookup)

    def _look_up(self, host: str, port: int) -> Sequence[str]:
        found = self._ask(host, port, type=socket.SOCK_STREAM)
        return [str(address[0]) for *_, address in found]

    def _end(self, key: tuple[str, int], done: asyncio.Future[Sequence[str]]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # Whoever asked may have given up; that nobody looks at the error is no defect.
