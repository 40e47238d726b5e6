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
        pytest.param("columns.price = {column = 'a', round = -1}", "columns.price: round is 0 to 6", id="round-less"),
        pytest.param("columns.name = {column = 'a', round = 1}", "columns.name: round is 0 to 6", id="round-a-text"),
        pytest.param("columns.price = {column = 'a', divide_by = 0}", "columns.price: divide_by must be at", id="zero"),
        pytest.param("columns.name = {column = 'a', cut = 0}", "columns.name: cut is for texts", id="cut-all"),
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


def test_every_key_of_a_rule_can_be_used_up_to_its_bounds() -> None:
    text = b"""
    old = {schema = "s", table = "t", id = "i"}
    [columns]
    attic_tech_estimate_id = {column = "a"}
    name = {column = "b", cut = 1, also = "crew_notes"}
    price = {column = "c", divide_by = 1, round = 0, strip = "$,", compare = false}
    attic_tech_hours = {column = "d", divide_by = 60, round = 6}
    branch_name = {column = "e", schema = "x", table = "y", key = "k", value = "v"}
    """

    mapping = parse_mapping(text)

    assert (mapping.old.label, mapping.old.zone.key) == ("s.t", "UTC")
    assert mapping.columns == {
        "attic_tech_estimate_id": ColumnRule(column="a"),
        "name": ColumnRule(column="b", cut=1, also="crew_notes"),
        "price": ColumnRule(column="c", round=0, strip="$,", compare=False),
        "attic_tech_hours": ColumnRule(column="d", divide_by=60, round=6),
        "branch_name": ColumnRule(column="e", schema="x", table="y", key="k", value="v"),
    }


def test_what_a_rule_leaves_out_changes_nothing() -> None:
    assert ColumnRule(column="a") == ColumnRule(
        column="a", schema=None, table=None, key="id", value="name", divide_by=1, strip="", round=None, cut=None,
        also=None, compare=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["branch", "branchs", "branches", "estimate_branch", "EstimateBranchs", "estimate_branches"],
)
def test_a_table_is_found_by_the_name_of_the_key_that_may_lead_there(name: str) -> None:
    table = build_table("estimate", branch_id="integer")

    proposed = propose("branch_name", table, build_table(name, title=("text", {"max_length": 40})))

    assert proposed.rule == ColumnRule(column="branch_id", table=name, key="id", value="title", cut=40)


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([build_table("branch", schema="other", name="text")], id="in another schema"),
        pytest.param([build_table("branch", name="text"), build_table("branches", name="text")], id="two"),
        pytest.param([build_table("branch", number="integer")], id="without a text"),
        pytest.param([build_table("my_branch", name="text")], id="of another name"),
    ],
)
def test_a_table_that_is_not_certain_is_not_proposed(others: list[OldTable]) -> None:
    proposed = propose("branch_name", build_table("estimate", branch_id="integer"), *others)

    assert (proposed.rule, proposed.notes) == (None, ())


def test_a_table_without_a_key_of_its_own_is_looked_up_by_its_id() -> None:
    named = OldTable(schema="old", name="branch", columns=(OldColumn(name="name", type="text", category="S"),))

    proposed = propose("branch_name", build_table("estimate", branch_id="uuid"), named)

    assert proposed.rule == ColumnRule(column="branch_id", table="branch", key="id", value="name")


@pytest.mark.parametrize("name", ["name", "full_name", "title", "label", "description"])
def test_the_text_of_a_row_is_found_by_each_of_its_names(name: str) -> None:
    proposed = propose(
        "branch_name", build_table("estimate", branch_id="integer"), build_table("branch", **{name: "text"})
    )

    assert proposed.rule
    assert proposed.rule.value == name


def test_the_likeliest_text_of_a_row_is_taken() -> None:
    named = build_table("branch", description="text", label="text", title="text", fullName="text", name="text")

    proposed = propose("branch_name", build_table("estimate", branch_id="integer"), named)

    assert proposed.rule
    assert proposed.rule.value == "name"


@pytest.mark.parametrize(
    ("target", "scale", "rounded"),
    [
        *(("price", None, None), ("price", 0, 0), ("price", 1, 1), ("price", 2, None)),
        *(("attic_tech_hours", 0, 0), ("attic_tech_hours", 5, 5), ("attic_tech_hours", 6, None)),
        *(("attic_tech_estimate_id", 0, None), ("attic_tech_hours", None, None)),
    ],
)
def test_ours_is_rounded_where_the_old_column_keeps_less(target: str, scale: int | None, rounded: int | None) -> None:
    proposed = propose(target, build_table("estimate", **{target: ("numeric", {"scale": scale})}))

    assert proposed.rule == ColumnRule(column=target, round=rounded)


@pytest.mark.parametrize(
    ("target", "columns", "notes"),
    [
        pytest.param("price", {"price": ("numeric", {"scale": 2})}, (), id="nothing"),
        pytest.param("attic_tech_hours", {"hours": ("integer", {"scale": 0})}, (), id="whole hours"),
        pytest.param(
            "price",
            {"price": "text"},
            ("texts, which are read as money: `plan` lists those that cannot be",),
            id="texts for money",
        ),
        pytest.param("name", {"name": "text"}, (), id="texts for texts"),
        pytest.param(
            "price",
            {"price": "uuid", "true_cost": "uuid"},
            (
                '"price" has the right name, but is of type uuid',
                '"true_cost" has the right name, but is of type uuid',
            ),
            id="no type that fits",
        ),
    ],
)
def test_what_needs_a_person_is_noted_and_nothing_else(
    target: str, columns: dict[str, Any], notes: tuple[str, ...]
) -> None:
    assert propose(target, build_table("estimate", **columns)).notes == notes


@pytest.mark.parametrize(
    ("tables", "wanted", "fault"),
    [
        pytest.param([], None, "no table is called estimate or estimates. Name one", id="an empty database"),
        pytest.param([], None, "there are: none", id="nothing to choose from"),
        pytest.param(["jobs", "people"], None, "there are: old.jobs, old.people", id="other names"),
        pytest.param(["jobs"], "old.job", "there is no table old.job.", id="a misspelt name"),
        pytest.param(
            ["estimate", "estimates"], None, "more than one table may be meant: old.estimate, old.estimates", id="two"
        ),
    ],
)
def test_a_table_that_cannot_be_chosen_is_asked_for(tables: list[str], wanted: str | None, fault: str) -> None:
    ours = OldTable(schema="botzilla", name="estimates_of_ours", columns=(), is_ours=True)

    with pytest.raises(MappingError) as caught:
        find_old_table(OldSchema(tables=(ours, *map(build_table, tables))), wanted)

    assert fault in str(caught.value)
    assert "of_ours" not in str(caught.value)


@pytest.mark.parametrize("wanted", ["jobs", "old.jobs"])
def test_a_table_is_found_by_the_name_that_is_given(wanted: str) -> None:
    tables = [build_table("estimate"), build_table("jobs"), build_table("people")]

    assert find_old_table(OldSchema(tables=tuple(tables)), wanted) == tables[1]


def test_a_table_that_may_not_be_read_is_refused_with_the_rights_it_takes() -> None:
    table = OldTable(schema="old", name="estimate", columns=(), primary_key="id", is_readable=False)

    with pytest.raises(MappingError, match=r"old.estimate cannot be read by this user: grant USAGE"):
        build_proposal(OldSchema(tables=(table,)), table)


def test_rows_are_named_by_the_primary_key_or_by_an_id_or_not_at_all() -> None:
    columns = tuple(OldColumn(name=name, type="integer", category="N") for name in ("number", "id"))
    keyed, view = (
        OldTable(schema="old", name="estimate", columns=columns, primary_key=key) for key in ("number", None)
    )
    nameless = OldTable(schema="old", name="estimate", columns=columns[:1])

    proposals = [build_proposal(OldSchema(tables=(table,)), table) for table in (keyed, view)]

    assert [(each.old.id, each.has_primary_key) for each in proposals] == [("number", True), ("id", False)]
    assert [[column.name for column in each.unused] for each in proposals] == [["id"], ["number"]]
    with pytest.raises(MappingError, match="neither a primary key of one column nor a column id"):
        build_proposal(OldSchema(tables=(nameless,)), nameless)
