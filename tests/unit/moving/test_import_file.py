"""The mapping file that is proposed, to the letter, and which rules a mapping may hold."""

import pytest
from estimatesync_import.core.errors import MappingError
from estimatesync_import.core.mapping import parse_mapping
from estimatesync_import.core.old_schema import OldColumn, OldSchema, OldTable
from estimatesync_import.core.proposal import build_proposal, format_mapping_file

ID = OldColumn(name="id", type="integer", category="N", scale=0)


def format_proposal(*columns: OldColumn, primary_key: str | None = "id") -> str:
    table = OldTable(schema="old", name="estimate", primary_key=primary_key, columns=(ID, *columns))
    return format_mapping_file(build_proposal(OldSchema(tables=(table,), foreign_keys=()), table))


def test_what_is_proposed_is_written_as_a_mapping() -> None:
    text = format_proposal(
        OldColumn(name="external_id", type="bigint", category="N", scale=0),
        OldColumn(name="name", type="character varying(9)", category="S", max_length=9),
        OldColumn(name="price", type="integer", category="N", scale=0),
        OldColumn(name="discount", type="text", category="S"),
        OldColumn(name="at_created_date", type="timestamp without time zone", category="D"),
        OldColumn(name="odd\x7f", type="text", category="S"),
        OldColumn(name="other", type="jsonb", category="U"),
    )

    _, lines = text.split("\n[old]\n")
    assert lines.startswith(
        'schema = "old"\ntable = "estimate"\nid = "id"\ntime_zone = "UTC"\n\n[columns]\n'
        'attic_tech_estimate_id = { column = "external_id" }\n'
        'name = { column = "name", cut = 9 }\n'
        '#customer_name = { column = "" }\n'
        '#customer_email = { column = "" }\n'
        '#customer_phone = { column = "" }\n'
        '#customer_address = { column = "" }\n'
        "# whole numbers: if they are cents, add divide_by = 100 and remove round\n"
        'price = { column = "price", round = 0 }\n'
        '#retail_cost = { column = "" }\n'
        '#final_price = { column = "" }\n'
        '#sub_service_retail_cost = { column = "" }\n'
        "# texts, which are read as money: `plan` lists those that cannot be\n"
        'discount = { column = "discount" }\n'
        '#final_price_after_taxes = { column = "" }\n'
        '#attic_tech_hours = { column = "" }\n'
        '#crew_notes = { column = "" }\n'
        '#payment_method = { column = "" }\n'
        "# it has no time zone: old.time_zone says which one applies\n"
        'at_created_date = { column = "at_created_date" }\n'
    )
    assert lines.endswith(
        '#branch_name = { column = "" }\n#sales_person_name = { column = "" }\n#status_name = { column = "" }\n\n'
        '# Columns of the old table that fill none of ours:\n#   "odd\\u007F" text\n#   "other" jsonb\n'
    )


def test_a_table_without_a_primary_key_is_noted() -> None:
    assert "\n[old]\n# no primary key: check that id is different in each row\nschema" in format_proposal(
        primary_key=None
    )
    assert "# no primary key" not in format_proposal()


@pytest.mark.parametrize(
    ("rule", "is_refused"),
    [
        ("columns.price = {column = 'a', divide_by = 1}", False),
        ("columns.price = {column = 'a', divide_by = 100}", False),
        ("columns.price = {column = 'a', divide_by = 0}", True),
        ("columns.attic_tech_hours = {column = 'a', divide_by = 60}", False),
        ("columns.crew_notes = {column = 'a', divide_by = 1}", False),
        ("columns.price = {column = 'a', round = 0}", False),
        ("columns.price = {column = 'a', round = 6}", False),
        ("columns.price = {column = 'a', round = 7}", True),
        ("columns.price = {column = 'a', round = -1}", True),
        ("columns.crew_notes = {column = 'a', round = 2}", True),
        ("columns.crew_notes = {column = 'a', cut = 1}", False),
        ("columns.crew_notes = {column = 'a', cut = 0}", True),
        ("columns.price = {column = 'a', cut = 1}", True),
        ("columns.price = {column = 'a', also = 'final_price'}", False),
        ("columns.price = {column = 'a', also = 'attic_tech_hours'}", True),
        ("columns.branch_name = {column = 'a', schema = 's', table = 't'}", False),
    ],
)
def test_a_rule_must_fit_what_the_column_holds(rule: str, *, is_refused: bool) -> None:
    text = f'old = {{schema = "s", table = "t", id = "i"}}\ncolumns.attic_tech_estimate_id = {{column = "x"}}\n{rule}'

    if is_refused:
        with pytest.raises(MappingError):
            parse_mapping(text)
    else:
        assert parse_mapping(text)
