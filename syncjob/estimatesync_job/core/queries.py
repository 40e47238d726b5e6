"""What Attic Tech is asked for, in Payload's notation: one page of the range, or what a closing pass looks for.

The range is whole days, turned into the two instants between which a record's `updatedAt` must lie. Records are sorted
by id, newest first: an id never changes and no two are equal, so that an edit moves nothing and the order is total.
`coverage` decides what to ask; `attic_tech` sends it.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

import msgspec
from estimatesync_contract.spec import DateRange
from estimatesync_contract.timestamps import format_timestamp

from estimatesync_job.core.rows import Client, Named, Property, Record, RecordId
from estimatesync_job.core.unshown import Polymorphic

SORT: Final = "-id"
DEPTH: Final = 2
"""Deep enough for a property's client."""

_POPULATED: Final[Mapping[str, type[Polymorphic]]] = {
    "branches": Named,
    "users": Named,
    "clients": Client,
    "properties": Property,
}
"""What is read of the documents that a record refers to, by the names that their collections have at Attic Tech. Of a
collection with another name whole documents are shown."""

OVERLAP: Final = timedelta(minutes=5)
"""How far a stamp may be behind the server's clock when the change becomes visible: clocks of several servers, those in
front of Attic Tech among them, and transactions that commit late."""

_TICK: Final = timedelta(milliseconds=1)
"""Attic Tech keeps milliseconds; both ends of its filter are included."""


def _build_fields_query() -> Mapping[str, str]:
    """Name what a record and its relations are decoded into, and nothing else."""
    envelope = (*Polymorphic.__struct_encode_fields__, "value")
    selected = [f"select[{name}]" for name in Record.__struct_encode_fields__]
    populated = [
        f"populate[{collection}][{name}]"
        for collection, shape in _POPULATED.items()
        for name in shape.__struct_encode_fields__
        if name not in envelope
    ]
    return dict.fromkeys([*selected, *populated], "true")


FIELDS_QUERY: Final = _build_fields_query()
"""The part of a query string that asks for the fields that become columns, not for whole records: Payload 3 leaves out
the others (https://payloadcms.com/docs/queries/select), and earlier ones do not know these parameters."""


class DayBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The first and the last instant of a range, both included, in UTC."""

    start: datetime
    end: datetime


def compute_day_bounds(date_range: DateRange, time_zone: tzinfo) -> DayBounds:
    """Turn days into instants: 00:00:00.000 of the first day to 23:59:59.999 of the last one.

    The end is one tick before the next midnight, so that a day whose last hour happens twice is still whole.

    Raises:
        OverflowError: A day lies at the very end of the calendar and has no instant in UTC.
    """
    next_midnight = _compute_midnight(date_range.end + timedelta(days=1), time_zone)
    return DayBounds(start=_compute_midnight(date_range.start, time_zone), end=next_midnight - _TICK)


def _compute_midnight(day: date, time_zone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=time_zone).astimezone(UTC)


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One request for a page of the range.

    Attributes:
        page: its place among all pages, from 1, as people see it.
        number: its number for Attic Tech, which counts in pages of this size.
        limit: records requested.
    """

    page: int
    number: int
    limit: int


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Ids that no page has covered: those between two, both of them excluded; None where it is open."""

    below: RecordId | None
    above: RecordId | None


class ChangesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a closing pass, for the records that any of these conditions holds for.

    Attributes:
        limit: records requested at most.
        since: in the range, and changed at or after this instant; or changed since then to a date beyond the range, and
            created before its end. None: everything in the range, and whatever may ever have left it.
        left_since: instead of `since`, for what changed to a date beyond the range; None: the same.
        gaps: in the range, and with an id within one of these.
        below, above: only ids between these two, both of them excluded: a segment of all ids, or what is left of it.
    """

    limit: int
    since: datetime | None
    left_since: datetime | None = None
    gaps: tuple[Gap, ...] = ()
    below: RecordId | None = None
    above: RecordId | None = None


class IdsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One request for these estimates, whenever they were changed; they are named in this order."""

    ids: tuple[int, ...]


def build_page_query(query: PageQuery, *, bounds: DayBounds) -> Mapping[str, str]:
    """Build the query string of one page of the range."""
    return {
        "limit": str(query.limit),
        "page": str(query.number),
        "depth": str(DEPTH),
        "sort": SORT,
        "where[updatedAt][greater_than_equal]": format_timestamp(bounds.start),
        "where[updatedAt][less_than_equal]": format_timestamp(bounds.end),
    }


def build_changes_query(query: ChangesQuery, *, bounds: DayBounds) -> Mapping[str, str]:
    """Build the query string of a closing pass; it continues by id instead of offset, so that nothing can shift."""
    return {
        "limit": str(query.limit),
        "page": "1",
        "depth": str(DEPTH),
        "sort": SORT,
        "where[updatedAt][greater_than_equal]": format_timestamp(bounds.start),
        **{f"where{condition}": value for condition, value in _build_between(query.below, query.above).items()},
        **{
            f"where[or][{number}]{condition}": value
            for number, branch in enumerate(_build_branches(query, bounds))
            for condition, value in branch.items()
        },
    }


IDS_FIELDS_QUERY: Final[Mapping[str, str]] = {"select[id]": "true"}
"""Of what is asked for by its id, nothing else is read, whether or not pages are asked for by fields."""


def build_ids_query(query: IdsQuery) -> Mapping[str, str]:
    """Build the query string that asks for estimates by their ids, with room for one more: what fills it may be cut."""
    return {
        "limit": str(len(query.ids) + 1),
        "page": "1",
        "depth": "0",
        "sort": SORT,
        "where[id][in]": ",".join(map(str, query.ids)),
    }


def _build_branches(query: ChangesQuery, bounds: DayBounds) -> Iterator[Mapping[str, str]]:
    since, after = query.since or bounds.start, bounds.end + _TICK
    in_range = {"[updatedAt][less_than_equal]": format_timestamp(bounds.end)}
    yield {"[updatedAt][greater_than_equal]": format_timestamp(max(since, bounds.start)), **in_range}
    # What is created later was never in the range; of the creation, too, only some server's clock is known.
    yield {
        "[updatedAt][greater_than_equal]": format_timestamp(max(query.left_since or since, after)),
        "[createdAt][less_than_equal]": format_timestamp(bounds.end + OVERLAP),
    }
    for gap in query.gaps:
        yield {**_build_between(gap.below, gap.above), **in_range}


def _build_between(below: RecordId | None, above: RecordId | None) -> Mapping[str, str]:
    bounds = {"[id][less_than]": below, "[id][greater_than]": above}
    return {condition: str(value) for condition, value in bounds.items() if value is not None}
