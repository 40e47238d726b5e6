"""From a record (raw, theirs) to a row (ours), or to the one problem that prevents it.

Of a record only the fields that a row needs are decoded, each of them optional and of any JSON type: a record may weigh
hundreds of kilobytes, so everything else is skipped, in one pass over the page. A relation may be anything, too; what
Attic Tech does not show of one is noted next to the row (`unshown`).

The mapping is as tolerant as the backend that this program replaces: an estimate without a name is an
`Unnamed Estimate`, one without a status is `pending`, and whatever else is missing is empty. `attic_tech` maps each
page as it arrives. A row is packed into one text, which is what COPY needs of it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, Literal, NamedTuple, overload

import msgspec
from estimatesync_contract.foreign_text import clean_line
from msgspec import UNSET, UnsetType

from estimatesync_job.core.fields import (
    CENT,
    FieldFaultError,
    parse_id,
    parse_instant,
    parse_money,
    parse_number,
    parse_text,
)
from estimatesync_job.core.record_split import find_id
from estimatesync_job.core.unshown import (
    ABSENT,
    UNSHOWN,
    Path,
    Polymorphic,
    Unshown,
    find_document_key,
    find_evidence,
    read_relation,
)

_ID_LENGTH: Final = 40

MAPPING_VERSION: Final = 1
"""What another mapping has stored is read again. A test notices when this must be raised."""

UNNAMED: Final = "Unnamed Estimate"
PENDING: Final = "pending"

Value = Any
"""Any JSON value; a number with a fraction is a Decimal, for a binary float would not be exact.

Where a number is expected, a field stays raw: usually it is stored as it stands.
"""

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

    final_price_after_taxes: msgspec.Raw = ABSENT


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate, as decoded."""

    id: Value = None
    name: Value = UNSET
    status: Value = UNSET
    created_at: Value = msgspec.field(name="createdAt", default=UNSET)
    updated_at: Value = msgspec.field(name="updatedAt", default=UNSET)
    true_cost: msgspec.Raw = ABSENT
    retail_cost: msgspec.Raw = ABSENT
    final_price: msgspec.Raw = ABSENT
    sub_services_retail_cost: msgspec.Raw = ABSENT
    discount_provided: msgspec.Raw = ABSENT
    labor_hours: msgspec.Raw = ABSENT
    crew_notes: Value = UNSET
    payment_method: Value = UNSET
    tax_details: TaxDetails | list[Any] | Scalar | UnsetType = UNSET
    branch: Named | list[Named | list[Any] | Scalar] | Scalar | UnsetType = UNSET
    user: Named | list[Named | list[Any] | Scalar] | Scalar | UnsetType = UNSET
    client: Client | list[Client | list[Any] | Scalar] | Scalar | UnsetType = UNSET
    property: Property | list[Property | list[Any] | Scalar] | Scalar | UnsetType = UNSET


Document = Record | list[Any] | Scalar
"""Whatever stands in the list of a page, as decoded."""


_CUSTOMER_COLUMNS: Final = ("customer_name", "customer_email", "customer_phone")
_RELATED_COLUMNS: Final = ("customer_address", "branch_name", "sales_person_name", "status_name")
_NO_TAXES: Final = TaxDetails()
_NOT_A_RECORD: Final = Record()
_ID_DECODER: Final = msgspec.json.Decoder(_Identified)
_DOCUMENTS: Final = msgspec.json.Decoder(Document, float_hook=Decimal)
_NUMBERS: Final = msgspec.json.Decoder(float_hook=Decimal)

_PLAIN_NUMBERS: Final = re.compile(rb"(?>-?+(?:0|[1-9][0-9]{0,8}+)(?:\.[0-9]{1,6}+)?+|null)\0" * 7)
"""Numbers that are small enough for their columns, and not too fine for the hours.

Amounts are rounded by PostgreSQL, half away from zero (https://www.postgresql.org/docs/current/datatype-numeric.html).
"""

_PLAIN_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
"""How JavaScript writes it, and PostgreSQL reads it; to write a datetime takes as long as all texts of a row."""

_SEPARATOR: Final = "\0"


UNREADABLE: Final = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
"""What decoding and mapping can raise, whatever the bytes are."""


def find_record_id(document: Document | msgspec.Raw) -> RecordId | None:
    """Find the id, even of a record that is not well formed; None where there is none."""
    try:
        identity = _read_id(document)
    except UNREADABLE:
        return find_id(bytes(document))  # type: ignore[arg-type]  # only what is raw is unreadable
    return identity if isinstance(identity, int | str) and not isinstance(identity, bool) else None


def _read_id(document: Document | msgspec.Raw) -> Value:
    if isinstance(document, msgspec.Raw):
        return _ID_DECODER.decode(document).id
    return document.id if isinstance(document, Record) else None


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


class Rows(Sequence[Row]):
    """The rows of a page, packed; only where somebody looks at one, it is a Row.

    Attributes:
        ids, updated: of each.
        unshown: by the id of an estimate, the columns of which it shows no more than the id of a relation.
        packed: the text of each value, in the order of the staging table's columns, with the columns that are not shown
            as an array at the end; joined by NUL, which no text of a row holds. None is empty, which no text is.
    """

    def __init__(self) -> None:
        self.ids: Final[list[int]] = []
        self.updated: Final[list[datetime | None]] = []
        self.unshown: Final[dict[int, tuple[str, ...]]] = {}
        self.packed: Final[list[str]] = []

    def __eq__(self, other: object) -> bool:
        return self.packed == other.packed if isinstance(other, Rows) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return unpack_row(self.packed[index]) if isinstance(index, int) else [*map(unpack_row, self.packed[index])]

    def add(self, number: int, packed: str, *, updated: datetime | None, unshown: tuple[str, ...]) -> None:
        """Add a row; `packed` lacks the columns that are not shown."""
        self.ids.append(number)
        self.updated.append(updated)
        self.packed.append(f"{packed}\0{{{','.join(unshown)}}}" if unshown else f"{packed}\0")
        if unshown:
            self.unshown[number] = unshown


def pack_rows(rows: Iterable[Row], unshown: Mapping[int, tuple[str, ...]] | None = None) -> Rows:
    """Pack rows, and the columns that the estimates of some ids do not show."""
    packed, columns = Rows(), unshown or {}
    for row in rows:
        number, values = row.attic_tech_estimate_id, ("" if value is None else str(value) for value in row)
        packed.add(number, _SEPARATOR.join(values), updated=row.at_updated_date, unshown=columns.get(number, ()))
    return packed


def unpack_row(packed: str) -> Row:
    """Read a row as PostgreSQL reads it: an amount has two places, rounded half away from zero."""
    identity, *values, _ = packed.split(_SEPARATOR)
    texts = [value or None for value in values]
    amounts = [Decimal(text).quantize(CENT, ROUND_HALF_UP) if text else None for text in texts[5:11]]
    hours = Decimal(texts[11]) if texts[11] else None
    times = [datetime.fromisoformat(text) if text else None for text in texts[14:16]]
    return Row._make([int(identity), *texts[:5], *amounts, hours, *texts[12:14], *times, *texts[16:]])


class RecordProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a record cannot become a row: its id as far as it is known, the field, and what is wrong with it."""

    record_id: str
    has_id: bool
    field: str
    problem: str


class MappedRecords(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a page.

    Attributes:
        rows: of those that can be stored, in their order.
        problems: of the others, by their position from 1.
        evidence: which paths to the columns the records show.
    """

    rows: Rows
    problems: Mapping[int, RecordProblem]
    evidence: frozenset[Path]


def map_records(documents: Iterable[Document | msgspec.Raw]) -> MappedRecords:
    """Map the records of a page, and note what they show; never raises, whatever the bytes of those left raw are."""
    rows, problems = Rows(), dict[int, RecordProblem]()
    records: list[Record] = []
    for position, document in enumerate(documents, start=1):
        try:
            record = document if isinstance(document, Record) else _decode(document)
        except UNREADABLE as error:
            problems[position] = _build_problem(find_record_id(document), "a field", _describe(error))
            continue
        try:
            _add_row(record, rows)
        except FieldFaultError as fault:
            problems[position] = _build_problem(record.id, fault.field, fault.problem)
        except UNREADABLE as error:
            problems[position] = _build_problem(record.id, "a field", _describe(error))
        if record is not _NOT_A_RECORD:
            records.append(record)
    return MappedRecords(rows=rows, problems=problems, evidence=find_evidence(records))


def map_record(raw: msgspec.Raw) -> Row | RecordProblem:
    """Map one record; never raises, whatever its bytes are."""
    mapped = map_records((raw,))
    return mapped.problems[1] if mapped.problems else mapped.rows[0]


def _decode(document: Document | msgspec.Raw) -> Record:
    """Decode what is left raw; any other JSON value than an object is a record without a single field."""
    decoded = _DOCUMENTS.decode(document) if isinstance(document, msgspec.Raw) else document
    return decoded if isinstance(decoded, Record) else _NOT_A_RECORD


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


def _add_row(record: Record, rows: Rows) -> None:
    """Pack the row of a record, in the order of the columns; a text that is none becomes empty.

    Raises:
        Exception: FieldFaultError, or one of UNREADABLE.
    """
    place = read_relation(record.property, Property)
    owner, address = (place.client, parse_text(place.address)) if isinstance(place, Property) else (place, place)
    customer = _read_customer(owner, record.client)
    branch, sales_person, status = _map_name(record.branch), _map_name(record.user), _map_status(record.status)
    number = parse_id("id", record.id)
    created, updated = parse_instant("createdAt", record.created_at), parse_instant("updatedAt", record.updated_at)
    columns: tuple[str, ...] = () if customer.is_certain else _CUSTOMER_COLUMNS
    if address is UNSHOWN or branch is UNSHOWN or sales_person is UNSHOWN or status is UNSHOWN:
        texts = zip(_RELATED_COLUMNS, (address, branch, sales_person, status), strict=True)
        columns = (*columns, *(column for column, text in texts if text is UNSHOWN))
    packed = (
        f"{number}\0{parse_text(record.name) or UNNAMED}\0{customer.name or ''}\0{customer.email or ''}\0"
        f"{customer.phone or ''}\0{_pack_text(address)}\0{_pack_numbers(record)}"
        f"{parse_text(record.crew_notes) or ''}\0{parse_text(record.payment_method) or ''}\0"
        f"{_pack_instant(record.created_at, created)}\0{_pack_instant(record.updated_at, updated)}\0"
        f"{_pack_text(branch)}\0{_pack_text(sales_person)}\0{_pack_text(status) or PENDING}"
    )
    rows.add(number, packed, updated=updated, unshown=columns)


def _pack_text(text: Text) -> str:
    return "" if text is None or text is UNSHOWN else text


def _pack_numbers(record: Record) -> str:
    """Pack the amounts and the hours, each with a separator behind it.

    They are packed as they stand where PostgreSQL makes of that what is wanted, else one by one.
    """
    taxes = record.tax_details if isinstance(record.tax_details, TaxDetails) else _NO_TAXES
    numbers = b"\0".join((
        record.true_cost,
        record.retail_cost,
        record.final_price,
        record.sub_services_retail_cost,
        record.discount_provided,
        taxes.final_price_after_taxes,
        record.labor_hours,
        b"",
    ))  # fmt: skip
    if _PLAIN_NUMBERS.fullmatch(numbers):
        return numbers.replace(b"null", b"").decode()
    packed = (
        parse_money("true_cost", _decode_number(record.true_cost)),
        parse_money("retail_cost", _decode_number(record.retail_cost)),
        parse_money("final_price", _decode_number(record.final_price)),
        parse_money("sub_services_retail_cost", _decode_number(record.sub_services_retail_cost)),
        parse_money("discount_provided", _decode_number(record.discount_provided)),
        parse_money("tax_details.final_price_after_taxes", _decode_number(taxes.final_price_after_taxes)),
        parse_number("labor_hours", _decode_number(record.labor_hours)),
    )
    return _SEPARATOR.join(["" if number is None else str(number) for number in packed] + [""])


def _pack_instant(value: Value, instant: datetime | None) -> str:
    if instant is None:
        return ""
    return value if _PLAIN_INSTANT.fullmatch(value) else str(instant)


def _decode_number(raw: msgspec.Raw) -> Value:
    return _NUMBERS.decode(raw)


class _Customer(NamedTuple):
    name: str | None
    email: str | None
    phone: str | None
    is_certain: bool


def _read_customer(owner: object, client: object) -> _Customer:
    """Read the customer field by field, as the first backend does: what the first place that has it says.

    Where one place is not shown, a field may be another customer's. Then none of them is certain, for half of one
    customer is not to stand beside half of another: all stay as they are stored, and a new estimate gets what is shown.
    A customer who is an id in one place and shown in the other is shown.

    Args:
        owner: of the property, as decoded; UNSHOWN where the property itself is not shown.
        client: of the estimate.
    """
    if (owner is None or owner is UNSET) and isinstance(client, Client) and client.relation_to is UNSET:
        return _Customer(_map_customer_name(client), _map_email(client), _map_phone(client), True)  # noqa: FBT003 - is_certain
    places = (owner, client)
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
