"""How many connections an address may hold, and which one gives way to the next. Pure: it opens and closes none.

A connection costs memory and a file descriptor before it has sent anything. Without a bound, one client that begins
requests and finishes none takes all that there are.
"""

from collections.abc import Callable
from typing import Final, Protocol

from estimatesync_api.core.access import UNKNOWN_CLIENT, compute_client

IS_PROXY: Final = "estimatesync.is_proxy"
"""In the state that server and application share: tells of a peer's address whether it is a trusted proxy's."""

MAX_PER_ADDRESS: Final = 1000
MAX_SHARE: Final = 4
"""One address may hold at most this part of the files that the process may open: a quarter."""

HEAD_SECONDS: Final = 15.0
"""For the head of a connection's first request, from its first byte; later ones have what is left of the time between
requests, which is also how long the first byte may take."""


class Connection(Protocol):
    """What is known of a connection."""

    @property
    def is_waiting(self) -> bool:
        """No request of it is under way: nobody loses an answer if it is closed."""
        ...


def compute_bound(open_files: int) -> int:
    """How many connections one address may hold, where the process may open so many files."""
    return max(1, min(MAX_PER_ADDRESS, open_files // MAX_SHARE))


class ConnectionLimiter:
    """Knows the connections of a server process. Trusted proxies, and peers without an address, have no bound."""

    def __init__(self, bound: int, *, is_proxy: Callable[[str], bool]) -> None:
        self._bound = bound
        self._is_proxy = is_proxy
        self._by_address: dict[str, dict[Connection, None]] = {}

    def admit(self, connection: Connection, peer: str) -> Connection | None:
        """Admit a connection; returns the one to close: an older one that only waits, or this one, or none."""
        address = compute_client(peer, (), ())
        if address == UNKNOWN_CLIENT or self._is_proxy(peer):
            return None
        held = self._by_address.setdefault(address, {})
        closed = None
        if len(held) >= self._bound:
            closed = next((each for each in held if each.is_waiting), connection)
            held.pop(closed, None)
        if closed is not connection:
            held[connection] = None
        return closed

    def forget(self, connection: Connection, peer: str) -> None:
        """Forget a connection that is closed; it need not be known."""
        address = compute_client(peer, (), ())
        held = self._by_address.get(address, {})
        held.pop(connection, None)
        if not held:
            self._by_address.pop(address, None)
