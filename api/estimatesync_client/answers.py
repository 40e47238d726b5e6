"""The answers of the API as values. Pure; fields that this version does not know stay in the document.

Unlike the API's own types these are lenient: a newer server may know more, an older one less.
"""

from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from estimatesync_contract.status import Phase

from estimatesync_client.errors import StrangerError

SUCCEEDED: Final = Phase.SUCCEEDED.lower()
FAILED: Final = Phase.FAILED.lower()
CANCELLED: Final = Phase.CANCELLED.lower()
_FINAL: Final = frozenset(phase.lower() for phase in Phase if phase.is_final)

Document = dict[str, Any]
Shape = TypeVar("Shape")


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """The days that a sync covers, both included."""

    start_date: str
    end_date: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the fetch has come."""

    page: int = 0
    total_pages: int = 0
    fetched: int = 0
    percent: int = 0
    text: str = ""


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored."""

    new_estimates: int = 0
    updated_estimates: int = 0
    unchanged_estimates: int = 0
    skipped_estimates: int = 0


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """How far the delivery of the callback is."""

    state: str
    attempts: int = 0
    last_attempt_at: datetime | None = None
    next_attempt_at: datetime | None = None
    last_status_code: int | None = None
    last_error: str | None = None


class Sync(msgspec.Struct, frozen=True, kw_only=True):
    """One sync. `document` is the answer as it came, for who asks for JSON."""

    sync_id: str
    status: str
    reason: str | None = None
    message: str | None = None
    date_range: Days | None = None
    progress: Progress | None = None
    results: Results | None = None
    callback: Callback | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_seconds: int | None = None
    document: Document = {}

    @property
    def is_finished(self) -> bool:
        """True when the outcome will never change again."""
        return self.status in _FINAL


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a start."""

    sync_id: str
    message: str = ""
    document: Document = {}


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a cancel or a redeliver."""

    message: str = ""
    document: Document = {}


class SyncPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some syncs, newest first, and where the next ones begin."""

    syncs: tuple[Sync, ...]
    next_cursor: str | None = None


class _Listing(msgspec.Struct, frozen=True, kw_only=True):
    syncs: tuple[Document, ...]
    next_cursor: str | None = None


def parse_sync(body: Document) -> Sync:
    """Read one sync.

    Raises:
        StrangerError: It is none.
    """
    return _convert({**body, "document": body}, Sync)


def parse_started(body: Document) -> Started:
    """Read the answer to a start.

    Raises:
        StrangerError: It is none.
    """
    return _convert({**body, "document": body}, Started)


def parse_acted(body: Document) -> Acted:
    """Read the answer to a cancel or a redeliver.

    Raises:
        StrangerError: It is none.
    """
    return _convert({**body, "document": body}, Acted)


def parse_sync_page(body: Document) -> SyncPage:
    """Read a page of syncs.

    Raises:
        StrangerError: It is none.
    """
    listing = _convert(body, _Listing)
    return SyncPage(syncs=tuple(parse_sync(item) for item in listing.syncs), next_cursor=listing.next_cursor)


def _convert(raw: object, shape: type[Shape]) -> Shape:
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        raise StrangerError(
            f"The server answers in a shape that this program does not know: {error}.",
            cure="Use the same version of the client and the server",
        ) from error
