"""What is proposed for an old table, and what is left to a person."""

from typing import Any

import pytest
from estimatesync_import.core.errors import MappingError
from estimatesync_import.core.mapping import TARGET_NAMES, TARGETS, ColumnRule, parse_mapping
from estimatesync_import.core.old_schema import OldColumn, OldForeignKey, OldSchema, OldTable
from estimatesync_import.core.proposal import ProposedColumn, build_proposal, find_old_table

CATEGORIES = {"integer": "N", "numeric": "N", "text": "S", "uuid": "U", "timestamp without time zone": "D"}


def build_table(name: str, /, *, schema: str = "old", **columns: Any) -> OldTable:
    """Build a table; a column is a type, or a type and what else is known of it."""
    described = {column: (what, {}) if isinstance(what, str) else what for column, what in columns.items()}
    return OldTable(
        schema=schema,
        name=name,
        primary_key="id",
        columns=(
            OldColumn(name="id", type="integer", category="N", scale=0),
            *(
                OldColumn(name=column, type=kind, category=CATEGORIES[kind], **known)
                for column, (kind, known) in described.items()
            ),
        ),
    )


def propose(target: str, table: OldTable, *others: OldTable, keys: tuple[OldForeignKey, ...] = ()) -> ProposedColumn:
    proposal = build_proposal(OldSchema(tables=(table, *others), foreign_keys=keys), table)
    return next(column for column in proposal.columns if column.target.name == target)


@pytest.mark.parametrize(
    ("target", "columns", "rule"),
    [
        pytest.param(
            "attic_tech_estimate_id",
            {"atticTechEstimateId": "integer"},
            ColumnRule(column="atticTechEstimateId"),
            id="camel",
        ),
        pytest.param("price", {"TRUE_COST": "numeric"}, ColumnRule(column="TRUE_COST"), id="upper"),
        pytest.param("price", {"price": ("integer", {"scale": 0})}, ColumnRule(column="price", round=0), id="dollars"),
        pytest.param("price", {"price": ("numeric", {"scale": 4})}, ColumnRule(column="price"), id="finer-than-ours"),
        pytest.param("name", {"name": ("text", {"max_length": 9})}, ColumnRule(column="name", cut=9), id="short"),
        pytest.param("name", {"title": "text", "name": "text"}, ColumnRule(column="name"), id="the-likeliest"),
        pytest.param("name", {"name": "integer"}, None, id="wrong-type"),
        pytest.param("at_updated_date", {"updatedAt": "timestamp without time zone"}, None, id="only-might-be-meant"),
        pytest.param("branch_name", {"branch": "text"}, ColumnRule(column="branch"), id="name-itself"),
        pytest.param("branch_name", {"branch_id": "integer"}, None, id="key-to-nowhere"),
    ],
)
def test_a_column_is_proposed_by_name_and_type(target: str, columns: dict[str, Any], rule: ColumnRule | None) -> None:
    assert propose(target, build_table("estimate", **columns)).rule == rule


def test_a_foreign_key_is_followed_to_the_name_also_in_another_schema() -> None:
    table = build_table("estimate", seller="integer", userId="integer")
    users = build_table("people", schema="hr", email="text", fullName="text")
    key = OldForeignKey(
        name="k", schema="old", table="estimate", column="userId", to_schema="hr", to_table="people", to_column="id"
    )

    proposed = propose("sales_person_name", table, users, keys=(key,))

    assert proposed.rule == ColumnRule(column="userId", schema="hr", table="people", key="id", value="fullName")
    assert proposed.notes == ()


def test_a_key_that_the_database_does_not_know_is_proposed_with_a_warning() -> None:
    table = build_table("estimate", status_id="integer")

    proposed = propose("status_name", table, build_table("estimate_status", name="text"))

    assert proposed.rule == ColumnRule(column="status_id", table="estimate_status", key="id", value="name")
    assert proposed.notes == ("no foreign key leads there: check whether this is the right table",)


def test_a_proposal_notes_what_it_cannot_decide() -> None:
    table = build_table(
        "estimate", at_updated_date="timestamp without time zone", price=("integer", {"scale": 0}), trueCost="text"
    )

    assert propose("at_updated_date", table).notes == ("it has no time zone: old.time_zone says which one applies",)
    assert propose("price", table).notes == (
        "whole numbers: if they are cents, add divide_by = 100 and remove round",
        '"trueCost" may be the right one, too',
    )


def test_our_own_table_is_never_taken_for_the_old_one() -> None:
    ours = OldTable(schema="botzilla", name="estimate", columns=(), is_ours=True)
    theirs = build_table("Estimates")

    assert find_old_table(OldSchema(tables=(ours, theirs)), None) == theirs


def test_targets_are_our_columns_in_their_order() -> None:
    assert tuple(target.name for target in TARGETS) == TARGET_NAMES


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("[old", "it cannot be read", id="no-toml"),
        pytest.param('old = {schema = "s", table = "t", id = "i"}', "`columns`", id="no-columns"),
        pytest.param(
            "columns.colour = {column = 'a'}", "columns.colour is not one of our columns", id="unknown-column"
        ),
        pytest.param("columns.price = {colum = 'a'}", "`colum`", id="unknown-key"),
        pytest.param("columns.name = {column = 'a'}", "columns.attic_tech_estimate_id is missing", id="no-identity"),
        pytest.param(
            "columns.name = {column = 'a', divide_by = 2}", "columns.name: divide_by is for money", id="divide"
        ),
        pytest.param("columns.price = {column = 'a', round = 7}", "columns.price: round is 0 to 6", id="round"),
        pytest.param("columns.price = {column = 'a', cut = 7}", "columns.price: cut is for texts", id="cut"),
        pytest.param("columns.price = {column = 'a', also = 'name'}", "also must name a column", id="also"),
        pytest.param("columns.name = {column = 'a', schema = 's'}", "columns.name: schema needs table", id="schema"),
        pytest.param("old.time_zone = 'Mars'", "old.time_zone must be an IANA time zone", id="zone"),
    ],
)
def test_a_mapping_that_cannot_be_meant_so_is_refused(text: str, fault: str) -> None:
    whole = text if "old = " in text or text == "[old" else f'{text}\nold.schema = "s"\nold.table = "t"\nold.id = "i"'
    columns = "" if "columns" in whole or "old = " in whole else "\ncolumns.name = {column = 'a'}"

    with pytest.raises(MappingError) as caught:
        parse_mapping((whole + columns).encode())

    assert fault in str(caught.value)
