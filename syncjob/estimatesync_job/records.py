"""A record as Attic Tech sends it: only the fields that a row needs, each of them optional and of any JSON type.

`rows` maps it. A record may weigh hundreds of kilobytes, so everything else is skipped while it is decoded, in one
pass. A relation may be anything, too: Payload sends a bare id where it does not populate one.
"""

from decimal import Decimal
from typing import Any, Final

import msgspec

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


_ID_DECODER: Final = msgspec.json.Decoder(_Identified)
_RECORDS: Final = msgspec.json.Decoder(Record | Other, float_hook=Decimal)
