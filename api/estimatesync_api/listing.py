"""Which syncs a caller wants to see, and the page that answers: values shared by the request and the stores. Pure.

The order is newest first: by creation time, then by name, since Kubernetes tells creation times in whole seconds. A
page ends at a place in that order and the next one begins behind it, so syncs that come or go meanwhile move nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import CallbackSpec
from estimatesync_contract.status import Phase

PAGE_LIMIT_DEFAULT: Final = 20
PAGE_LIMIT_MAX: Final = 100


class Place(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where a sync stands in the order."""

    created_at: datetime
    name: str


class SyncQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to list. `since` is included, `until` is not."""

    limit: int = PAGE_LIMIT_DEFAULT
    after: Place | None = None
    phases: frozenset[Phase] = frozenset(Phase)
    since: datetime | None = None
    until: datetime | None = None


class SyncPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page, newest first; `end` is its last place if there are more behind it."""

    syncs: tuple[EstimateSync, ...] = ()
    end: Place | None = None


def find_phase(sync: EstimateSync) -> Phase:
    """The phase as callers know it: a sync that nobody has looked at yet is queued."""
    return sync.status.phase or Phase.QUEUED


def may_be_joined(sync: EstimateSync) -> bool:
    """Tell whether a request for the same days, without wishes of its own, is answered by this sync."""
    spec = sync.spec
    return not (find_phase(sync).is_final or spec.cancel or spec.suspend) and spec.callback == CallbackSpec()


def build_page(found: Sequence[EstimateSync], limit: int) -> SyncPage:
    """Make a page of what was found, which is one sync more than fits if there are more."""
    syncs = tuple(found[:limit])
    is_last = len(found) <= limit
    return SyncPage(syncs=syncs, end=None if is_last else _find_place(syncs[-1]))


def _find_place(sync: EstimateSync) -> Place | None:
    created_at = sync.metadata.creation_timestamp
    return None if created_at is None else Place(created_at=created_at, name=sync.name)
