"""Pages as Payload cuts and describes them."""

import msgspec
import pytest
from sample_attic_tech import AllOf, AnyOf, Condition, Record, query


def build_numbered(count: int) -> list[Record]:
    return [{"id": number} for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("count", "limit", "page", "expected"),
    [
        pytest.param(5, 2, 1, ([1, 2], 5, 3, 1, False, True, None, 2), id="first"),
        pytest.param(5, 2, 2, ([3, 4], 5, 3, 3, True, True, 1, 3), id="middle"),
        pytest.param(5, 2, 3, ([5], 5, 3, 5, True, False, 2, None), id="last, not full"),
        pytest.param(4, 2, 2, ([3, 4], 4, 2, 3, True, False, 1, None), id="last, just full"),
        pytest.param(5, 2, 9, ([], 5, 3, 17, True, False, 8, None), id="past the end: empty, true totals"),
        pytest.param(3, 10, 1, ([1, 2, 3], 3, 1, 1, False, False, None, None), id="all on one"),
        pytest.param(3, 0, 1, ([1, 2, 3], 3, 1, 1, False, False, None, None), id="limit 0 gives all"),
        pytest.param(3, 0, 2, ([1, 2, 3], 3, 1, 1, False, False, None, None), id="limit 0 gives all on any page"),
        pytest.param(0, 10, 1, ([], 0, 1, 1, False, False, None, None), id="no records: one empty page"),
        pytest.param(0, 10, 2, ([], 0, 1, 1, False, False, None, None), id="no records: nothing before page 2"),
    ],
)
def test_page_is_cut_and_described(count: int, limit: int, page: int, expected: tuple[object, ...]) -> None:
    found = query(build_numbered(count), sort=("id",), limit=limit, page=page)

    counts = (found.total_docs, found.total_pages, found.paging_counter)
    neighbours = (found.has_prev_page, found.has_next_page, found.prev_page, found.next_page)
    assert ([doc["id"] for doc in found.docs], *counts, *neighbours) == expected
    assert (found.limit, found.page) == (limit, page)


def test_without_paging_a_page_counts_itself_alone() -> None:
    found = query(build_numbered(5), sort=("id",), limit=2, page=2, is_paged=False)

    assert ([doc["id"] for doc in found.docs], found.total_docs, found.total_pages) == ([3, 4], 2, 1)
    assert (found.limit, found.page, found.has_next_page, found.has_prev_page) == (2, 2, False, False)


def test_envelope_has_payloads_names() -> None:
    found = query(build_numbered(1), limit=1)

    assert set(msgspec.to_builtins(found)) == {
        "docs", "totalDocs", "limit", "totalPages", "page", "pagingCounter",
        "hasPrevPage", "hasNextPage", "prevPage", "nextPage",
    }  # fmt: skip


RECORDS: list[Record] = [
    {
        "id": 1,
        "name": "b",
        "createdAt": "2025-10-01T00:00:00.000Z",
        "final_price": 9.5,
        "branch": {"id": 2, "name": "S"},
    },
    {"id": 2, "name": "a", "createdAt": "2025-10-03T00:00:00.000Z", "final_price": None, "branch": 3},
    {
        "id": 3,
        "name": "b",
        "createdAt": "2025-10-02T00:00:00.000Z",
        "final_price": 10,
        "branch": {"id": 1, "name": "L"},
    },
    {"id": 4, "createdAt": "2025-10-02T02:00:00.000+03:00", "final_price": 2, "extras": [{"id": 1}]},
]


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        pytest.param(("id",), [1, 2, 3, 4], id="ascending"),
        pytest.param(("-id",), [4, 3, 2, 1], id="descending"),
        pytest.param(("name", "-id"), [2, 3, 1, 4], id="second field breaks ties, null last"),
        pytest.param(("-name", "id"), [4, 1, 3, 2], id="null first when descending"),
        pytest.param(("final_price",), [4, 1, 3, 2], id="numbers, not texts"),
        pytest.param(("createdAt",), [1, 4, 3, 2], id="instants, not texts"),
        pytest.param(("branch.name", "id"), [3, 1, 2, 4], id="inside a relation"),
        pytest.param(("branch", "id"), [3, 1, 2, 4], id="a relation by its id"),
        pytest.param(("extras", "-id"), [4, 3, 2, 1], id="a list sorts as nothing"),
        pytest.param(("unknown",), [1, 2, 3, 4], id="unknown field keeps the order"),
    ],
)
def test_records_are_sorted(sort: tuple[str, ...], ids: list[int]) -> None:
    found = query(RECORDS, sort=sort)

    assert [doc["id"] for doc in found.docs] == ids


def test_newest_come_first_unless_asked_otherwise() -> None:
    found = query(RECORDS)

    assert [doc["id"] for doc in found.docs] == [2, 3, 4, 1]


def test_conditions_combine_before_paging() -> None:
    low, high = (Condition(field="id", operator="equals", operand=number) for number in (1, 4))
    named = Condition(field="name", operator="exists", operand=True)

    either = query(RECORDS, where=AnyOf(parts=(low, high)), limit=1)
    both = query(RECORDS, where=AllOf(parts=(AnyOf(parts=(low, high)), named)))

    assert (either.total_docs, either.total_pages) == (2, 2)
    assert [doc["id"] for doc in both.docs] == [1]
