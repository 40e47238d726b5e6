"""Finds the syncs that a person means: an id, the start or the end of one, `latest`, or the newest n."""

from collections.abc import Sequence
from typing import Final

import msgspec

from estimatesync_client.core.api import ListQuery, Server, Sync, SyncPage
from estimatesync_client.core.errors import NotFoundError, UsageError

LATEST: Final = "latest"
MAX_PAGE: Final = 100
"""The most that the API gives at once; the part of an id is searched for among as many."""
_MAX_NAMES: Final = 3


def find_sync(server: Server, text: str) -> Sync:
    """Fetch the sync with this id, or with one that begins or ends like this, or the latest one.

    Raises:
        UsageError: several are like this.
        ClientError: there is none, or the request failed.
    """
    if text == LATEST:
        found = _find_latest(server)
    else:
        try:
            return server.fetch_sync(text)
        except NotFoundError:
            chosen = choose_by_part(server.fetch_page(ListQuery(limit=MAX_PAGE)).syncs, text)
            if chosen is None:
                raise
            found = chosen
    # By itself, a sync is shown with the address of its page.
    return server.fetch_sync(found.sync_id)


def choose_by_part(syncs: Sequence[Sync], text: str) -> Sync | None:
    """Choose the one sync whose id begins or ends with the text; None when there is none.

    Raises:
        UsageError: there is more than one.
    """
    found = [sync for sync in syncs if text and (sync.sync_id.startswith(text) or sync.sync_id.endswith(text))]
    if len(found) > 1:
        names = ", ".join(sync.sync_id for sync in found[:_MAX_NAMES]) + (", …" if len(found) > _MAX_NAMES else "")
        raise UsageError(f"Several syncs begin or end with {text}: {names}.", cure="Give more of the id")
    return found[0] if found else None


def _find_latest(server: Server) -> Sync:
    syncs = server.fetch_page(ListQuery(limit=1)).syncs
    if not syncs:
        raise NotFoundError("There is no sync yet.", cure="Start one: estimatesync start --wait")
    return syncs[0]


def fetch_syncs(server: Server, query: ListQuery) -> SyncPage:
    """Fetch as many syncs as the query asks for, page by page."""
    syncs: list[Sync] = []
    cursor = query.cursor
    while True:
        limit = min(MAX_PAGE, query.limit - len(syncs))
        page = server.fetch_page(msgspec.structs.replace(query, limit=limit, cursor=cursor))
        syncs += page.syncs
        cursor = page.next_cursor
        if cursor is None or len(syncs) >= query.limit:
            return SyncPage(syncs=tuple(syncs), next_cursor=cursor)
