"""The names under which the columns of an old table are recognised, each as people have written it."""

import pytest
from estimatesync_import.core.mapping import ColumnRule
from estimatesync_import.core.old_schema import OldColumn, OldForeignKey, OldSchema, OldTable
from estimatesync_import.core.proposal import ProposedColumn, build_proposal, find_old_table

TEXTS = {
    "name": "name estimate_name title",
    "customer_name": "customer_name client_name customer_full_name client_full_name customer client",
    "customer_email": "customer_email client_email email",
    "customer_phone": "customer_phone client_phone customer_phone_number client_phone_number phone phone_number",
    "customer_address": "customer_address client_address property_address address",
    "crew_notes": "crew_notes crew_note notes",
    "payment_method": "payment_method",
    "branch_name": "branch_name branch",
    "sales_person_name": "sales_person_name sales_person sales_rep_name sales_rep",
    "status_name": "status_name status estimate_status",
}
NUMBERS = {
    "attic_tech_estimate_id": (
        "attic_tech_estimate_id attic_tech_id at_estimate_id external_id external_estimate_id payload_id"
    ),
    "price": "price true_cost",
    "retail_cost": "retail_cost",
    "final_price": "final_price",
    "sub_service_retail_cost": "sub_service_retail_cost sub_services_retail_cost sub_service_cost",
    "discount": "discount discount_provided",
    "final_price_after_taxes": ("final_price_after_taxes price_after_taxes final_price_with_taxes price_with_taxes"),
    "attic_tech_hours": "attic_tech_hours labor_hours hours",
}
TIMES = {
    "at_created_date": (
        "at_created_date at_created_at attic_tech_created_at attic_tech_created_date source_created_at"
    ),
    "at_updated_date": (
        "at_updated_date at_updated_at attic_tech_updated_at attic_tech_updated_date source_updated_at"
    ),
}
RELATIONS = {
    "payment_method": "payment_method_id payment_method",
    "branch_name": "branch_id branch",
    "sales_person_name": "sales_person_id sales_person sales_rep_id user_id user",
    "status_name": "status_id estimate_status_id status",
}
COLUMNS = {
    "S": OldColumn(name="", type="text", category="S"),
    "N": OldColumn(name="", type="numeric", category="N"),
    "D": OldColumn(name="", type="timestamp with time zone", category="D"),
}


def build_column(name: str, category: str) -> OldColumn:
    like = COLUMNS[category]
    return OldColumn(name=name, type=like.type, category=category, scale=like.scale)


def build_table(*columns: OldColumn, name: str = "estimate") -> OldTable:
    key = OldColumn(name="id", type="integer", category="N", scale=0)
    return OldTable(schema="old", name=name, primary_key="id", columns=(key, *columns))


def list_cases(table: dict[str, str], category: str) -> list[object]:
    return [
        pytest.param(target, name, category, id=f"{target}-{name}")
        for target, names in table.items()
        for name in names.split()
    ]


def find(target: str, columns: tuple[ProposedColumn, ...]) -> ProposedColumn:
    return next(column for column in columns if column.target.name == target)


@pytest.mark.parametrize(
    ("target", "name", "category"),
    [*list_cases(TEXTS, "S"), *list_cases(NUMBERS, "N"), *list_cases(TIMES, "D")],
)
def test_a_column_is_recognised_by_each_of_its_names(target: str, name: str, category: str) -> None:
    table = build_table(build_column(name, category))

    proposal = build_proposal(OldSchema(tables=(table,), foreign_keys=()), table)

    assert find(target, proposal.columns).rule == ColumnRule(column=name)
    assert [column.target.name for column in proposal.columns if column.rule] == [target]
    assert [column.name for column in proposal.unused] == []


@pytest.mark.parametrize(("target", "name", "category"), list_cases(RELATIONS, "N"))
def test_a_foreign_key_is_recognised_by_each_of_its_names(target: str, name: str, category: str) -> None:
    table = build_table(build_column(name, category))
    named = OldTable(
        schema="old",
        name="thing",
        primary_key="id",
        columns=(OldColumn(name="id", type="integer", category="N", scale=0), build_column("name", "S")),
    )
    key = OldForeignKey(
        name="fk", schema="old", table="estimate", column=name, to_schema="old", to_table="thing", to_column="id"
    )

    proposal = build_proposal(OldSchema(tables=(table, named), foreign_keys=(key,)), table)

    assert find(target, proposal.columns).rule == ColumnRule(column=name, table="thing", key="id", value="name")


@pytest.mark.parametrize("category", ["S", "N", "D"])
@pytest.mark.parametrize(
    ("target", "fitting"),
    [("name", "S"), ("price", "NS"), ("attic_tech_hours", "NS"), ("at_created_date", "DS"), ("crew_notes", "S")],
)
def test_a_column_of_a_kind_that_cannot_hold_it_is_not_taken(target: str, fitting: str, category: str) -> None:
    table = build_table(build_column(target, category))

    proposal = build_proposal(OldSchema(tables=(table,), foreign_keys=()), table)

    assert (find(target, proposal.columns).rule is not None) == (category in fitting)


@pytest.mark.parametrize("name", ["estimate", "Estimates", "job_estimate", "JOB_ESTIMATES"])
def test_the_old_table_is_recognised_by_each_of_its_names(name: str) -> None:
    table = build_table(name=name)

    assert find_old_table(OldSchema(tables=(build_table(name="other"), table), foreign_keys=()), None) == table
