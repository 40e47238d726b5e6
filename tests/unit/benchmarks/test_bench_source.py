"""The benchmark's source answers as Attic Tech would, though it only cuts slices."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from source_records import build_answer, build_price, build_records

COUNT = 50
RECORDS = build_records(COUNT, mean_bytes=700, generation=1)
DECODED = [msgspec.json.decode(document) for document in RECORDS.documents]
MIDDLE = DECODED[20]


def ask(**query: str) -> Any:
    body, _ = build_answer(RECORDS, query)
    return msgspec.json.decode(body)


@pytest.mark.parametrize(
    ("where", "is_meant"),
    [
        pytest.param({}, lambda _: True, id="everything"),
        pytest.param(
            {"where[updatedAt][greater_than_equal]": MIDDLE["updatedAt"]},
            lambda record: record["updatedAt"] >= MIDDLE["updatedAt"],
            id="changed-since",
        ),
        pytest.param(
            {"where[updatedAt][less_than_equal]": "2025-09-20", "where[id][greater_than]": str(MIDDLE["id"] + 1)},
            lambda record: record["updatedAt"] <= "2025-09-20" and record["id"] > MIDDLE["id"] + 1,
            id="both",
        ),
        pytest.param(
            {
                "where[createdAt][less_than]": DECODED[45]["createdAt"],
                "where[or][0][id][less_than]": str(DECODED[5]["id"]),
                "where[or][1][id][greater_than]": str(DECODED[3]["id"]),
                "where[or][1][id][less_than]": str(DECODED[9]["id"]),
                "where[or][2][id][greater_than]": str(DECODED[40]["id"]),
            },
            lambda record: (
                record["createdAt"] < DECODED[45]["createdAt"]
                and (record["id"] < DECODED[9]["id"] or record["id"] > DECODED[40]["id"])
            ),
            id="overlapping-branches",
        ),
        pytest.param({"where[updatedAt][less_than]": "2025-01-01"}, lambda _: False, id="nothing"),
    ],
)
@pytest.mark.parametrize("sort", ["id", "-id"])
def test_a_filter_and_an_order_give_what_a_database_would(
    where: dict[str, str], is_meant: Callable[[Any], bool], sort: str
) -> None:
    expected = sorted(filter(is_meant, DECODED), key=lambda record: record["id"], reverse=sort == "-id")

    answers = [ask(sort=sort, limit="7", page=str(page), **where) for page in range(1, 9)]

    assert [record for answer in answers for record in answer["docs"]] == expected
    assert {answer["totalDocs"] for answer in answers} == {len(expected)}
    assert [answer["hasNextPage"] for answer in answers] == [page * 7 < len(expected) for page in range(1, 9)]


def test_an_edit_changes_every_record_and_no_id() -> None:
    edited = [
        msgspec.json.decode(document) for document in build_records(COUNT, mean_bytes=700, generation=2).documents
    ]

    assert [record["id"] for record in edited] == [record["id"] for record in DECODED]
    assert all(new["updatedAt"] > old["updatedAt"] for new, old in zip(edited, DECODED, strict=True))
    assert [record["true_cost"] for record in edited] == [float(build_price(index, 2)) for index in range(COUNT)]


def test_every_record_may_be_edited_in_one_moment() -> None:
    moment = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)

    edited = build_records(COUNT, mean_bytes=700, generation=3, id_step=1_000, edited_at=moment)

    assert set(edited.updated) == {"2025-10-16T14:09:00.000Z"}
    assert edited.ids[1] - edited.ids[0] == 1_000
    _, found = build_answer(edited, {"where[updatedAt][greater_than_equal]": "2025-10-16T14:09:00.001Z"})
    assert found == 0


def test_sizes_vary_around_the_mean() -> None:
    sizes = [len(document) for document in build_records(300, mean_bytes=20_000, generation=1).documents]

    assert sum(sizes) / len(sizes) == pytest.approx(20_000, rel=0.02)
    assert max(sizes) > 1.5 * min(sizes)
