"""The mapping: which old column fills which of ours, as a person can read, change and keep it in a TOML file.

`proposal` makes one from an old schema, `mapping_file` writes it, the commands read it back.
"""

from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from estimatesync_import.errors import MappingError
from estimatesync_import.targets import IDENTITY, KINDS, TARGET_NAMES, Kind

_DEFAULT_ZONE: Final = "UTC"
_MOST_DIGITS: Final = 6


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
        """The table as a person and the id map name it."""
        return f"{self.schema}.{self.table}"

    @property
    def zone(self) -> ZoneInfo:
        """The zone, which `parse_mapping` has checked."""
        return ZoneInfo(self.time_zone)


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    old: OldSource
    columns: dict[str, ColumnRule]


def parse_mapping(text: bytes) -> Mapping:
    """Read a mapping file.

    Raises:
        MappingError: It is not TOML, has unknown keys, or cannot be meant so; all that is seen is in the message.
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
        faults.insert(0, f"columns.{IDENTITY} is missing: without it no old row can be told to be an estimate of ours")
    if mapping.old.time_zone not in available_timezones():
        faults.append("old.time_zone must be an IANA time zone, for example America/New_York")
    return faults


def _find_rule_faults(name: str, rule: ColumnRule) -> list[str]:
    if name not in TARGET_NAMES:
        return [f"columns.{name} is no column of ours: there are {', '.join(TARGET_NAMES)}"]
    kind, where = KINDS[name], f"columns.{name}"
    is_amount = kind in {Kind.MONEY, Kind.NUMBER}
    checks = (
        (rule.divide_by < 1, "divide_by must be at least 1"),
        (rule.divide_by != 1 and not is_amount, "divide_by is for money and hours"),
        (
            rule.round is not None and not (is_amount and 0 <= rule.round <= _MOST_DIGITS),
            "round is 0 to 6, for money and hours",
        ),
        (rule.cut is not None and not (kind is Kind.TEXT and rule.cut > 0), "cut is for texts, and more than 0"),
        (rule.also is not None and KINDS.get(rule.also) != kind, f"also must name a column of ours that holds {kind}"),
        (rule.schema is not None and rule.table is None, "schema needs table"),
    )
    return [f"{where}: {text}" for is_faulty, text in checks if is_faulty]
