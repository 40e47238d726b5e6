"""Which syncs a caller wants to see, and the page that answers; shared by the request and the stores. Pure.

The order is newest first: by creation time, then by name, since Kubernetes keeps creation times in whole seconds. A
page ends at a place in that order and the next one begins behind it, so syncs that come or go meanwhile move nothing.

Every fault of a query is named at once. An unknown parameter is refused like an unknown field of a body: a misspelt
filter would show the wrong syncs. A blank one counts as absent, as Make.com sends items that are not mapped.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import CallbackSpec, DateRange, MetadataFields, Mode, parse_metadata
from estimatesync_contract.status import Phase

from estimatesync_api.core.problems import ApiError, Problem

PAGE_LIMIT_DEFAULT: Final = 20
PAGE_LIMIT_MAX: Final = 100

Query = Mapping[str, str | list[str]]

FINAL_PHASES: Final = frozenset(phase for phase in Phase if phase.is_final)
"""Those of the syncs that have ended."""

_KNOWN_NAMES: Final = ("limit", "cursor", "status", "since", "until")
_PHASES: Final = {phase.lower(): phase for phase in Phase}
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(?:Z|[+ -][0-9]{2}:?[0-9]{2})?")
_SHOWN_LENGTH: Final = 40


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
    """The phase as callers know it: a sync that the operator has not seen yet is queued."""
    return sync.status.phase or Phase.QUEUED


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done: of two that are the same, one is enough."""

    days: DateRange
    mode: Mode = Mode.WHOLE
    targets: frozenset[str] = frozenset()
    """Where the outcome goes, by name; the default webhook when empty."""
    metadata: str = ""
    """What the callback says besides, as JSON whose order says nothing."""


def sort_metadata(fields: MetadataFields | None) -> str:
    """Write metadata so that the same fields make the same text."""
    return msgspec.json.encode(fields, order="deterministic").decode() if fields else ""


def find_work(sync: EstimateSync) -> Work | None:
    """Find for which work this sync answers a request without an idempotency key; None for none."""
    spec = sync.spec
    targets = spec.callback.targets
    is_usual = spec.callback == CallbackSpec(targets=targets)
    if find_phase(sync).is_final or spec.cancel or spec.suspend or not is_usual or spec.date_range is None:
        return None
    metadata = sort_metadata(parse_metadata(spec.metadata)) if spec.metadata else ""
    return Work(days=spec.date_range, mode=spec.mode or Mode.WHOLE, targets=frozenset(targets), metadata=metadata)


def build_page(found: Sequence[EstimateSync], limit: int) -> SyncPage:
    """Make a page of what was found, which is one sync more than fits if there are more."""
    syncs = tuple(found[:limit])
    is_last = len(found) <= limit
    return SyncPage(syncs=syncs, end=None if is_last else _find_place(syncs[-1]))


def _find_place(sync: EstimateSync) -> Place | None:
    created_at = sync.metadata.creation_timestamp
    return None if created_at is None else Place(created_at=created_at, name=sync.name)


def parse_sync_query(query: Query, *, time_zone: ZoneInfo) -> SyncQuery:
    """Read a query.

    Args:
        query: The parameters: limit, cursor, status (repeated or separated by commas), since, until.
        time_zone: Says when a day begins, for dates and for instants without an offset.

    Raises:
        ApiError: Not valid; every fault is named.
    """
    faults = [f"{name[:_SHOWN_LENGTH]}: unknown parameter" for name in query if name not in _KNOWN_NAMES]
    parsed = SyncQuery(
        limit=_parse_limit(_get_last(query, "limit"), faults),
        after=_parse_cursor(_get_last(query, "cursor"), faults),
        phases=_parse_phases(query.get("status", []), faults),
        since=_parse_moment("since", _get_last(query, "since"), time_zone, faults),
        until=_parse_moment("until", _get_last(query, "until"), time_zone, faults, whole_day=timedelta(days=1)),
    )
    if faults:
        raise ApiError(Problem.INVALID_REQUEST, *faults)
    return parsed


def format_cursor(place: Place | None) -> str | None:
    """Write where the next page begins, as text for an address that callers need not understand."""
    return None if place is None else base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _get_last(query: Query, name: str) -> str:
    value = query.get(name, "")
    return (value if isinstance(value, str) else value[-1]).strip()


def _parse_limit(text: str, faults: list[str]) -> int:
    if not text:
        return PAGE_LIMIT_DEFAULT
    if re.fullmatch(r"[0-9]{1,9}", text) and 1 <= int(text) <= PAGE_LIMIT_MAX:
        return int(text)
    faults.append(f"limit: send a whole number from 1 to {PAGE_LIMIT_MAX}")
    return PAGE_LIMIT_DEFAULT


def _parse_cursor(text: str, faults: list[str]) -> Place | None:
    if not text:
        return None
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(decoded, type=Place)
        return Place(created_at=place.created_at.astimezone(UTC), name=place.name)
    except (binascii.Error, ValueError, OverflowError):
        faults.append("cursor: send the next_cursor of the page before, or none")
        return None


def _parse_phases(value: str | list[str], faults: list[str]) -> frozenset[Phase]:
    listed = ",".join([value] if isinstance(value, str) else value)
    words = {word.strip() for word in listed.split(",")} - {""}
    faults += [
        f"status: {word[:_SHOWN_LENGTH]} is none of {', '.join(_PHASES)}" for word in sorted(words - _PHASES.keys())
    ]
    return frozenset(_PHASES[word] for word in words & _PHASES.keys()) or frozenset(Phase)


def _parse_moment(
    name: str, text: str, time_zone: ZoneInfo, faults: list[str], *, whole_day: timedelta = timedelta()
) -> datetime | None:
    """Read a date, which stands for its beginning (or, with `whole_day`, its end), or an instant."""
    if not text:
        return None
    try:
        if _DAY.fullmatch(text):
            return datetime.combine(date.fromisoformat(text) + whole_day, time(), time_zone).astimezone(UTC)
        if _INSTANT.fullmatch(text):
            # A plus that was not escaped in the address arrives as a space.
            moment = datetime.fromisoformat(text.replace(" ", "+"))
            return (moment if moment.tzinfo else moment.replace(tzinfo=time_zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    faults.append(f"{name}: send a date like 2025-09-01 or an instant like 2025-09-01T14:00:00Z")
    return None
