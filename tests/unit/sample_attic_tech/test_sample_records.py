"""Made-up records: repeatable, awkward in every known way, and with an earlier version."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sample_attic_tech import Record, build_older_version, build_records, parse_instant

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
RECORDS = build_records(400, 7, NOW)


def test_same_seed_gives_the_same_records_and_a_smaller_count_their_beginning() -> None:
    again = build_records(400, 7, NOW)
    fewer = build_records(30, 7, NOW)
    others = build_records(30, 8, NOW)

    assert again == RECORDS
    assert fewer == RECORDS[:30]
    assert [record["id"] for record in others] == [record["id"] for record in fewer]
    assert all(other != record for other, record in zip(others, fewer, strict=True))


def test_a_plain_record_has_every_field() -> None:
    record = RECORDS[0]

    assert record.keys() == {
        "id", "name", "status", "createdAt", "updatedAt", "true_cost", "retail_cost", "final_price",
        "sub_services_retail_cost", "discount_provided", "labor_hours", "crew_notes", "payment_method",
        "tax_details", "branch", "user", "client", "property",
    }  # fmt: skip
    client = {"id", "fullName", "firstName", "lastName", "email", "phone", "phoneNumber"}
    assert record["client"].keys() == record["property"]["client"].keys() == client
    assert record["property"].keys() == {"id", "address", "client"}
    assert "final_price_after_taxes" in record["tax_details"]
    assert record["branch"]["name"]
    assert record["user"]["name"]


@pytest.mark.parametrize(
    "is_met",
    [
        pytest.param(lambda record: "name" not in record, id="missing name"),
        pytest.param(lambda record: "name" in record and record["name"] is None, id="null name"),
        pytest.param(lambda record: len(record.get("name") or "") > 3_000, id="very long name"),
        pytest.param(lambda record: "🏠" in (record.get("name") or ""), id="emoji"),
        pytest.param(lambda record: record.get("client", 0) is None, id="null client"),
        pytest.param(lambda record: record.get("branch", 0) is None, id="null branch"),
        pytest.param(lambda record: "property" not in record, id="missing property"),
        pytest.param(lambda record: isinstance(record.get("branch"), int), id="branch as bare id"),
        pytest.param(lambda record: isinstance(record.get("user"), int), id="user as bare id"),
        pytest.param(lambda record: isinstance(record.get("client"), int), id="client as bare id"),
        pytest.param(lambda record: isinstance(record.get("property"), int), id="property as bare id"),
        pytest.param(lambda record: record.get("tax_details", 0) is None, id="null tax details"),
        pytest.param(lambda record: record.get("tax_details") == {}, id="empty tax details"),
        pytest.param(lambda record: isinstance(record.get("final_price"), int), id="whole money"),
        pytest.param(lambda record: isinstance(record.get("final_price"), float), id="money with cents"),
        pytest.param(lambda record: "\n" in (record.get("crew_notes") or ""), id="notes over several lines"),
    ],
)
def test_awkward_records_occur(is_met: Callable[[Record], bool]) -> None:
    met = [record for record in RECORDS if is_met(record)]

    assert 0 < len(met) < len(RECORDS)


def test_dates_fill_the_span_and_some_are_shared() -> None:
    updated = [parse_instant(record["updatedAt"]) for record in RECORDS]
    created = [parse_instant(record["createdAt"]) for record in RECORDS]

    assert NOW - timedelta(days=45) <= min(created) < NOW - timedelta(days=40)
    assert NOW - timedelta(days=5) < max(updated) <= NOW
    assert all(early < late for early, late in zip(created, updated, strict=True))
    assert 0 < len(updated) - len(set(updated)) < len(updated) / 4


def test_older_version_differs_where_an_edit_shows_and_stays_in_the_span() -> None:
    older = [build_older_version(record) for record in RECORDS]

    for old, new in zip(older, RECORDS, strict=True):
        assert (old["id"], old["createdAt"]) == (new["id"], new["createdAt"])
        assert parse_instant(new["createdAt"]) < parse_instant(old["updatedAt"]) < parse_instant(new["updatedAt"])
        assert old["status"] != new.get("status")
        assert ("final_price" in old) == ("final_price" in new)
        assert old.get("final_price") is None or old["final_price"] != new["final_price"]


def test_older_version_of_a_never_edited_record_is_a_day_older() -> None:
    record = RECORDS[0] | {"updatedAt": RECORDS[0]["createdAt"]}

    older = build_older_version(record)

    assert parse_instant(older["updatedAt"]) == parse_instant(record["updatedAt"]) - timedelta(days=1)


def test_padding_makes_each_record_heavy() -> None:
    padded = build_records(20, 7, NOW, padding_bytes=300_000)

    growth = [
        len(msgspec.json.encode(heavy)) - len(msgspec.json.encode(light))
        for heavy, light in zip(padded, RECORDS, strict=False)
    ]
    assert all(295_000 < bytes_more < 310_000 for bytes_more in growth)
