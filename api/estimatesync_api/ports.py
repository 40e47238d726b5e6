"""What the API needs from the place where syncs are kept; the cluster and the one-machine mode each provide it."""

from typing import Protocol

from estimatesync_contract.estimate_sync import EstimateSync


class StoreUnavailableError(Exception):
    """The store cannot take or answer this now: it is away, full, or not set up yet (rights, quota, definition).

    The same request may succeed later, so a caller is asked to come again. The message names no internal address.
    """


class SyncRefusedError(Exception):
    """This sync breaks a rule of the store and will never be taken as it is; the message says which."""


class SyncExistsError(Exception):
    """A sync of this name is stored already."""


class SyncStore(Protocol):
    """Keeps syncs. Opened and closed with the server process that uses it."""

    async def open(self) -> None:
        """Connect; must not fail when the store is away, only later calls do."""

    async def close(self) -> None:
        """Let go of every connection."""

    async def check(self) -> None:
        """Raise StoreUnavailableError unless a sync could be stored now."""

    async def create(self, sync: EstimateSync) -> EstimateSync:
        """Store a new sync under its name and answer it as stored, uid and creation time included.

        Raises:
            SyncExistsError: The name is taken.
            SyncRefusedError: The sync breaks a rule of the store.
            StoreUnavailableError: Nothing is known to be stored; with a chosen name, asking again is safe.
        """
        ...

    async def fetch(self, name: str) -> EstimateSync | None:
        """Read one sync; None when there is none of this name.

        Raises:
            StoreUnavailableError: The store cannot answer now.
        """
        ...

    async def read_log(self, sync: EstimateSync) -> tuple[str, ...]:
        """Read what the sync has printed so far, oldest line first; empty when there is nothing (any more)."""
        ...
