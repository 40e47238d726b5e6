"""From an old row, whose values come as texts, to one of ours.

Each value is read as the sync program reads Attic Tech's. `old_rows` fetches them, `staging` hands them on.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final

import msgspec
from estimatesync_job.field_values import (
    FieldFaultError,
    parse_id,
    parse_instant,
    parse_money,
    parse_number,
    parse_text,
)
from estimatesync_job.rows import PENDING, UNNAMED, Row

from estimatesync_import.mapping import ColumnRule, Mapping
from estimatesync_import.targets import IDENTITY, KINDS, TARGET_NAMES, Kind

_ABSENT: Final = {"name": UNNAMED, "status_name": PENDING}
"""What stands for a value that is not there, as where Attic Tech gives none."""

Value = int | str | Decimal | datetime | None


class ValueProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A value that our column cannot take: the old row's id, the old column, and what is wrong. Never the value."""

    old_id: str
    column: str
    problem: str


class Conversion:
    """Reads rows by one mapping; the columns come in the order of `names`."""

    def __init__(self, mapping: Mapping) -> None:
        self.names: Final = tuple(name for name in TARGET_NAMES if name in mapping.columns)
        self._rules: Final = tuple(mapping.columns[name] for name in self.names)
        self._zone: Final = mapping.old.zone
        self._identity: Final = self.names.index(IDENTITY)

    def has_identity(self, values: Sequence[str | None]) -> bool:
        """Tell whether a row names an estimate of Attic Tech at all."""
        return bool((values[self._identity] or "").strip())

    def build_row(self, old_id: str, values: Sequence[str | None]) -> Row | tuple[ValueProblem, ...]:
        """Read one row, or say everything that is wrong with it."""
        read: dict[str, Value] = {}
        problems = []
        for name, rule, value in zip(self.names, self._rules, values, strict=True):
            try:
                read[name] = _parse_value(KINDS[name], rule, value, self._zone)
            except FieldFaultError as fault:
                problems.append(ValueProblem(old_id=old_id, column=rule.column, problem=fault.problem))
        if problems:
            return tuple(problems)
        return Row(*(read.get(name) or _ABSENT.get(name, read.get(name)) for name in TARGET_NAMES))  # type: ignore[arg-type] # each by its kind


def _parse_value(kind: Kind, rule: ColumnRule, value: str | None, zone: tzinfo) -> Value:
    match kind:
        case Kind.ID:
            return parse_id(rule.column, value)
        case Kind.TEXT:
            return parse_text(value)
        case Kind.MONEY:
            return parse_money(rule.column, _parse_amount(rule, value))
        case Kind.NUMBER:
            return parse_number(rule.column, _parse_amount(rule, value))
        case Kind.INSTANT:
            return parse_instant(rule.column, _add_zone(value, zone))


def _parse_amount(rule: ColumnRule, value: str | None) -> Decimal | str | None:
    """Take away what is not part of the number, and divide."""
    if value is None:
        return None
    text = value.translate(dict.fromkeys(map(ord, rule.strip))) if rule.strip else value
    if rule.divide_by == 1:
        return text
    # Checks the number first, exactly; the amount that it stands for is checked by the caller.
    number = parse_number(rule.column, text)
    return None if number is None else number / rule.divide_by


def _add_zone(value: str | None, zone: tzinfo) -> str | None:
    """Give a time the zone that is meant, unless it has one."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return value if moment.tzinfo else moment.replace(tzinfo=zone).isoformat()
