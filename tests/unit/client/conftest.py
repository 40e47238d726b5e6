"""Builders of what the API answers, and a server by hand at the client's own seam."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from estimatesync_client.core.api import Acted, ListQuery, Redelivered, Started, StartQuery, Sync, SyncPage, parse_sync
from estimatesync_client.core.errors import NotFoundError

NOW = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)


def build_document(sync_id: str = "est-1", **fields: Any) -> dict[str, Any]:
    return {
        "success": True,
        "sync_id": sync_id,
        "status": "succeeded",
        "reason": "Succeeded",
        "message": None,
        "date_range": {"start_date": "2025-09-01", "end_date": "2025-10-16"},
        "progress": {"page": 17, "total_pages": 17, "fetched": 1609, "percent": 100, "text": "17/17"},
        "results": {"new_estimates": 45, "updated_estimates": 1564, "unchanged_estimates": 1500},
        "callback": {"state": "delivered", "attempts": 1, "last_attempt_at": "2026-11-24T14:00:05.000Z"},
        "created_at": "2026-11-24T13:50:00.000Z",
        "started_at": "2026-11-24T13:51:53.000Z",
        "completed_at": "2026-11-24T14:00:00.000Z",
        "duration_seconds": 487,
        **fields,
    }


class FakeServer:
    """A Server that replays what it is given: a list of syncs, and a list of responses for the polls of each sync."""

    def __init__(self) -> None:
        self.syncs: list[Sync] = []
        self.polls: list[Sync | Exception] = []
        self.streams: list[list[str | Exception]] = []
        self.queries: list[ListQuery] = []
        self.patiences: list[float | None] = []

    def start(self, query: StartQuery) -> Started:
        raise NotImplementedError

    def fetch_sync(self, sync_id: str, *, patience: float | None = None) -> Sync:
        self.patiences.append(patience)
        if self.polls:
            polled = self.polls.pop(0)
            if isinstance(polled, Exception):
                raise polled
            return polled
        for sync in self.syncs:
            if sync.sync_id == sync_id:
                return sync
        raise NotFoundError("There is no sync with this id.")

    def fetch_page(self, query: ListQuery) -> SyncPage:
        self.queries.append(query)
        begin = int(query.cursor or 0)
        end = begin + query.limit
        return SyncPage(syncs=tuple(self.syncs[begin:end]), next_cursor=str(end) if end < len(self.syncs) else None)

    def fetch_log(self, sync_id: str) -> str:
        raise NotImplementedError

    def follow_log(self, sync_id: str) -> Iterator[str]:
        del sync_id
        for piece in self.streams.pop(0):
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def cancel(self, sync_id: str) -> Acted:
        raise NotImplementedError

    def redeliver(self, sync_id: str, targets: Sequence[str] = ()) -> Acted:
        raise NotImplementedError

    def redeliver_failed(self, query: ListQuery) -> Redelivered:
        raise NotImplementedError


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def build() -> Callable[..., Sync]:
    """Build a sync as the API shows it; by default, a success of two hours ago."""
    return lambda *arguments, **fields: parse_sync(build_document(*arguments, **fields))


@pytest.fixture
def document() -> Callable[..., dict[str, Any]]:
    return build_document


@pytest.fixture
def fake_server() -> FakeServer:
    return FakeServer()
