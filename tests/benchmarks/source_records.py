"""The records that every contender fetches: made up, encoded once, and cut into answers without further work.

Ids, creation times and update times grow together, and between the ids lie others, outside of the range. So whatever
order or filter a client asks for, the answer is one slice of the list or a few, found by bisection: the source never
computes while it is being measured.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

FIRST_ID: Final = 4_200
FIRST_DAY: Final = datetime(2025, 9, 1, tzinfo=UTC)
LAST_DAY: Final = datetime(2025, 10, 16, tzinfo=UTC)
_STATUSES: Final = ("draft", "sent", "approved", "rejected", "scheduled", "completed", "invoiced", "paid")
_BRANCHES: Final = 12
_SELLERS: Final = 40
_CLIENTS: Final = 997
_BASE: Final = (
    '{"id":%d,"name":"Estimate %d","status":"%s","createdAt":"%s","updatedAt":"%s",'
    '"true_cost":%d.25,"retail_cost":%d.5,"final_price":%d.75,"sub_services_retail_cost":%d,"discount_provided":%d.1,'
    '"labor_hours":%d.5,"crew_notes":"Gate %d\\nDog","payment_method":"card",'
    '"tax_details":{"final_price_after_taxes":%d.75},"branch":{"name":"Area %d"},"user":{"name":"Seller %d"},'
    '"client":{"fullName":"Client %d","email":"client%d@example.com"},'
    '"property":{"address":"%d Elm Street","client":null}'
)
_SERVICE: Final = '{"id":1,"name":"Fibreglass batt R-38","unit_price":41.75,"quantity":12,"tags":["attic","blown"]}'


@dataclass(frozen=True, kw_only=True)
class Records:
    """One generation; the keys are aligned with the documents and ascend."""

    documents: list[bytes]
    ids: range
    created: list[str]
    updated: list[str]


def build_records(
    count: int, *, mean_bytes: int, generation: int, id_step: int = 3, edited_at: datetime | None = None
) -> Records:
    """Build a generation: each holds the same estimates, every one of them edited since the one before.

    Sizes vary by a quarter around the mean, never below what the fields themselves take.

    Args:
        count: of records.
        mean_bytes: of a record.
        generation: from 1.
        id_step: from one id to the next.
        edited_at: of all; None where one is edited after the other, within the days of the range.
    """
    step = (LAST_DAY - FIRST_DAY - timedelta(days=1)) / max(1, count)
    created = [_format(FIRST_DAY + step * index) for index in range(count)]
    edited = timedelta(hours=2 * generation)
    updated = [_format(edited_at or FIRST_DAY + edited + step * index) for index in range(count)]
    ids = range(FIRST_ID, FIRST_ID + id_step * count, id_step)
    documents = [
        _build_document(index, number, created[index], updated[index], generation, mean_bytes)
        for index, number in enumerate(ids)
    ]
    return Records(documents=documents, ids=ids, created=created, updated=updated)


def build_price(index: int, generation: int) -> Decimal:
    """Say what a record's true cost is: every edit changes it, so a table's sum shows whose version it holds."""
    return _build_dollars(index, generation) + Decimal("0.25")


def build_answer(records: Records, query: Mapping[str, str]) -> tuple[bytes, int]:
    """Build the body of a list call, as Payload shapes it, and say how many records it holds."""
    limit, page = int(query.get("limit", "10")), int(query.get("page", "1"))
    matching = _find_slices(records, query)
    total = sum(map(len, matching))
    total_pages = max(1, -(-total // limit))
    if query.get("sort", "").startswith("-"):
        matching = [found[::-1] for found in reversed(matching)]
    documents = [records.documents[index] for index in _pick(matching, (page - 1) * limit, limit)]
    tail = (
        f'],"totalDocs":{total},"limit":{limit},"totalPages":{total_pages},"page":{page},"pagingCounter":'
        f'{(page - 1) * limit + 1},"hasPrevPage":{_truth(page > 1)},"hasNextPage":{_truth(page < total_pages)}}}'
    )
    return b"".join((b'{"docs":[', b",".join(documents), tail.encode())), len(documents)


def _pick(slices: Iterable[range], offset: int, limit: int) -> Iterator[int]:
    for found in slices:
        picked = found[offset : offset + limit]
        yield from picked
        offset, limit = max(0, offset - len(found)), limit - len(picked)


def _find_slices(records: Records, query: Mapping[str, str]) -> list[range]:
    """Find what `where[field][operator]` and, besides, any branch of `where[or][number][field][operator]` lets in."""
    common: list[tuple[int, int]] = []
    branches: dict[str, list[tuple[int, int]]] = {}
    for name, value in query.items():
        if name.startswith("where[or]["):
            number = name.split("[")[2]
            branches.setdefault(number, []).append(_find_bounds(records, name, value))
        elif name.startswith("where["):
            common.append(_find_bounds(records, name, value))
    everything = (0, len(records.documents))
    found = sorted(_intersect([everything, *common, *branch]) for branch in branches.values() or [[]])
    return list(_merge(found))


def _intersect(bounds: list[tuple[int, int]]) -> tuple[int, int]:
    low = max(first for first, _ in bounds)
    return low, max(low, min(last for _, last in bounds))


def _merge(ascending: list[tuple[int, int]]) -> Iterator[range]:
    """Leave out of each slice what the ones before it hold."""
    end = 0
    for first, last in ascending:
        if max(first, end) < last:
            yield range(max(first, end), last)
            end = last


def _find_bounds(records: Records, name: str, value: str) -> tuple[int, int]:
    """Read the last two words of a condition; an unknown one ends the run, and says so."""
    *_, field, operator = name.replace("]", "").split("[")
    keys: Any = {"id": records.ids, "createdAt": records.created, "updatedAt": records.updated}[field]
    key = int(value) if field == "id" else value
    left, right, end = bisect_left(keys, key), bisect_right(keys, key), len(records.documents)
    return {
        "equals": (left, right),
        "greater_than": (right, end),
        "greater_than_equal": (left, end),
        "less_than": (0, left),
        "less_than_equal": (0, right),
    }[operator]


def _build_dollars(index: int, generation: int) -> int:
    return 1_000 + index % 9_000 + generation


def _build_document(index: int, number: int, created: str, updated: str, generation: int, mean_bytes: int) -> bytes:
    price = _build_dollars(index, generation)
    head = _BASE % (
        *(number, number, _STATUSES[(index + generation) % len(_STATUSES)], created, updated),
        *(price, price, price, index % 700, index % 90, index % 60, index % 10_000, price),
        *(index % _BRANCHES, index % _SELLERS, index % _CLIENTS, index % _CLIENTS, index % 9_999),
    )
    missing = mean_bytes * (3 + index % 3) // 4 - len(head)
    services = ",".join([_SERVICE] * (missing // (len(_SERVICE) + 1)))
    return f'{head},"sub_services":[{services}]}}'.encode()


def _format(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _truth(value: bool) -> str:  # noqa: FBT001 - a value to write, not a switch
    return "true" if value else "false"
