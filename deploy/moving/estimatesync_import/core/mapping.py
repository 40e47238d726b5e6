"""The mapping: which old column fills which of ours, and how its values are read. Everything about it but its proposal.

Each of our columns holds one kind of value, and is likely to be found under certain old names, compared without case
and underscores. A mapping is a TOML file that a person can read, change and keep: `proposal` writes one, the commands
read it back. By it a row of texts becomes one of ours, each value read as the sync program reads Attic Tech's.

A column that merely might be meant (`updatedAt`, which may be when the old program wrote the row) has no old name here
on purpose: a wrong guess would be believed.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from estimatesync_job.core.fields import (
    FieldFaultError,
    parse_id,
    parse_instant,
    parse_money,
    parse_number,
    parse_text,
)
from estimatesync_job.core.rows import PENDING, UNNAMED, Row

from estimatesync_import.core.errors import MappingError

IDENTITY: Final = "attic_tech_estimate_id"
UPDATED: Final = "at_updated_date"

TARGET_NAMES: Final = Row._fields

_DEFAULT_ZONE: Final = "UTC"
_MAX_DIGITS: Final = 6

_ABSENT: Final = {"name": UNNAMED, "status_name": PENDING}
"""What stands for a missing value, as where Attic Tech gives none."""

Value = int | str | Decimal | datetime | None


class Kind(StrEnum):
    """What a column holds, and so how its values are read."""

    ID = "id"
    TEXT = "text"
    MONEY = "money"
    NUMBER = "number"
    INSTANT = "instant"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One of our columns.

    Attributes:
        name: as in the staging table.
        kind: what it holds.
        names: the likely names of the old column, the likeliest first, in lower case and without underscores.
        relations: the same for a foreign key to a table whose rows have names.
    """

    name: str
    kind: Kind
    names: tuple[str, ...]
    relations: tuple[str, ...] = ()


TARGETS: Final = (
    Target(
        name=IDENTITY,
        kind=Kind.ID,
        names=("attictechestimateid", "attictechid", "atestimateid", "externalid", "externalestimateid", "payloadid"),
    ),
    Target(name="name", kind=Kind.TEXT, names=("name", "estimatename", "title")),
    Target(
        name="customer_name",
        kind=Kind.TEXT,
        names=("customername", "clientname", "customerfullname", "clientfullname", "customer", "client"),
    ),
    Target(name="customer_email", kind=Kind.TEXT, names=("customeremail", "clientemail", "email")),
    Target(
        name="customer_phone",
        kind=Kind.TEXT,
        names=("customerphone", "clientphone", "customerphonenumber", "clientphonenumber", "phone", "phonenumber"),
    ),
    Target(
        name="customer_address",
        kind=Kind.TEXT,
        names=("customeraddress", "clientaddress", "propertyaddress", "address"),
    ),
    Target(name="price", kind=Kind.MONEY, names=("price", "truecost")),
    Target(name="retail_cost", kind=Kind.MONEY, names=("retailcost",)),
    Target(name="final_price", kind=Kind.MONEY, names=("finalprice",)),
    Target(
        name="sub_service_retail_cost",
        kind=Kind.MONEY,
        names=("subserviceretailcost", "subservicesretailcost", "subservicecost"),
    ),
    Target(name="discount", kind=Kind.MONEY, names=("discount", "discountprovided")),
    Target(
        name="final_price_after_taxes",
        kind=Kind.MONEY,
        names=("finalpriceaftertaxes", "priceaftertaxes", "finalpricewithtaxes", "pricewithtaxes"),
    ),
    Target(name="attic_tech_hours", kind=Kind.NUMBER, names=("attictechhours", "laborhours", "hours")),
    Target(name="crew_notes", kind=Kind.TEXT, names=("crewnotes", "crewnote", "notes")),
    Target(
        name="payment_method", kind=Kind.TEXT, names=("paymentmethod",), relations=("paymentmethodid", "paymentmethod")
    ),
    Target(
        name="at_created_date",
        kind=Kind.INSTANT,
        names=("atcreateddate", "atcreatedat", "attictechcreatedat", "attictechcreateddate", "sourcecreatedat"),
    ),
    Target(
        name=UPDATED,
        kind=Kind.INSTANT,
        names=("atupdateddate", "atupdatedat", "attictechupdatedat", "attictechupdateddate", "sourceupdatedat"),
    ),
    Target(
        name="branch_name",
        kind=Kind.TEXT,
        names=("branchname", "branch"),
        relations=("branchid", "branch"),
    ),
    Target(
        name="sales_person_name",
        kind=Kind.TEXT,
        names=("salespersonname", "salesperson", "salesrepname", "salesrep"),
        relations=("salespersonid", "salesperson", "salesrepid", "userid", "user"),
    ),
    Target(
        name="status_name",
        kind=Kind.TEXT,
        names=("statusname", "status", "estimatestatus"),
        relations=("statusid", "estimatestatusid", "status"),
    ),
)
"""In the order of a Row."""

KINDS: Final = {target.name: target.kind for target in TARGETS}


def map_name(name: str) -> str:
    """Map a column's or a table's name to the form in which names are compared."""
    return name.replace("_", "").lower()


class ColumnRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where one of our columns comes from, and how its values are read and compared.

    Attributes:
        column: of the old table.
        table: where `column` is a foreign key: the table it leads to; `schema` if that is another one's.
        key: that table's column that `column` equals.
        value: that table's column that holds the text.
        divide_by: 100 for money that is kept in cents.
        strip: characters to remove before a number is read, such as `$,`.
        round: digits behind the point that the old column keeps; ours are rounded so before they are compared.
        cut: characters that the old column keeps; ours are cut so before they are compared.
        also: another column of ours; where the old value equals that one, it counts as equal.
        compare: false leaves the column out of comparisons.
    """

    column: str
    schema: str | None = None
    table: str | None = None
    key: str = "id"
    value: str = "name"
    divide_by: int = 1
    strip: str = ""
    round: int | None = None
    cut: int | None = None
    also: str | None = None
    compare: bool = True


class OldSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The old table: its schema, its name, its primary key, and the zone of its timestamps that have none."""

    schema: str
    table: str
    id: str
    time_zone: str = _DEFAULT_ZONE

    @property
    def label(self) -> str:
        """The table's name in reports and in the id map."""
        return f"{self.schema}.{self.table}"

    @property
    def zone(self) -> ZoneInfo:
        """The zone; `parse_mapping` has checked its name."""
        return ZoneInfo(self.time_zone)


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    old: OldSource
    columns: dict[str, ColumnRule]


def parse_mapping(text: bytes) -> Mapping:
    """Read a mapping file.

    Raises:
        MappingError: It is not TOML, has unknown keys, or contradicts itself; the message lists all that is wrong.
    """
    try:
        mapping = msgspec.toml.decode(text, type=Mapping)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise MappingError([f"it cannot be read: {error}"]) from error
    faults = _find_faults(mapping)
    if faults:
        raise MappingError(faults)
    return mapping


def _find_faults(mapping: Mapping) -> list[str]:
    faults = [fault for name, rule in mapping.columns.items() for fault in _find_rule_faults(name, rule)]
    if IDENTITY not in mapping.columns:
        faults.insert(0, f"columns.{IDENTITY} is missing: without it no old row can be matched with one of ours")
    if mapping.old.time_zone not in available_timezones():
        faults.append("old.time_zone must be an IANA time zone, for example America/New_York")
    return faults


def _find_rule_faults(name: str, rule: ColumnRule) -> list[str]:
    if name not in TARGET_NAMES:
        return [f"columns.{name} is not one of our columns, which are {', '.join(TARGET_NAMES)}"]
    kind, where = KINDS[name], f"columns.{name}"
    is_amount = kind in {Kind.MONEY, Kind.NUMBER}
    checks = (
        (rule.divide_by < 1, "divide_by must be at least 1"),
        (rule.divide_by != 1 and not is_amount, "divide_by is for money and hours"),
        (
            rule.round is not None and not (is_amount and 0 <= rule.round <= _MAX_DIGITS),
            "round is 0 to 6, for money and hours",
        ),
        (rule.cut is not None and not (kind is Kind.TEXT and rule.cut > 0), "cut is for texts, and more than 0"),
        (rule.also is not None and KINDS.get(rule.also) != kind, f"also must name a column of ours that holds {kind}"),
        (rule.schema is not None and rule.table is None, "schema needs table"),
    )
    return [f"{where}: {text}" for is_faulty, text in checks if is_faulty]


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
        """Check whether a row names an estimate of Attic Tech at all."""
        return bool((values[self._identity] or "").strip())

    def build_row(self, old_id: str, values: Sequence[str | None]) -> Row | tuple[ValueProblem, ...]:
        """Build our row, or list everything that is wrong with the old one."""
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
    """Remove what is not part of the number, and divide."""
    if value is None:
        return None
    text = value.translate(dict.fromkeys(map(ord, rule.strip))) if rule.strip else value
    if rule.divide_by == 1:
        return text
    # Checks the number first, exactly; the amount that it stands for is checked by the caller.
    number = parse_number(rule.column, text)
    return None if number is None else number / rule.divide_by


def _add_zone(value: str | None, zone: tzinfo) -> str | None:
    """Add the mapping's zone to a time, unless it has one."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return value if moment.tzinfo else moment.replace(tzinfo=zone).isoformat()
