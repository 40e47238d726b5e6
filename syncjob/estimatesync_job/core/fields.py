"""Single values of a record: any JSON value in, a value for its column out, or a fault that names the field.

`rows` puts them together. A value that can be kept is kept; only what would corrupt a column is refused. What a record
does not have is UNSET, and counts as none.
"""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from msgspec import UNSET

_BIGINT_LIMIT: Final = 2**63
CENT: Final = Decimal("0.01")
_SIX_PLACES: Final = Decimal("0.000001")
_ID_MAX_LENGTH: Final = 20
_PLAIN_EXPONENTS: Final = range(-6, 1)
_NUMBER_LIMIT: Final = Decimal(10) ** 10
"""What numeric(12,2) can hold: amounts below this."""
_MONEY_LIMIT: Final = _NUMBER_LIMIT - CENT / 2
"""The same before rounding."""
_SURE_DIGITS: Final = 7
"""A number that is written with no more characters is small enough, and has no more than six places."""
_SURE_EXPONENT: Final = 9
"""A number whose first digit stands for less than this power of ten is small enough."""

_JSON: Final = msgspec.json.Encoder(decimal_format="number")


class FieldFaultError(ValueError):
    """A value that its column cannot store. The text never repeats the value, which may be a customer's."""

    def __init__(self, field: str, problem: str) -> None:
        """Name the field as Attic Tech calls it."""
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


def parse_id(field: str, value: Any) -> int:  # noqa: ANN401 - any JSON value
    """Read an id that must be there: an integer, or the text of one as it is usually written.

    007, or 7 in other digits, is not: it would take the place of 7, which Attic Tech knows as another estimate.
    """
    if isinstance(value, str) and len(value) <= _ID_MAX_LENGTH and is_plain_number(text := value.strip()):
        value = int(text)
    if isinstance(value, bool) or not isinstance(value, int) or not -_BIGINT_LIMIT <= value < _BIGINT_LIMIT:
        raise FieldFaultError(field, "is missing" if value is None else "is not an integer")
    return value


def is_storable_id(text: str) -> bool:
    """Return whether a text is the id that an estimate may have in the tables."""
    return len(text) <= _ID_MAX_LENGTH and is_plain_number(text) and int(text) < _BIGINT_LIMIT


def is_plain_number(text: str) -> bool:
    """Return whether a text is a whole number as it is usually written, without a sign and zeros in front."""
    return text.isascii() and text.isdecimal() and (text == "0" or not text.startswith("0"))


def parse_text(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """Read a text; anything else is kept as its JSON, and mere white space counts as none.

    PostgreSQL cannot store NUL characters, so they are dropped.
    """
    if value is None or value is UNSET:
        return None
    text: str = value if isinstance(value, str) else _JSON.encode(value).decode()
    if "\0" in text:
        text = text.replace("\0", "")
    return text.strip() or None


def parse_number(field: str, value: Any) -> Decimal | None:  # noqa: ANN401 - any JSON value
    """Read a number or the text of one, exactly to six places; an empty text counts as none."""
    number = value if isinstance(value, Decimal) else _parse_decimal(field, value)
    if number is None:
        return None
    if len(text := str(number)) <= _SURE_DIGITS and "E" not in text:
        return number
    if not -_NUMBER_LIMIT < number < _NUMBER_LIMIT:
        raise _build_size_fault(field)
    rounded = number.quantize(_SIX_PLACES, ROUND_HALF_UP)
    # PostgreSQL does not read every exponent, not even that of a zero.
    is_plain = rounded == number and number.as_tuple().exponent in _PLAIN_EXPONENTS
    return number if is_plain else rounded


def parse_money(field: str, value: Any) -> Decimal | None:  # noqa: ANN401 - any JSON value
    """Read an amount, rounded to cents as PostgreSQL rounds: half away from zero."""
    number = value if isinstance(value, Decimal) else _parse_decimal(field, value)
    if number is None:
        return None
    if number.adjusted() >= _SURE_EXPONENT and not -_MONEY_LIMIT < number < _MONEY_LIMIT:
        raise _build_size_fault(field)
    return number.quantize(CENT, ROUND_HALF_UP)


def _parse_decimal(field: str, value: Any) -> Decimal | None:  # noqa: ANN401 - any JSON value
    """Read what is not a Decimal yet: those come from JSON itself, which has neither NaN nor infinity."""
    if value is None or value is UNSET or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise FieldFaultError(field, "is not a number")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise FieldFaultError(field, "is not a number") from error
    if not number.is_finite():
        raise FieldFaultError(field, "is not a number")
    return number


def parse_instant(field: str, value: Any) -> datetime | None:  # noqa: ANN401 - any JSON value
    """Read an ISO 8601 date; one without an offset is in UTC, and an empty text counts as none."""
    if value is None or value is UNSET or value == "":
        return None
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is UTC:
            return instant
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise FieldFaultError(field, "is not a date such as 2025-10-16T14:09:00.000Z") from error


def _build_size_fault(field: str) -> FieldFaultError:
    return FieldFaultError(field, f"is too large: it must be below {_NUMBER_LIMIT:,}")
