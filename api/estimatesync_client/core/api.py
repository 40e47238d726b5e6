"""The API as the commands see it: queries, responses, and the port that `adapters.http_api` implements.

Unlike the API's own types, responses are lenient: a newer server may send more fields, an older one fewer. Fields that
this version does not know stay in `document`, the response as it came, for `--output json`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import msgspec
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import Phase

from estimatesync_client.core.errors import NotEstimateSyncError

SUCCEEDED: Final = Phase.SUCCEEDED.lower()
FAILED: Final = Phase.FAILED.lower()
CANCELLED: Final = Phase.CANCELLED.lower()
CHANGES: Final = Mode.CHANGES.lower()
_FINAL: Final = frozenset(phase.lower() for phase in Phase if phase.is_final)

Document = dict[str, Any]
Shape = TypeVar("Shape")


class StartQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to sync; days as `YYYY-MM-DD`, the server chooses what is absent."""

    start_date: str | None = None
    end_date: str | None = None
    days: int | None = None
    """So many days before the end, instead of a start."""
    mode: str | None = None
    targets: tuple[str, ...] = ()
    """Where the outcome goes, by name."""
    metadata: dict[str, str] = {}
    """What the callback says besides."""
    idempotency_key: str


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which syncs to list, newest first; instants and days as the API takes them."""

    limit: int
    statuses: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    cursor: str | None = None


class DateRange(msgspec.Struct, frozen=True, kw_only=True):
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
    deleted_estimates: int | None = None
    previous_total_fetched: int | None = None


class Unshown(msgspec.Struct, frozen=True, kw_only=True):
    """What Attic Tech does not show."""

    estimates: int = 0
    fields: tuple[str, ...] = ()


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """How far the delivery of the callback is."""

    state: str
    target: str = ""
    attempts: int = 0
    earlier_attempts: int = 0
    """Before it was asked for again."""
    last_attempt_at: datetime | None = None
    next_attempt_at: datetime | None = None
    last_status_code: int | None = None
    last_error: str | None = None


class Sync(msgspec.Struct, frozen=True, kw_only=True):
    """One sync; what is not known yet is None."""

    sync_id: str
    status: str
    reason: str | None = None
    message: str | None = None
    cure: str | None = None
    """What to do; servers of earlier versions leave it to this program."""
    details_url: str | None = None
    """The sync's page, for a browser."""
    date_range: DateRange | None = None
    progress: Progress | None = None
    results: Results | None = None
    unshown: Unshown | None = None
    mode: str | None = None
    metadata: dict[str, str | int | float | bool | None] | None = None
    started_by: str | None = None
    cancelled_by: str | None = None
    redelivered_by: str | None = None
    callback: Callback | None = None
    callbacks: tuple[Callback, ...] = ()
    """All, where targets were named."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_seconds: int | None = None
    document: Document = {}

    @property
    def is_finished(self) -> bool:
        """True when the outcome will never change again."""
        return self.status in _FINAL

    @property
    def deliveries(self) -> tuple[Callback, ...]:
        """Each callback, as far as there is one yet."""
        return self.callbacks or ((self.callback,) if self.callback else ())


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a start."""

    sync_id: str
    message: str = ""
    document: Document = {}


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a cancel or a redeliver."""

    message: str = ""
    document: Document = {}


class Redelivered(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a request for all callbacks that were given up: of which syncs, and where to go on."""

    sync_ids: tuple[str, ...]
    next_cursor: str | None = None


class SyncPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some syncs, newest first, and where the next page begins."""

    syncs: tuple[Sync, ...]
    next_cursor: str | None = None


class _Listing(msgspec.Struct, frozen=True, kw_only=True):
    syncs: tuple[Document, ...]
    next_cursor: str | None = None


def parse_sync(body: Document) -> Sync:
    """Parse one sync; like its siblings below, it raises NotEstimateSyncError for anything else."""
    return _convert({**body, "document": body}, Sync)


def parse_started(body: Document) -> Started:
    """Parse the response to a start."""
    return _convert({**body, "document": body}, Started)


def parse_acted(body: Document) -> Acted:
    """Parse the response to a cancel or a redeliver."""
    return _convert({**body, "document": body}, Acted)


def parse_redelivered(body: Document) -> Redelivered:
    """Parse the response to a request for all callbacks that were given up."""
    return _convert(body, Redelivered)


def parse_sync_page(body: Document) -> SyncPage:
    """Parse a page of syncs."""
    listing = _convert(body, _Listing)
    return SyncPage(syncs=tuple(parse_sync(item) for item in listing.syncs), next_cursor=listing.next_cursor)


def _convert(raw: object, shape: type[Shape]) -> Shape:
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        raise NotEstimateSyncError(
            f"The server's response has a shape that this program does not know: {error}.",
            cure="Use the same version of the client and the server",
        ) from error


class Server(Protocol):
    """The API. Every method raises ClientError; what may pass by itself is retried for a while before that."""

    def start(self, query: StartQuery) -> Started:
        """Start one sync, however often the request has to be sent."""
        ...

    def fetch_sync(self, sync_id: str, *, patience: float | None = None) -> Sync:
        """Fetch one sync; `patience` is for how many seconds to retry while the server is down."""
        ...

    def fetch_page(self, query: ListQuery) -> SyncPage:
        """Fetch at most as many syncs as the API gives at once."""
        ...

    def fetch_log(self, sync_id: str) -> str:
        """Fetch what a sync has printed so far."""
        ...

    def follow_log(self, sync_id: str) -> Iterator[str]:
        """Read the log from its beginning, in pieces, until the server ends it.

        Raises:
            UnavailableError: the connection broke.
        """
        ...

    def cancel(self, sync_id: str) -> Acted:
        """Request that a sync stops."""
        ...

    def redeliver(self, sync_id: str, targets: Sequence[str] = ()) -> Acted:
        """Request that the callbacks of a finished sync are sent again: all, or those of these targets."""
        ...

    def redeliver_failed(self, query: ListQuery) -> Redelivered:
        """Request that callbacks are sent again that were given up, of the next syncs of the query."""
        ...
