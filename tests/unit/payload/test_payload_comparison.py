"""What the comparison of the sync's tables with Payload's own finds, and what it lets pass."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from estimatesync_payload.comparison import SyncSpan, build_row, find_faults, to_columns
from estimatesync_payload.history import END_OF_TIME, EstimateVersion

BEGAN = datetime(2025, 10, 16, 14, 0, 0, tzinfo=UTC)
END = BEGAN + timedelta(seconds=5)
SPAN = SyncSpan(
    began_at=BEGAN,
    complete_as_of=END,
    ended_at=END + timedelta(seconds=1),
    start=datetime(2025, 10, 1, tzinfo=UTC),
    end=datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC),
)
RELATED: dict[str, dict[int, dict[str, Any]]] = {
    "branch": {1: {"name": "North"}, 2: {"name": "South"}},
    "user": {},
    "client": {3: {"firstName": "Ana", "lastName": " Ruiz ", "phoneNumber": "555"}},
    "property": {4: {"address": "1 Elm St", "client": 3}},
}
SEEN_AFTER = timedelta(seconds=0.2)
LONG_AGO = BEGAN - timedelta(days=3)
BEYOND = SPAN.end + timedelta(days=1)


def build_document(name: str, *, updated_at: datetime = LONG_AGO, **fields: Any) -> dict[str, Any]:
    dates = {"createdAt": LONG_AGO.isoformat(), "updatedAt": updated_at.isoformat()}
    return dict(to_columns({"id": 7, "name": name, "branch": 1, "final_price": 12.345} | dates | fields))


def build_versions(*versions: tuple[datetime, dict[str, Any] | None]) -> list[EstimateVersion]:
    columns = [(since, to_full(document)) for since, document in versions]
    ends = [since + SEEN_AFTER for since, _ in columns[1:]] + [END_OF_TIME]
    return [
        EstimateVersion(document=document, since=since, until=until)
        for (since, document), until in zip(columns, ends, strict=True)
    ]


def to_full(document: dict[str, Any] | None) -> Any:
    names = ("true_cost", "retail_cost", "sub_services_retail_cost", "discount_provided", "labor_hours")
    texts = ("crew_notes", "payment_method", "status")
    return None if document is None else dict.fromkeys((*names, *texts)) | document


def seconds(count: float) -> datetime:
    return BEGAN + timedelta(seconds=count)


OLD, NEW = build_document("old"), build_document("new", branch=2)
LEFT = build_document("left", updated_at=BEYOND)


@pytest.mark.parametrize(
    ("versions", "stored", "fault"),
    [
        pytest.param([(LONG_AGO, OLD)], OLD, None, id="as it is"),
        pytest.param([(LONG_AGO, OLD)], None, "is missing", id="missing"),
        pytest.param([(LONG_AGO, OLD), (seconds(3), NEW)], NEW, None, id="the version of the end"),
        pytest.param([(LONG_AGO, OLD), (seconds(3), NEW)], OLD, "is stored as none of the 1", id="an older version"),
        pytest.param([(LONG_AGO, OLD), (seconds(5.5), NEW)], NEW, None, id="a newer version than that of the end"),
        pytest.param([(LONG_AGO, OLD), (seconds(5.5), NEW)], OLD, None, id="the end's, with a newer one"),
        pytest.param([(LONG_AGO, OLD), (seconds(4.9), NEW)], OLD, None, id="the next was seen only after the end"),
        pytest.param([(LONG_AGO, OLD), (seconds(4.9), None)], None, None, id="deleted about the end"),
        pytest.param(
            [(LONG_AGO, OLD), (seconds(3), NEW)], OLD | {"name": "new"}, "is stored as none of", id="half a version"
        ),
        pytest.param([(seconds(3), NEW)], None, "in the range at the end", id="a new one is missing"),
        pytest.param([(seconds(5.5), NEW)], None, None, id="one that is newer than the end may be missing"),
        pytest.param([(LONG_AGO, OLD), (seconds(3), None)], None, None, id="deleted before it was read"),
        pytest.param([(LONG_AGO, OLD), (seconds(3), None)], OLD, None, id="read before it was deleted"),
        pytest.param([(LONG_AGO, OLD), (seconds(5.5), None)], None, None, id="deleted just after the end"),
        pytest.param([(LONG_AGO, OLD), (seconds(9), None)], None, "is missing", id="deleted when all was over"),
        pytest.param(
            [(LONG_AGO, OLD), (seconds(3), NEW), (seconds(5.5), None)], OLD, None, id="deleted before a change was read"
        ),
        pytest.param(
            [(LONG_AGO, OLD), (seconds(3), NEW), (seconds(9), None)],
            OLD,
            "is stored as none of",
            id="a change is missing",
        ),
        pytest.param([(LONG_AGO, OLD), (seconds(-1), None)], OLD, "is stored as none of", id="deleted long before"),
        pytest.param([(LONG_AGO, OLD), (seconds(3), LEFT)], LEFT, None, id="left the range"),
        pytest.param([(LONG_AGO, OLD), (seconds(3), LEFT)], None, "when the sync began", id="left and is missing"),
        pytest.param([(LONG_AGO, LEFT)], None, None, id="never in the range"),
        pytest.param([(LONG_AGO, LEFT)], LEFT, "was never in the range", id="never in the range, and stored"),
        pytest.param([(LONG_AGO, LEFT), (seconds(-9), LEFT)], LEFT, None, id="may have left the range just before"),
    ],
)
def test_faults_are_found(versions: list[Any], stored: dict[str, Any] | None, fault: str | None) -> None:
    rows = {} if stored is None else {7: build_row(to_full(stored), RELATED)}

    faults = find_faults(rows, {7: build_versions(*versions)}, RELATED, SPAN)

    assert [fault in found for found in faults] == [True] if fault else faults == []


def test_a_row_that_payload_never_had_is_a_fault() -> None:
    assert find_faults({7: build_row(to_full(OLD), RELATED)}, {}, RELATED, SPAN) != []


def test_a_row_is_built_from_its_columns_and_relations() -> None:
    document = build_document(" Attic ", client=None, property=4, tax_details={"final_price_after_taxes": 1.005})

    row = build_row(to_full(document), RELATED)

    assert (row["name"], row["branch"], row["status"]) == ("Attic", "North", "pending")
    assert (row["customer_name"], row["customer_phone"], row["customer_address"]) == ("Ana Ruiz", "555", "1 Elm St")
    assert [str(row[name]) for name in ("final_price", "final_price_after_taxes")] == ["12.35", "1.01"]
