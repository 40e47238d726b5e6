"""From a record (raw, theirs) to a row (ours), or to the one problem that prevents it.

Of a record only the fields that a row needs are decoded, each of them optional and of any JSON type: a record may weigh
hundreds of kilobytes, so everything else is skipped, in one pass. A relation may be anything, too; what Attic Tech does
not show of one is noted next to the row (`unshown`).

The mapping is as tolerant as the backend that this program replaces: an estimate without a name is an
`Unnamed Estimate`, one without a status is `pending`, and whatever else is missing is empty. `attic_tech` maps each
page as it arrives.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import msgspec
from estimatesync_contract.foreign_text import clean_line
from msgspec import UNSET, UnsetType

from estimatesync_job.core.fields import (
    FieldFaultError,
    parse_id,
    parse_instant,
    parse_money,
    parse_number,
    parse_text,
)
from estimatesync_job.core.record_split import find_id
from estimatesync_job.core.unshown import (
    PATHS,
    UNSHOWN,
    Path,
    Polymorphic,
    Unshown,
    find_document_key,
    find_evidence,
    is_settled,
    read_relation,
)

_ID_LENGTH: Final = 40

MAPPING_VERSION: Final = 1
"""What another mapping has stored is read again. A test notices when this must be raised."""

UNNAMED: Final = "Unnamed Estimate"
PENDING: Final = "pending"

Value = Any
"""Any JSON value; a number with a fraction is a Decimal, for a binary float would not be exact."""

Text = str | None | Literal[Unshown.UNSHOWN]
"""A text, none, or one that is not shown."""

Scalar = str | int | float | bool | None
"""Any JSON value but an object and a list."""

RecordId = int | str
"""An id as Attic Tech writes it; only Attic Tech compares them."""


class _Identified(msgspec.Struct, frozen=True, kw_only=True):
    id: Value = None


class Named(Polymorphic, frozen=True, kw_only=True):
    """A branch, a sales person, or a status given as an object."""

    name: Value = UNSET
    value: "Named | Scalar" = None


class Client(Polymorphic, frozen=True, kw_only=True, rename="camel"):
    """A customer."""

    id: Value = UNSET
    full_name: Value = UNSET
    first_name: Value = UNSET
    last_name: Value = UNSET
    email: Value = UNSET
    phone: Value = UNSET
    phone_number: Value = UNSET
    value: "Client | Scalar" = None


class Property(Polymorphic, frozen=True, kw_only=True):
    """Where the work is done, and whose it is."""

    address: Value = UNSET
    client: "Client | list[Client | list[Any] | Scalar] | Scalar | UnsetType" = UNSET
    value: "Property | Scalar" = None


class TaxDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a record's taxes that is kept."""

    final_price_after_taxes: Value = UNSET


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate."""

    id: Value = None
    name: Value = UNSET
    status: Value = UNSET
    created_at: Value = msgspec.field(name="createdAt", default=UNSET)
    updated_at: Value = msgspec.field(name="updatedAt", default=UNSET)
    true_cost: Value = UNSET
    retail_cost: Value = UNSET
    final_price: Value = UNSET
    sub_services_retail_cost: Value = UNSET
    discount_provided: Value = UNSET
    labor_hours: Value = UNSET
    crew_notes: Value = UNSET
    payment_method: Value = UNSET
    tax_details: TaxDetails | list[Any] | Scalar | UnsetType = UNSET
    branch: Named | list[Named | list[Any] | Scalar] | Scalar | UnsetType = UNSET
    user: Named | list[Named | list[Any] | Scalar] | Scalar | UnsetType = UNSET
    client: Client | list[Client | list[Any] | Scalar] | Scalar | UnsetType = UNSET
    property: Property | list[Property | list[Any] | Scalar] | Scalar | UnsetType = UNSET


_CUSTOMER_COLUMNS: Final = ("customer_name", "customer_email", "customer_phone")
_NO_TAXES: Final = TaxDetails()
_NOT_A_RECORD: Final = Record()
_ID_DECODER: Final = msgspec.json.Decoder(_Identified)
_RECORDS: Final = msgspec.json.Decoder(Record | list[Any] | Scalar, float_hook=Decimal)


_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
"""What decoding and mapping can raise, whatever the bytes are."""


def parse_record(raw: msgspec.Raw) -> Record:
    """Decode a record; any other JSON value is a record without a single field.

    Raises:
        Exception: One of _UNREADABLE.
    """
    decoded = _RECORDS.decode(raw)
    return decoded if isinstance(decoded, Record) else _NOT_A_RECORD


def parse_record_id(raw: msgspec.Raw) -> RecordId | None:
    """Read nothing but the id, even of a record that is not well formed; None where there is none."""
    try:
        identity = _ID_DECODER.decode(raw).id
    except _UNREADABLE:
        return find_id(bytes(raw))
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


class MappedRecords(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a page.

    Attributes:
        results: a row or a problem for each record, in their order.
        unshown: by the id of an estimate, the columns of which it shows no more than the id of a relation.
        evidence: which paths to the columns the records show.
    """

    results: tuple[Row | RecordProblem, ...]
    unshown: Mapping[int, tuple[str, ...]]
    evidence: frozenset[Path]


def map_records(docs: Iterable[msgspec.Raw]) -> MappedRecords:
    """Map the records of a page, and note what they show; never raises, whatever their bytes are."""
    results: list[Row | RecordProblem] = []
    unshown: dict[int, tuple[str, ...]] = {}
    evidence: set[Path] = set()
    unseen: tuple[str, ...] = tuple(PATHS)
    for raw in docs:
        record = _decode_record(raw)
        if isinstance(record, RecordProblem):
            results.append(record)
            continue
        result, columns = _map_decoded(record)
        results.append(result)
        if isinstance(result, Row) and columns:
            unshown[result.attic_tech_estimate_id] = columns
        # Usually the first record shows all there is, and others nothing new.
        if unseen and record is not _NOT_A_RECORD and not evidence.issuperset(found := find_evidence(record, unseen)):
            evidence |= found
            unseen = tuple(column for column in unseen if not is_settled(column, evidence))
    return MappedRecords(results=tuple(results), unshown=unshown, evidence=frozenset(evidence))


def map_record(raw: msgspec.Raw) -> Row | RecordProblem:
    """Map one record; never raises, whatever its bytes are."""
    return map_records((raw,)).results[0]


def _decode_record(raw: msgspec.Raw) -> Record | RecordProblem:
    try:
        return parse_record(raw)
    except _UNREADABLE as error:
        return _build_problem(parse_record_id(raw), "a field", _describe(error))


def _map_decoded(record: Record) -> tuple[Row | RecordProblem, tuple[str, ...]]:
    """Map a record; the columns are those that it does not show."""
    try:
        return _build_row(record)
    except FieldFaultError as fault:
        return _build_problem(record.id, fault.field, fault.problem), ()
    except _UNREADABLE as error:
        return _build_problem(record.id, "a field", _describe(error)), ()


def _describe(error: Exception) -> str:
    """Say what is wrong with the bytes of a record; complete and without any of them."""
    if isinstance(error, UnicodeError):
        return "is not UTF-8"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, ArithmeticError):
        return "holds a number that is too large"
    if isinstance(error, msgspec.ValidationError):
        return f"cannot be read ({error})"
    return f"is not well-formed JSON, or holds half of a character ({error})"


def _build_row(record: Record) -> tuple[Row, tuple[str, ...]]:
    place = read_relation(record.property, Property)
    owner, address = (place.client, parse_text(place.address)) if isinstance(place, Property) else (place, place)
    customer = _read_customer(owner, record.client)
    branch, sales_person, status = _map_name(record.branch), _map_name(record.user), _map_status(record.status)
    taxes = record.tax_details if isinstance(record.tax_details, TaxDetails) else _NO_TAXES
    # By place, which takes half the time, and in the order of the columns.
    row = Row(
        parse_id("id", record.id),
        parse_text(record.name) or UNNAMED,
        customer.name,
        customer.email,
        customer.phone,
        None if address is UNSHOWN else address,
        parse_money("true_cost", record.true_cost),
        parse_money("retail_cost", record.retail_cost),
        parse_money("final_price", record.final_price),
        parse_money("sub_services_retail_cost", record.sub_services_retail_cost),
        parse_money("discount_provided", record.discount_provided),
        parse_money("tax_details.final_price_after_taxes", taxes.final_price_after_taxes),
        parse_number("labor_hours", record.labor_hours),
        parse_text(record.crew_notes),
        parse_text(record.payment_method),
        parse_instant("createdAt", record.created_at),
        parse_instant("updatedAt", record.updated_at),
        None if branch is UNSHOWN else branch,
        None if sales_person is UNSHOWN else sales_person,
        PENDING if status is UNSHOWN else status or PENDING,
    )
    if customer.is_certain and UNSHOWN not in (address, branch, sales_person, status):
        return row, ()
    texts = {
        "customer_address": address,
        "branch_name": branch,
        "sales_person_name": sales_person,
        "status_name": status,
    }
    unshown = tuple(column for column, value in texts.items() if value is UNSHOWN)
    return row, unshown if customer.is_certain else (*_CUSTOMER_COLUMNS, *unshown)


class _Customer(NamedTuple):
    name: str | None
    email: str | None
    phone: str | None
    is_certain: bool


def _read_customer(*places: object) -> _Customer:
    """Read the customer field by field, as the first backend does: what the first place that has it says.

    Where one place is not shown, a field may be another customer's. Then none of them is certain, for half of one
    customer is not to stand beside half of another: all stay as they are stored, and a new estimate gets what is shown.
    A customer who is an id in one place and shown in the other is shown.

    Args:
        places: the owner of the property, and the client, as decoded; UNSHOWN where the place itself is not shown.
    """
    customers = [read_relation(place, Client) for place in places]
    if UNSHOWN in customers:
        keys = [find_document_key(place) for place in places]
        found = list(zip(customers, keys, strict=True))
        known = {key for customer, key in found if isinstance(customer, Client) and key and _shows_text(customer)}
        customers = [customer for customer, key in found if not (customer is UNSHOWN and key in known)]
    name, is_name_certain = _find_text(customers, _map_customer_name)
    email, is_email_certain = _find_text(customers, _map_email)
    phone, is_phone_certain = _find_text(customers, _map_phone)
    return _Customer(name, email, phone, is_name_certain and is_email_certain and is_phone_certain)


def _find_text(
    customers: Iterable[Client | Literal[Unshown.UNSHOWN] | None], read: Callable[[Client], str | None]
) -> tuple[str | None, bool]:
    """Find the first text that is shown, and whether nobody before can have another."""
    is_certain = True
    for customer in customers:
        if customer is UNSHOWN:
            is_certain = False
        elif customer is not None and (text := read(customer)):
            return text, is_certain
    return None, is_certain


def _shows_text(client: Client) -> bool:
    """Whether more is shown than who it is; a field that is null is shown."""
    parts = (client.full_name, client.first_name, client.last_name, client.email, client.phone, client.phone_number)
    return any(part is not UNSET for part in parts)


def _map_customer_name(client: Client) -> str | None:
    if name := parse_text(client.full_name):
        return name
    parts = (parse_text(client.first_name), parse_text(client.last_name))
    return " ".join(part for part in parts if part) or None


def _map_email(client: Client) -> str | None:
    return parse_text(client.email)


def _map_phone(client: Client) -> str | None:
    return parse_text(client.phone) or parse_text(client.phone_number)


def _map_name(relation: object) -> Text:
    named = read_relation(relation, Named)
    return UNSHOWN if named is UNSHOWN else parse_text(named.name) if named else None


def _map_status(status: Value) -> Text:
    """A status is a text; were it ever a relation, its name is what counts."""
    if isinstance(status, list) and status and isinstance(status[0], dict):
        status = status[0]
    if isinstance(status, dict) and isinstance(status.get("relationTo"), str):
        status = status.get("value")
        if status is not None and not isinstance(status, dict):
            return UNSHOWN
    return parse_text(status.get("name") if isinstance(status, dict) else status)


def _build_problem(record_id: object, field: str, problem: str) -> RecordProblem:
    """Write the id for a person: a text or a number of theirs, cut to what a message can carry."""
    identity = parse_text(record_id)
    return RecordProblem(
        record_id=clean_line(identity or "missing", max_length=_ID_LENGTH),
        has_id=identity is not None,
        field=field,
        problem=problem,
    )
