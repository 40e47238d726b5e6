"""What the commands need of the world, so that tests can stand in for it. Nothing here does anything."""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from estimatesync_client.answers import Acted, Started, Sync, SyncPage


class StartQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a start asks for; the days as `YYYY-MM-DD`, absent ones are the server's to choose."""

    start_date: str | None = None
    end_date: str | None = None
    idempotency_key: str


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which syncs are asked for, newest first; instants and days as the API takes them."""

    limit: int = 20
    statuses: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    cursor: str | None = None


class Server(Protocol):
    """The API. Every method raises ClientError; what may pass by itself is tried again for a while before that."""

    def start(self, query: StartQuery) -> Started:
        """Start a sync, once, however often the request has to be sent."""
        ...

    def fetch_sync(self, sync_id: str, *, patience: float | None = None) -> Sync:
        """Read one sync; `patience` is for how many seconds a server that is away is asked again."""
        ...

    def fetch_page(self, query: ListQuery) -> SyncPage:
        """Read some syncs."""
        ...

    def fetch_log(self, sync_id: str) -> str:
        """Read what a sync has printed so far."""
        ...

    def follow_log(self, sync_id: str) -> Iterator[str]:
        """Read the log from its beginning, in pieces, until the server ends it; a break raises UnavailableError."""
        ...

    def cancel(self, sync_id: str) -> Acted:
        """Ask that a sync stops."""
        ...

    def redeliver(self, sync_id: str) -> Acted:
        """Ask that the callback of a finished sync is sent again."""
        ...


class WaitView(Protocol):
    """Shows how a sync goes on while somebody waits."""

    def show(self, sync: Sync) -> None:
        """Show its newest state."""
        ...
