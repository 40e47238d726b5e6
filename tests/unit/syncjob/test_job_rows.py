"""A record becomes a row whatever it lacks, or a problem that names the field."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from estimatesync_job.core.fields import FieldFaultError, parse_instant, parse_money, parse_number
from estimatesync_job.core.rows import RecordProblem, Row, map_record, map_records, pack_rows, unpack_row
from hypothesis import example, given, settings
from hypothesis import strategies as st

RECORD: dict[str, Any] = {
    "id": 4200,
    "name": "García: Attic insulation 🏠",
    "status": "sent",
    "createdAt": "2025-09-01T08:00:00.000Z",
    "updatedAt": "2025-10-16T14:09:00.123Z",
    "true_cost": 600,
    "retail_cost": 1000.10,
    "final_price": "1050.55",
    "sub_services_retail_cost": 0,
    "discount_provided": None,
    "labor_hours": 7.5,
    "crew_notes": "Dog in the yard",
    "payment_method": "cash",
    "tax_details": {"tax_rate": 8.25, "final_price_after_taxes": 1137.22},
    "branch": {"id": 1, "name": "Sacramento"},
    "user": {"id": 10, "name": "Zoë Ng"},
    "client": {"fullName": "Ana García", "email": "ana@example.com", "phone": "+1 555 0100"},
    "property": {"address": "1 Elm St", "client": {"fullName": "An Owner"}},
}


def map_changed(**changes: object) -> Row | RecordProblem:
    return map_record(msgspec.Raw(msgspec.json.encode(RECORD | changes)))


def map_text(text: str) -> Row | RecordProblem:
    return map_record(msgspec.Raw(text.encode()))


def test_a_full_record_fills_every_column() -> None:
    row = map_changed()

    assert row == Row(
        attic_tech_estimate_id=4200,
        name="García: Attic insulation 🏠",
        customer_name="An Owner",
        customer_email="ana@example.com",
        customer_phone="+1 555 0100",
        customer_address="1 Elm St",
        price=Decimal("600.00"),
        retail_cost=Decimal("1000.10"),
        final_price=Decimal("1050.55"),
        sub_service_retail_cost=Decimal("0.00"),
        discount=None,
        final_price_after_taxes=Decimal("1137.22"),
        attic_tech_hours=Decimal("7.5"),
        crew_notes="Dog in the yard",
        payment_method="cash",
        at_created_date=datetime(2025, 9, 1, 8, tzinfo=UTC),
        at_updated_date=datetime(2025, 10, 16, 14, 9, 0, 123_000, tzinfo=UTC),
        branch_name="Sacramento",
        sales_person_name="Zoë Ng",
        status_name="sent",
    )


@pytest.mark.parametrize(
    "record",
    [
        pytest.param('{"id": 1}', id="missing"),
        pytest.param(msgspec.json.encode(dict.fromkeys(RECORD) | {"id": 1}).decode(), id="null"),
        pytest.param('{"id":1,"branch":2,"user":"6f","client":3,"property":4,"tax_details":[]}', id="bare-ids"),
        pytest.param(
            '{"id":1,"branch":{},"user":{"name":null},"client":{},"property":{"client":5}}', id="empty-objects"
        ),
        pytest.param('{"id":1,"name":"  ","status":"","createdAt":"","true_cost":" ","crew_notes":""}', id="blank"),
    ],
)
def test_only_the_id_must_be_there(record: str) -> None:
    row = map_text(record)

    assert isinstance(row, Row)
    assert (row.name, row.status_name) == ("Unnamed Estimate", "pending")
    assert {value for value in row if value not in {1, row.name, row.status_name}} == {None}


@pytest.mark.parametrize(
    ("client", "place", "customer"),
    [
        pytest.param(
            {"fullName": "Client", "email": "c@example.com", "phone": "9"},
            {
                "client": {
                    "fullName": "Ana García",
                    "firstName": "B",
                    "email": "a@example.com",
                    "phone": "1",
                    "phoneNumber": "2",
                }
            },
            ("Ana García", "a@example.com", "1"),
            id="owner-first",
        ),
        pytest.param(
            {"firstName": "Ana", "lastName": "García", "phoneNumber": "2"}, None, ("Ana García", None, "2"), id="parts"
        ),
        pytest.param({"lastName": "García"}, None, ("García", None, None), id="last-name-only"),
        pytest.param(
            7, {"client": {"fullName": "Owner", "phone": "3"}}, ("Owner", None, "3"), id="owner-when-client-is-bare"
        ),
        pytest.param(
            {"fullName": "Ana", "phone": "3"}, {"client": 7}, ("Ana", None, "3"), id="client-when-owner-is-bare"
        ),
        pytest.param(
            {"email": "a@example.com", "phone": None},
            {"client": {"firstName": "Owner", "email": "o@example.com", "phoneNumber": "4"}},
            ("Owner", "o@example.com", "4"),
            id="owner-by-parts",
        ),
        pytest.param(
            {"fullName": "Client", "email": "c@example.com", "phone": "9"},
            {"client": {"firstName": "Owner", "email": "", "phoneNumber": None}},
            ("Owner", "c@example.com", "9"),
            id="client-fills-gaps",
        ),
    ],
)
def test_the_customer_is_the_owner_and_else_the_client(
    client: object, place: object, customer: tuple[str | None, ...]
) -> None:
    row = map_changed(client=client, property=place)

    assert isinstance(row, Row)
    assert (row.customer_name, row.customer_email, row.customer_phone) == customer


@pytest.mark.parametrize(
    ("value", "price"),
    [
        pytest.param("12", "12.00", id="integer"),
        pytest.param("1.10", "1.10", id="fraction"),
        pytest.param("0.30000000000000004", "0.30", id="noise-of-binary-floats"),
        pytest.param("1.005", "1.01", id="half-a-cent-away-from-zero"),
        pytest.param("-1.005", "-1.01", id="negative-half-a-cent"),
        pytest.param('"1250.50"', "1250.50", id="text"),
        pytest.param("9999999999.99", "9999999999.99", id="largest"),
        pytest.param("999999999.995", "1000000000.00", id="as-many-digits-as-are-sure-to-fit"),
        pytest.param("1e2", "100.00", id="exponent"),
        pytest.param("0e99", "0.00", id="zero-with-an-exponent"),
    ],
)
def test_money_is_exact_to_the_cent(value: str, price: str) -> None:
    row = map_text(f'{{"id": 1, "true_cost": {value}}}')

    assert isinstance(row, Row)
    assert str(row.price) == price


@pytest.mark.parametrize(
    ("value", "hours"),
    [
        pytest.param("16.25", "16.25", id="as-it-is"),
        pytest.param("1e-99999", "0.000000", id="too-fine-for-a-column"),
        pytest.param("0.0000005", "0.000001", id="half-away-from-zero"),
        pytest.param("0.00001", "0.00001", id="short-and-fine"),
        pytest.param("1e-7", "0.000000", id="short-and-too-fine"),
        pytest.param("1e1", "10.000000", id="exponent"),
        pytest.param('"1e0"', "1", id="no-exponent"),
    ],
)
def test_hours_keep_their_fraction(value: str, hours: str) -> None:
    row = map_text(f'{{"id": 1, "labor_hours": {value}}}')

    assert isinstance(row, Row)
    assert str(row.attic_tech_hours) == hours


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        pytest.param("12345678.5", "12345678.5", id="long"),
        pytest.param("1234567.250000", "1234567.250000", id="with-six-places"),
        pytest.param("0.12345678", "0.123457", id="with-more"),
        pytest.param("1E+3", "1000.000000", id="with-an-exponent"),
    ],
)
def test_a_number_keeps_the_places_that_it_is_written_with(number: str, stored: str) -> None:
    """The column shows as many as it is given, and PostgreSQL does not read every exponent."""
    assert str(parse_number("labor_hours", Decimal(number))) == stored


@settings(deadline=None)
@given(number=st.from_regex(r"-?(0|[1-9][0-9]{0,10})(\.[0-9]{1,8})?([eE][+-]?[0-9])?", fullmatch=True))
@example(number="999999999.999999")
@example(number="-0.005")
@example(number="1000000000")
@example(number="0.0000005")
def test_a_number_that_is_packed_as_it_stands_is_the_one_that_its_parser_reads(number: str) -> None:
    row = map_text(f'{{"id":1,"true_cost":{number},"labor_hours":{number},"tax_details":{{}},"retail_cost":null}}')

    try:
        expected = parse_money("", Decimal(number)), parse_number("", Decimal(number))
    except FieldFaultError:
        assert isinstance(row, RecordProblem)
    else:
        assert isinstance(row, Row)
        assert (row.price, row.attic_tech_hours) == expected
        assert (row.retail_cost, row.final_price_after_taxes) == (None, None)


@settings(deadline=None)
@given(
    instant=st.datetimes(timezones=st.just(UTC)),
    form=st.sampled_from(["%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ", "%G-W%V-%uT%H:%M:%S.000Z"]),
    places=st.sampled_from([6, 3]),
)
def test_an_instant_that_is_packed_as_it_stands_is_the_one_that_its_parser_reads(
    instant: datetime, form: str, places: int
) -> None:
    text = instant.strftime(form).zfill(len(form))
    text = text.replace(f"{instant:%f}Z", f"{instant:%f}"[:places] + "Z")

    row = map_changed(updatedAt=text)

    try:
        expected = parse_instant("", text)
    except FieldFaultError:
        assert isinstance(row, RecordProblem)
    else:
        assert isinstance(row, Row)
        assert row.at_updated_date == expected


@pytest.mark.parametrize(
    "text",
    ["2025-13-01T08:00:00.000Z", "2025-02-30T08:00:00.000Z", "2025-09-01T08:60:00.000Z", "0000-01-01T00:00:00.000Z"],
)
def test_a_date_that_looks_plain_and_is_none_never_gets_to_the_database(text: str) -> None:
    assert isinstance(map_changed(updatedAt=text), RecordProblem)


@settings(deadline=None)
@given(
    texts=st.lists(st.text(max_size=8), min_size=6, max_size=6), client=st.sampled_from([5, None, {"fullName": "Eva"}])
)
def test_what_is_packed_is_unpacked_whatever_its_texts(texts: list[str], client: object) -> None:
    name, notes, method, address, branch, status = texts
    changes = {"name": name, "crew_notes": notes, "payment_method": method, "status": status, "client": client}
    record = RECORD | changes | {"branch": {"name": branch}, "property": {"address": address}}

    mapped = map_records([msgspec.Raw(msgspec.json.encode(record))])

    (row,) = mapped.rows
    assert unpack_row(pack_rows([row]).packed[0]) == row
    expected = [text.replace("\0", "").strip() or None for text in texts]
    assert [row.name, row.crew_notes, row.payment_method, row.customer_address, row.branch_name, row.status_name] == [
        expected[0] or "Unnamed Estimate", *expected[1:5], expected[5] or "pending",
    ]  # fmt: skip
    columns = ("customer_name", "customer_email", "customer_phone") if client == 5 else ()
    assert mapped.rows.unshown == ({4200: columns} if columns else {})
    assert mapped.rows.packed[0].endswith(f"\0{{{','.join(columns)}}}" if columns else "\0")


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        pytest.param({"id": " 4200 "}, "attic_tech_estimate_id", 4200, id="id-as-text"),
        pytest.param({"id": f" {2**63 - 1}"}, "attic_tech_estimate_id", 2**63 - 1, id="longest-id-as-text"),
        pytest.param({"id": 2**63 - 1}, "attic_tech_estimate_id", 2**63 - 1, id="largest-id"),
        pytest.param({"id": -(2**63)}, "attic_tech_estimate_id", -(2**63), id="smallest-id"),
        pytest.param({"labor_hours": 9_999_999_999}, "attic_tech_hours", Decimal(9_999_999_999), id="most-hours"),
        pytest.param({"final_price": "-9999999999.99"}, "final_price", Decimal("-9999999999.99"), id="least-price"),
        pytest.param({"name": "a\0b"}, "name", "ab", id="nul-is-dropped"),
        pytest.param({"name": "n" * 5000}, "name", "n" * 5000, id="long-name"),
        pytest.param({"crew_notes": [{"children": [{"text": "Hi", "n": 1.5}]}]}, "crew_notes",
                     '[{"children":[{"text":"Hi","n":1.5}]}]', id="rich-text-is-kept-as-json"),
        pytest.param({"payment_method": ["cash", "check"]}, "payment_method", '["cash","check"]', id="several-methods"),
        pytest.param({"client": {"phone": 5550100}}, "customer_phone", "5550100", id="phone-as-number"),
        pytest.param({"status": {"id": 3, "name": "Won"}}, "status_name", "Won", id="status-as-object"),
        pytest.param({"createdAt": "2025-09-01T10:00:00+02:00"}, "at_created_date",
                     datetime(2025, 9, 1, 8, tzinfo=UTC), id="date-with-offset"),
        pytest.param({"createdAt": "2025-09-01"}, "at_created_date", datetime(2025, 9, 1, tzinfo=UTC), id="bare-day"),
    ],
)  # fmt: skip
def test_what_can_be_kept_is_kept(changes: dict[str, object], column: str, value: object) -> None:
    row = map_changed(**changes)

    assert getattr(row, column) == value


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        pytest.param({"id": None}, "id", "is missing", id="no-id"),
        pytest.param({"id": "6f1"}, "id", "is not an integer", id="id-of-letters"),
        pytest.param({"id": "007"}, "id", "is not an integer", id="id-with-zeros-in-front"),
        pytest.param({"id": "00"}, "id", "is not an integer", id="id-of-zeros"),
        pytest.param({"id": "+7"}, "id", "is not an integer", id="id-with-a-sign"),
        pytest.param({"id": "\uff17"}, "id", "is not an integer", id="id-in-wide-digits"),
        pytest.param({"id": "\u0667"}, "id", "is not an integer", id="id-in-other-digits"),
        pytest.param({"id": 1.5}, "id", "is not an integer", id="id-with-fraction"),
        pytest.param({"id": True}, "id", "is not an integer", id="id-boolean"),
        pytest.param({"id": 2**63}, "id", "is not an integer", id="id-beyond-bigint"),
        pytest.param({"id": -(2**63) - 1}, "id", "is not an integer", id="id-below-bigint"),
        pytest.param({"id": "0" * 17 + "4200"}, "id", "is not an integer", id="id-of-too-many-digits"),
        pytest.param({"labor_hours": 10**10}, "labor_hours", "is too large: it must be below 10,000,000,000",
                     id="too-many-hours"),
        pytest.param({"labor_hours": -(10**10)}, "labor_hours", "is too large", id="too-few-hours"),
        pytest.param({"final_price": "-9999999999.995"}, "final_price", "is too large", id="too-small-once-rounded"),
        pytest.param({"createdAt": "yesterday"}, "createdAt", "is not a date", id="no-date"),
        pytest.param({"updatedAt": 1_760_623_740}, "updatedAt", "is not a date", id="seconds-are-no-date"),
        pytest.param({"true_cost": "12 dollars"}, "true_cost", "is not a number", id="money-of-words"),
        pytest.param({"retail_cost": True}, "retail_cost", "is not a number", id="money-boolean"),
        pytest.param({"final_price": "NaN"}, "final_price", "is not a number", id="money-not-a-number"),
        pytest.param({"discount_provided": {}}, "discount_provided", "is not a number", id="money-object"),
        pytest.param({"labor_hours": "-Infinity"}, "labor_hours", "is not a number", id="endless-hours"),
        pytest.param({"final_price": 10**10}, "final_price", "is too large", id="money-too-large"),
        pytest.param({"final_price": "9999999999.995"}, "final_price", "is too large", id="too-large-once-rounded"),
        pytest.param({"tax_details": {"final_price_after_taxes": "x"}}, "tax_details.final_price_after_taxes",
                     "is not a number", id="nested-field"),
    ],
)  # fmt: skip
def test_what_would_corrupt_a_column_is_a_problem(changes: dict[str, object], field: str, problem: str) -> None:
    found = map_changed(**changes)

    assert isinstance(found, RecordProblem)
    assert found.field == field
    assert found.problem.startswith(problem)


def test_an_id_of_control_characters_is_shown_as_one_printable_line() -> None:
    found = map_changed(id="7\r\n\x1b[2Jforged " + "x" * 99)

    assert isinstance(found, RecordProblem)
    assert found.record_id == ("7 \ufffd[2Jforged " + "x" * 99)[:40]


def test_a_problem_names_the_record_and_not_the_value() -> None:
    found = map_changed(true_cost="Ana García, 1 Elm St")

    assert isinstance(found, RecordProblem)
    assert found.record_id == "4200"
    assert "Ana" not in f"{found}"


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"null", id="null"),
        pytest.param(b"7", id="number"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"id": 1, "true_cost": ' + b"9" * 5000 + b"}", id="endless-integer"),
        pytest.param(b'{"id": 1, "name": "\xff"}', id="not-utf-8"),
    ],
)
def test_what_is_not_a_record_is_a_problem(record: bytes) -> None:
    found = map_record(msgspec.Raw(record))

    assert isinstance(found, RecordProblem)
