"""What a listing shows of a record: `depth`, `select` and `populate`."""

import pytest
from sample_attic_tech import Record
from sample_attic_tech.listing import parse_find_query
from sample_attic_tech.selection import Selection, to_document

RECORD: Record = {
    "id": 1,
    "name": "Attic",
    "tax_details": {"tax_rate": 8, "final_price_after_taxes": 9},
    "branch": {"id": 2, "name": "North", "phone": "555"},
    "property": {"id": 5, "address": "1 Elm St", "client": {"id": 9, "fullName": "Ana", "email": "a@example.com"}},
}
IDS = {"branch": 2, "property": 5}


@pytest.mark.parametrize(
    ("depth", "client", "property_client"),
    [
        pytest.param(0, 9, None, id="0: relations are ids"),
        pytest.param(1, {"id": 9}, 9, id="1: inner relations are ids"),
        pytest.param(2, {"id": 9}, {"id": 9}, id="2: all populated"),
        pytest.param(-1, 9, None, id="below 0 is 0"),
    ],
)
def test_depth_limits_relations(depth: int, client: object, property_client: object) -> None:
    record: Record = {"id": 1, "tax_details": {"rate": 8}, "client": {"id": 9}, "branch": None, "user": 3}
    record["property"] = {"id": 5, "client": {"id": 9}}

    shown = to_document(record, Selection(depth=depth))

    assert (shown["tax_details"], shown["branch"], shown["user"]) == ({"rate": 8}, None, 3)
    assert shown["client"] == client
    assert shown["property"] == ({"id": 5, "client": property_client} if property_client else 5)


@pytest.mark.parametrize(
    ("query_string", "shown"),
    [
        pytest.param("select[name]=true", {"id": 1, "name": "Attic"}, id="one field, and the id"),
        pytest.param("select[nosuch]=true", {"id": 1}, id="an unknown field"),
        pytest.param("select=name", {"id": 1}, id="no field at all"),
        pytest.param("select[tax_details][tax_rate]=true", {"id": 1, "tax_details": {"tax_rate": 8}}, id="in a group"),
        pytest.param("select[branch][name]=true", {"id": 1, "branch": 2}, id="a relation is whole"),
        pytest.param(
            "select[tax_details]=false&select[property]=false",
            {"id": 1, "name": "Attic", "branch": 2},
            id="all but those",
        ),
        pytest.param(
            "select[tax_details][tax_rate]=false",
            {"id": 1, "name": "Attic", "tax_details": {"final_price_after_taxes": 9}} | IDS,
            id="all but one of a group",
        ),
    ],
)
def test_select_bounds_the_records_own_fields(query_string: str, shown: Record) -> None:
    assert to_document(RECORD, parse_find_query(f"depth=0&{query_string}").selection) == shown


@pytest.mark.parametrize(
    ("query_string", "branch", "place"),
    [
        pytest.param("populate[branches][name]=true", {"id": 2, "name": "North"}, RECORD["property"], id="one field"),
        pytest.param(
            "populate[properties][address]=true",
            RECORD["branch"],
            {"id": 5, "address": "1 Elm St"},
            id="without the inner relation",
        ),
        pytest.param(
            "populate[properties][client]=true&populate[clients][fullName]=true",
            RECORD["branch"],
            {"id": 5, "client": {"id": 9, "fullName": "Ana"}},
            id="also inside",
        ),
        pytest.param("populate[nosuch][name]=true", RECORD["branch"], RECORD["property"], id="no such collection"),
    ],
)
def test_populate_bounds_what_is_populated_of_a_collection(query_string: str, branch: Record, place: Record) -> None:
    shown = to_document(RECORD, parse_find_query(query_string).selection)

    assert (shown["branch"], shown["property"], shown["name"]) == (branch, place, "Attic")


def test_a_document_that_can_log_in_names_its_collection_whatever_is_selected() -> None:
    record = RECORD | {"user": {"id": 10, "name": "Zoë", "email": "zoe@example.com", "collection": "users"}}

    shown = to_document(record, parse_find_query("populate[users][name]=true").selection)

    assert shown["user"] == {"id": 10, "name": "Zoë", "collection": "users"}
