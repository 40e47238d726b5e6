"""Not shown is not none: what Attic Tech does not show of a record is noted, whatever form it has."""

from typing import Any

import msgspec
import pytest
from estimatesync_contract.attic_tech import shows_only_id
from estimatesync_job.core.errors import FieldsUnshownError
from estimatesync_job.core.rows import Row, map_records
from estimatesync_job.core.unshown import PATHS, UnshownCounts, check_unshown, find_hidden

SHOWN: dict[str, Any] = {
    "id": 1,
    "branch": {"id": 3, "name": "Sacramento"},
    "user": {"id": 4, "name": "Zoë Ng"},
    "client": {"id": 5, "fullName": "Ana", "email": "a@example.com", "phone": "1"},
    "property": {"id": 6, "address": "1 Elm St", "client": {"id": 5, "fullName": "Ana"}},
}
CUSTOMER = ("customer_name", "customer_email", "customer_phone")
ANA = {"id": 5, "fullName": "Ana"}
OF_A_KIND = {"relationTo": "clients", "value": 5}

WHOLE = {"id": 6, "fullName": "Eva", "email": "e@example.com", "phone": "2"}


def map_changed(*records: dict[str, Any]) -> tuple[list[Any], list[tuple[str, ...]], tuple[str, ...]]:
    """Map records; return the rows, what each does not show, and what none of them shows."""
    docs = [msgspec.Raw(msgspec.json.encode({"id": len(records) - n} | record)) for n, record in enumerate(records)]
    mapped = map_records(docs)
    rows = mapped.rows
    return [*rows], [rows.unshown.get(number, ()) for number in rows.ids], find_hidden(mapped.evidence)


@pytest.mark.parametrize(
    ("branch", "name", "is_unshown"),
    [
        pytest.param({"name": "North"}, "North", False, id="populated"),
        pytest.param(None, None, False, id="null"),
        pytest.param("", None, False, id="empty-text"),
        pytest.param([], None, False, id="empty-list"),
        pytest.param([None], None, False, id="list-of-null"),
        pytest.param({"relationTo": "branches", "value": None}, None, False, id="polymorphic-null"),
        pytest.param(7, None, True, id="number"),
        pytest.param(0, None, True, id="zero-is-an-id"),
        pytest.param("65f1c0ffee", None, True, id="text"),
        pytest.param([7], None, True, id="list-of-ids"),
        pytest.param([7, {"name": "North"}], None, True, id="list-whose-first-is-an-id"),
        pytest.param([[7]], None, True, id="list-in-a-list"),
        pytest.param({"relationTo": "branches", "value": 7}, None, True, id="polymorphic-number"),
        pytest.param({"relationTo": "branches", "value": "65f1"}, None, True, id="polymorphic-text"),
        pytest.param([{"relationTo": "branches", "value": 7}], None, True, id="list-of-polymorphic-ids"),
        pytest.param({"relationTo": "branches", "value": {"name": "North"}}, "North", False, id="polymorphic"),
        pytest.param([{"name": "North"}, {"name": "South"}], "North", False, id="list"),
        pytest.param([{"relationTo": "b", "value": {"name": "North"}}], "North", False, id="list-of-polymorphic"),
        pytest.param({"name": "North", "value": 7}, "North", False, id="a-field-called-value"),
        pytest.param(True, None, True, id="nothing-known"),
    ],
)
def test_a_relation_is_shown_none_or_not_shown(branch: object, name: str | None, is_unshown: bool) -> None:  # noqa: FBT001 - a table's column
    rows, unshown, _ = map_changed(SHOWN | {"branch": branch})

    assert rows[0].branch_name == name
    assert unshown == [("branch_name",) if is_unshown else ()]
    assert shows_only_id(branch) is is_unshown


@pytest.mark.parametrize(
    ("changes", "unshown"),
    [
        pytest.param({"user": 4}, ("sales_person_name",), id="user"),
        pytest.param({"client": 5, "property": 6}, (*CUSTOMER, "customer_address"), id="client-and-property"),
        pytest.param({"property": 6}, (*CUSTOMER, "customer_address"), id="the-client-may-not-be-the-owner"),
        pytest.param({"client": 5}, (), id="the-client-is-the-owner"),
        pytest.param({"client": "5"}, (), id="the-client-is-the-owner-by-a-text"),
        pytest.param({"client": OF_A_KIND}, CUSTOMER, id="the-client-may-be-of-another-kind-than-the-owner"),
        pytest.param(
            {"client": OF_A_KIND, "property": {"client": {"relationTo": "firms", "value": ANA}}},
            CUSTOMER,
            id="the-client-is-of-another-kind-than-the-owner",
        ),
        pytest.param(
            {"client": OF_A_KIND, "property": {"client": {"relationTo": "clients", "value": ANA}}},
            (),
            id="the-client-is-the-owner-of-a-kind",
        ),
        pytest.param({"client": 5, "property": {"client": {"id": 5}}}, CUSTOMER, id="the-owner-shows-an-id-alone"),
        pytest.param({"client": {"id": 5}, "property": {"client": 5}}, CUSTOMER, id="the-client-shows-an-id-alone"),
        pytest.param({"client": 5, "property": {"client": {"id": 5, "email": None}}}, (), id="the-owner-has-no-mail"),
        pytest.param({"client": 7}, CUSTOMER, id="mail-and-phone-may-be-another-clients"),
        pytest.param({"client": 7, "property": {"address": "x", "client": WHOLE}}, (), id="the-owner-has-all"),
        pytest.param({"property": {"address": "x", "client": 5}}, (), id="the-owner-is-the-client"),
        pytest.param({"property": {"address": "x", "client": [5]}}, (), id="the-owner-is-the-client-in-a-list"),
        pytest.param({"property": {"address": "x", "client": 7}}, CUSTOMER, id="the-owner-is-another"),
        pytest.param({"property": {"address": "x", "client": True}}, CUSTOMER, id="the-owner-is-not-an-id"),
        pytest.param({"property": {"address": "x", "client": None}}, (), id="no-owner"),
        pytest.param({"client": None, "property": {"address": "x", "client": 5}}, CUSTOMER, id="owner"),
        pytest.param({"client": None, "property": {"address": "x", "client": [5]}}, CUSTOMER, id="list-of-owners"),
        pytest.param({"client": 5, "property": None}, CUSTOMER, id="no-property"),
        pytest.param({"client": None, "property": None}, (), id="no-customer"),
        pytest.param({"status": {"relationTo": "statuses", "value": 3}}, ("status_name",), id="status-as-relation"),
        pytest.param({"status": {"relationTo": "statuses", "value": {"name": "Won"}}}, (), id="populated-status"),
        pytest.param({"status": [{"name": "Won"}]}, (), id="list-of-statuses"),
    ],
)
def test_columns_that_hang_on_an_id_are_not_shown_and_a_customer_is_shown_whole_or_not_at_all(
    changes: dict[str, Any], unshown: tuple[str, ...]
) -> None:
    assert map_changed(SHOWN | changes)[1] == [unshown]


def without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


NOBODY = {"id": 5}


@pytest.mark.parametrize(
    ("records", "hidden"),
    [
        pytest.param([SHOWN, SHOWN], set(), id="all-shown"),
        pytest.param([without(SHOWN, "branch"), SHOWN], set(), id="cleared-in-one-record"),
        pytest.param([without(SHOWN, "branch")] * 2, {"branch_name"}, id="absent-everywhere"),
        pytest.param([SHOWN | {"branch": None}] * 2, set(), id="null-everywhere"),
        pytest.param([SHOWN | {"branch": {"id": 3}}] * 2, {"branch_name"}, id="name-absent-everywhere"),
        pytest.param([SHOWN | {"branch": {"id": 3}}, SHOWN | {"branch": None}], {"branch_name"}, id="name-or-null"),
        pytest.param([SHOWN | {"branch": 3}] * 2, set(), id="ids-are-noted-for-each-record"),
        pytest.param([without(SHOWN, "property")] * 2, {*CUSTOMER, "customer_address"}, id="property-absent"),
        pytest.param([SHOWN | {"property": {"address": "x"}}] * 2, set(), id="owner-absent"),
        pytest.param([SHOWN | {"property": {"address": "x"}}, SHOWN], set(), id="owner-absent-in-one-record"),
        pytest.param([SHOWN | {"property": None}, SHOWN], set(), id="owner-shown-behind-a-client"),
        pytest.param([SHOWN | {"property": {"address": "x"}}, SHOWN | {"property": 6}], set(),
                     id="owner-absent-where-its-property-is-shown"),
        pytest.param([without(SHOWN, "client", "property")] * 2, {*CUSTOMER, "customer_address"}, id="both-absent"),
        pytest.param([SHOWN | {"client": None, "property": {"address": "x", "client": NOBODY}}] * 2, {*CUSTOMER},
                     id="customer-without-fields"),
        pytest.param([SHOWN | {"client": None, "property": None}] * 2, set(), id="no-customers"),
        pytest.param([SHOWN | {"client": NOBODY | {"email": None}, "property": None}] * 2,
                     {"customer_name", "customer_phone"}, id="some-fields-of-a-customer"),
    ],
)  # fmt: skip
def test_a_column_that_no_record_shows_is_hidden(records: list[dict[str, Any]], hidden: set[str]) -> None:
    money = ("price", "retail_cost", "final_price", "sub_service_retail_cost", "discount", "final_price_after_taxes")
    other = ("name", "attic_tech_hours", "crew_notes", "payment_method", "at_created_date", "at_updated_date")

    assert set(map_changed(*records)[2]) == {*money, *other, "status_name", *hidden}


def test_every_column_but_the_id_may_be_hidden() -> None:
    assert (*map_changed({})[2],) == tuple(name for name in Row._fields if name != "attic_tech_estimate_id")


@pytest.mark.parametrize(
    ("columns", "estimates", "max_percent", "fields"),
    [
        pytest.param({}, 100, 0, None, id="all is shown"),
        pytest.param({"branch_name": 9}, 9, 0, None, id="too few to tell"),
        pytest.param({"branch_name": 1}, 10, 10, None, id="the whole share"),
        pytest.param({"branch_name": 2}, 10, 10, "branch of 2 of 10", id="more than the share"),
        pytest.param({"branch_name": 1}, 10, 0, "branch of 1 of 10", id="none is allowed"),
        pytest.param(
            {"sales_person_name": 3, "customer_email": 5, "branch_name": 1},
            20,
            10,
            "client.email, user of 5 of 20",
            id="the fields beyond the share, in their order",
        ),
    ],
)
def test_so_many_of_a_hundred_may_lack_a_field(
    columns: dict[str, int], estimates: int, max_percent: int, fields: str | None
) -> None:
    counts = UnshownCounts(estimates=max(columns.values(), default=0), columns=columns)

    try:
        check_unshown(counts, estimates=estimates, max_percent=max_percent)
        said = None
    except FieldsUnshownError as error:
        said = str(error)

    assert (said and said.partition(" estimates,")[0]) == (fields and f"Attic Tech does not show {fields}")


def test_fields_have_the_names_of_attic_tech_in_the_order_of_the_columns() -> None:
    columns = dict.fromkeys(sorted(PATHS), 1)

    assert UnshownCounts(estimates=1, columns=columns).fields == (
        *("name", "client", "client.email", "client.phone", "property", "true_cost", "retail_cost", "final_price"),
        *("sub_services_retail_cost", "discount_provided", "tax_details", "labor_hours", "crew_notes"),
        *("payment_method", "createdAt", "updatedAt", "branch", "user", "status"),
    )
