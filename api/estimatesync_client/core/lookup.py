"""Finds the syncs that a person means: an id, the start or the end of one, `latest`, or the newest n."""

from collections.abc import Sequence
from typing import Final

import msgspec

from estimatesync_client.core.api import ListQuery, Server, Sync, SyncPage
from estimatesync_client.core.errors import NotFoundError, UsageError
from estimatesync_client.core.formatting import SHORT_ID_LENGTH

LATEST: Final = "latest"
MAX_PAGE: Final = 100
"""The most that the API gives at once."""
MAX_SEARCHED: Final = 10_000
"""The part of an id is searched for among as many, page by page."""
_MAX_NAMES: Final = 3


def find_sync(server: Server, text: str, *, is_acted_on: bool = False) -> Sync:
    """Fetch the sync with this id, or with one that begins or ends like this, or the latest one.

    Args:
        server: has the syncs.
        text: an id, a part of one, or `latest`.
        is_acted_on: the sync will be changed: a few characters, or a search that had to stop, are not enough.

    Raises:
        UsageError: several are like this, or it is too little to act on.
        ClientError: there is none, or the request failed.
    """
    if text == LATEST:
        found = _find_latest(server)
    else:
        try:
            return server.fetch_sync(text)
        except NotFoundError:
            page = _search(server, text)
            if not page.syncs:
                raise
            found = choose_by_part(page.syncs, text)
            if is_acted_on:
                _require_sure(found, text, is_all=page.next_cursor is None)
    # By itself, a sync is shown with the address of its page.
    return server.fetch_sync(found.sync_id)


def _search(server: Server, text: str) -> SyncPage:
    """Find the syncs whose ids begin or end with the text; a cursor where not all were looked through.

    As soon as there are more than can be told, no more are looked for.
    """
    found: list[Sync] = []
    cursor, searched = None, 0
    while True:
        page = server.fetch_page(ListQuery(limit=MAX_PAGE, cursor=cursor))
        found += [
            each for each in page.syncs if text and (each.sync_id.startswith(text) or each.sync_id.endswith(text))
        ]
        cursor, searched = page.next_cursor, searched + MAX_PAGE
        if cursor is None or searched >= MAX_SEARCHED or len(found) > _MAX_NAMES:
            return SyncPage(syncs=tuple(found), next_cursor=cursor)


def choose_by_part(found: Sequence[Sync], text: str) -> Sync:
    """Choose the sync whose id begins or ends with the text, of all that do.

    Raises:
        UsageError: there is more than one.
    """
    if len(found) > 1:
        names = ", ".join(sync.sync_id for sync in found[:_MAX_NAMES]) + (", …" if len(found) > _MAX_NAMES else "")
        raise UsageError(f"Several syncs begin or end with {text}: {names}.", cure="Give more of the id")
    return found[0]


def _require_sure(found: Sync, text: str, *, is_all: bool) -> None:
    if len(text) < SHORT_ID_LENGTH:
        raise UsageError(
            f"{text} is too little of an id to act on; {found.sync_id} begins or ends with it.",
            cure=f"Give the whole id, or at least {SHORT_ID_LENGTH} characters of its start or end",
        )
    if not is_all:
        raise UsageError(
            f"There are too many syncs to be sure that {text} means only {found.sync_id}.", cure="Give the whole id"
        )


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
