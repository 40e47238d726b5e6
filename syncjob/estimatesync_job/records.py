"""A record as Attic Tech sends it: only the fields that a row needs, each of them optional and of any JSON type.

`rows` maps it. A record may weigh hundreds of kilobytes, so everything else is skipped while decoding, and relations
stay raw until they are known to be objects: Payload sends a bare id where it does not populate one.
"""

from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

NULL: Final = msgspec.Raw(b"null")

Value = Any
"""Any JSON value; a number with a fraction is a Decimal, for a binary float would not be exact."""


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
    client: msgspec.Raw = NULL


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
    tax_details: msgspec.Raw = NULL
    branch: msgspec.Raw = NULL
    user: msgspec.Raw = NULL
    client: msgspec.Raw = NULL
    property: msgspec.Raw = NULL


Shape = TypeVar("Shape", bound=msgspec.Struct)


def parse_object(raw: msgspec.Raw, shape: type[Shape]) -> Shape | None:
    """Decode a JSON object, which must be well formed; None for any other JSON value, such as a bare id."""
    if memoryview(raw)[:1].tobytes() != b"{":
        return None
    decoded: Shape = _DECODERS[shape].decode(raw)
    return decoded


def parse_record_id(raw: msgspec.Raw) -> RecordId | None:
    """Read nothing but the id; None where there is none, or the record is not well formed."""
    try:
        identity = _ID_DECODER.decode(raw).id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return identity if isinstance(identity, int | str) and not isinstance(identity, bool) else None


_ID_DECODER: Final = msgspec.json.Decoder(_Identified)
_DECODERS: Final[dict[type[msgspec.Struct], msgspec.json.Decoder[Any]]] = {
    shape: msgspec.json.Decoder(shape, float_hook=Decimal) for shape in (Named, Client, Property, TaxDetails, Record)
}
