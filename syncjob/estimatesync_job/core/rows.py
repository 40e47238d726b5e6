"""From a record (raw, theirs) to a row (ours), or to the one problem that prevents it.

Of a record only the fields that a row needs are decoded, each of them optional and of any JSON type: a record may weigh
hundreds of kilobytes, so everything else is skipped, in one pass. A relation may be anything, too: Payload sends a bare
id where it does not populate one.

The mapping is as tolerant as the backend that this program replaces: an estimate without a name is an
`Unnamed Estimate`, one without a status is `pending`, and whatever else is missing is empty. `attic_tech` maps each
page as it arrives.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from estimatesync_job.core.fields import (
    FieldFaultError,
    parse_id,
    parse_instant,
    parse_money,
    parse_number,
    parse_text,
)

UNNAMED: Final = "Unnamed Estimate"
PENDING: Final = "pending"

Value = Any
"""Any JSON value; a number with a fraction is a Decimal, for a binary float would not be exact."""

Other = str | int | float | bool | list[Any] | None
"""Any JSON value but an object."""

RecordId = int | str
"""An id as Attic Tech writes it; only Attic Tech compares them."""


class _Identified(msgspec.Struct, frozen=True, kw_only=True):
    id: Value = None


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A branch, a sales person, or a status given as an object."""

    name: Value = None


class Client(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A customer."""

    full_name: Value = None
    first_name: Value = None
    last_name: Value = None
    email: Value = None
    phone: Value = None
    phone_number: Value = None


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """Where the work is done, and whose it is."""

    address: Value = None
    client: Client | Other = None


class TaxDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a record's taxes that is kept."""

    final_price_after_taxes: Value = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate."""

    id: Value = None
    name: Value = None
    status: Value = None
    created_at: Value = msgspec.field(name="createdAt", default=None)
    updated_at: Value = msgspec.field(name="updatedAt", default=None)
    true_cost: Value = None
    retail_cost: Value = None
    final_price: Value = None
    sub_services_retail_cost: Value = None
    discount_provided: Value = None
    labor_hours: Value = None
    crew_notes: Value = None
    payment_method: Value = None
    tax_details: TaxDetails | Other = None
    branch: Named | Other = None
    user: Named | Other = None
    client: Client | Other = None
    property: Property | Other = None


_NO_CLIENT: Final = Client()
_NO_PROPERTY: Final = Property()
_NO_TAXES: Final = TaxDetails()
_ID_DECODER: Final = msgspec.json.Decoder(_Identified)
_RECORDS: Final = msgspec.json.Decoder(Record | Other, float_hook=Decimal)


def parse_record(raw: msgspec.Raw) -> Record:
    """Decode a record; any other JSON value is a record without a single field.

    Raises:
        msgspec.DecodeError: It is malformed.
        UnicodeDecodeError: A text of it is not UTF-8.
    """
    decoded = _RECORDS.decode(raw)
    return decoded if isinstance(decoded, Record) else Record()


def parse_record_id(raw: msgspec.Raw) -> RecordId | None:
    """Read nothing but the id; None where there is none, or the record is not well formed."""
    try:
        identity = _ID_DECODER.decode(raw).id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return identity if isinstance(identity, int | str) and not isinstance(identity, bool) else None


class Row(NamedTuple):
    """One estimate, in the order of the staging table's columns; money in dollars and cents, times in UTC."""

    attic_tech_estimate_id: int
    name: str
    customer_name: str | None
    customer_email: str | None
    customer_phone: str | None
    customer_address: str | None
    price: Decimal | None
    retail_cost: Decimal | None
    final_price: Decimal | None
    sub_service_retail_cost: Decimal | None
    discount: Decimal | None
    final_price_after_taxes: Decimal | None
    attic_tech_hours: Decimal | None
    crew_notes: str | None
    payment_method: str | None
    at_created_date: datetime | None
    at_updated_date: datetime | None
    branch_name: str | None
    sales_person_name: str | None
    status_name: str


class RecordProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a record cannot become a row: its id as far as it is known, the field, and what is wrong with it."""

    record_id: str
    has_id: bool
    field: str
    problem: str


def map_record(raw: msgspec.Raw) -> Row | RecordProblem:
    """Map one record of a page; never raises, whatever its bytes are."""
    try:
        record = parse_record(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _build_problem(parse_record_id(raw), "a field", f"cannot be read: {error}")
    try:
        return _build_row(record)
    except FieldFaultError as fault:
        return _build_problem(record.id, fault.field, fault.problem)


def _build_row(record: Record) -> Row:
    place = record.property if isinstance(record.property, Property) else _NO_PROPERTY
    client = record.client if isinstance(record.client, Client) else _NO_CLIENT
    owner = place.client if isinstance(place.client, Client) else _NO_CLIENT
    taxes = record.tax_details if isinstance(record.tax_details, TaxDetails) else _NO_TAXES
    return Row(
        attic_tech_estimate_id=parse_id("id", record.id),
        name=parse_text(record.name) or UNNAMED,
        customer_name=_map_customer_name(client) or _map_customer_name(owner),
        customer_email=parse_text(client.email) or parse_text(owner.email),
        customer_phone=_map_phone(client) or _map_phone(owner),
        customer_address=parse_text(place.address),
        price=parse_money("true_cost", record.true_cost),
        retail_cost=parse_money("retail_cost", record.retail_cost),
        final_price=parse_money("final_price", record.final_price),
        sub_service_retail_cost=parse_money("sub_services_retail_cost", record.sub_services_retail_cost),
        discount=parse_money("discount_provided", record.discount_provided),
        final_price_after_taxes=parse_money("tax_details.final_price_after_taxes", taxes.final_price_after_taxes),
        attic_tech_hours=parse_number("labor_hours", record.labor_hours),
        crew_notes=parse_text(record.crew_notes),
        payment_method=parse_text(record.payment_method),
        at_created_date=parse_instant("createdAt", record.created_at),
        at_updated_date=parse_instant("updatedAt", record.updated_at),
        branch_name=_map_name(record.branch),
        sales_person_name=_map_name(record.user),
        status_name=_map_status(record.status) or PENDING,
    )


def _map_customer_name(client: Client) -> str | None:
    parts = (parse_text(client.first_name), parse_text(client.last_name))
    return parse_text(client.full_name) or " ".join(part for part in parts if part) or None


def _map_phone(client: Client) -> str | None:
    return parse_text(client.phone) or parse_text(client.phone_number)


def _map_name(relation: object) -> str | None:
    return parse_text(relation.name) if isinstance(relation, Named) else None


def _map_status(status: object) -> str | None:
    """A status is a text; were it ever a relation, its name is what counts."""
    return parse_text(status.get("name") if isinstance(status, dict) else status)


def _build_problem(record_id: object, field: str, problem: str) -> RecordProblem:
    """Write the id for a person: a text or a number of theirs, cut to what a message can carry."""
    identity = parse_text(record_id)
    return RecordProblem(
        record_id=(identity or "missing")[:40], has_id=identity is not None, field=field, problem=problem
    )
