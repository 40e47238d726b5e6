"""What `where[field][operator]=value` means: typed conditions, and whether a record meets them.

`find_queries` builds conditions from a query string, tests build them directly, `paging` applies them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto
from operator import ge, gt, le, lt
from typing import Any, assert_never

from sample_attic_tech.instants import parse_instant
from sample_attic_tech.payload_errors import QueryError

Scalar = float | str | datetime | None


class FieldKind(StrEnum):
    """How a queryable field's values compare."""

    NUMBER = auto()
    TEXT = auto()
    INSTANT = auto()


FIELD_KINDS: Mapping[str, FieldKind] = {
    "id": FieldKind.NUMBER,
    "name": FieldKind.TEXT,
    "status": FieldKind.TEXT,
    "createdAt": FieldKind.INSTANT,
    "updatedAt": FieldKind.INSTANT,
}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One comparison of one field; `operand` is a scalar, a tuple for `in`, a bool for `exists`."""

    field: str
    operator: str
    operand: Scalar | tuple[Scalar, ...] | bool


@dataclass(frozen=True, kw_only=True)
class AllOf:
    """Every part must hold; no parts hold always."""

    parts: tuple["Where", ...]


@dataclass(frozen=True, kw_only=True)
class AnyOf:
    """At least one part must hold."""

    parts: tuple["Where", ...]


Where = Condition | AllOf | AnyOf


def _when_present(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """As in SQL, an order comparison with null never holds."""
    return lambda value, operand: value is not None and operand is not None and compare(value, operand)


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": lambda value, operand: value == operand,
    "not_equals": lambda value, operand: value != operand,
    "greater_than": _when_present(gt),
    "greater_than_equal": _when_present(ge),
    "less_than": _when_present(lt),
    "less_than_equal": _when_present(le),
    "in": lambda value, operand: value in operand,
    "exists": lambda value, operand: (value is not None) is operand,
}


def parse_condition(field: str, operator: str, texts: tuple[str, ...]) -> Condition:
    """Build a condition from the texts of a query string; several texts serve `in`.

    Payload lets an unreadable date or number match nothing; the sample refuses it, so that a client's mistake shows.

    Raises:
        QueryError: for a field or operator that cannot be queried, or an unreadable value.
    """
    if field not in FIELD_KINDS:
        raise QueryError(field)
    if operator not in OPERATORS:
        raise QueryError(f"{field}.{operator}")
    try:
        return Condition(field=field, operator=operator, operand=_parse_operand(field, operator, texts))
    except ValueError as error:
        raise QueryError(field) from error


def _parse_operand(field: str, operator: str, texts: tuple[str, ...]) -> Scalar | tuple[Scalar, ...] | bool:
    if operator == "exists":
        return texts[0] == "true"
    if operator == "in":
        return tuple(_parse_scalar(field, part.strip()) for text in texts for part in text.split(","))
    return _parse_scalar(field, texts[0])


def _parse_scalar(field: str, text: str) -> Scalar:
    match FIELD_KINDS[field]:
        case FieldKind.NUMBER:
            return float(text)
        case FieldKind.INSTANT:
            return None if text in {"", "null"} else parse_instant(text)
        case FieldKind.TEXT:
            return text


def read_field(record: Mapping[str, Any], path: str) -> Scalar:
    """Read a field for comparing: `branch.name` goes inside, instants are parsed, a relation counts as its id.

    What is missing on the way, and a list, is null.
    """
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        value = value.get("id")
    if FIELD_KINDS.get(path) is FieldKind.INSTANT and isinstance(value, str):
        return parse_instant(value)
    return value if isinstance(value, int | float | str) else None


def matches(record: Mapping[str, Any], where: Where) -> bool:
    """Whether the record meets the conditions."""
    match where:
        case AllOf(parts=parts):
            return all(matches(record, part) for part in parts)
        case AnyOf(parts=parts):
            return any(matches(record, part) for part in parts)
        case Condition():
            return OPERATORS[where.operator](read_field(record, where.field), where.operand)
        case _:
            assert_never(where)
