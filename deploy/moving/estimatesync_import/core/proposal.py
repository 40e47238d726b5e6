"""Proposes a mapping for an old table, and writes it as a TOML file that a person reads, corrects and keeps.

A column is proposed where name and type fit; what needs a person's judgment is a comment above it. Nothing is proposed
that only might be meant: the file lists it as a comment, too.
"""

from typing import Final

import msgspec

from estimatesync_import.core.errors import MappingError
from estimatesync_import.core.mapping import IDENTITY, TARGETS, UPDATED, ColumnRule, Kind, OldSource, Target, map_name
from estimatesync_import.core.old_schema import ESTIMATE_NAMES, OldColumn, OldSchema, OldTable

_VALUE_NAMES: Final = ("name", "fullname", "title", "label", "description")
_RELATION_KIND: Final = Kind.TEXT
_SUFFIX: Final = "id"

_FILE_HEAD: Final = """\
# Which column of the old table fills which of ours. A proposal: read each line, correct it, and keep this file.
# docs/moving.md says what each key means; `plan` shows what an import by this mapping would do, and changes nothing.
"""
_UPDATED_NOTE: Final = (
    "only if a column holds Attic Tech's own updatedAt, and not the time when the old program wrote the row"
)


class ProposedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One of our columns, with the rule that is proposed for it, if any, and what to check."""

    target: Target
    rule: ColumnRule | None = None
    notes: tuple[str, ...] = ()


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping that a person has yet to check."""

    old: OldSource
    columns: tuple[ProposedColumn, ...]
    unused: tuple[OldColumn, ...]
    has_primary_key: bool = True


def find_old_table(schema: OldSchema, wanted: str | None) -> OldTable:
    """Find the table to import: the one that is named, or the only one with a name for estimates.

    Raises:
        MappingError: There is none, or more than one; the message lists them.
    """
    if wanted is not None:
        found = [table for table in schema.tables if wanted in {table.label, table.name}]
    else:
        found = [table for table in schema.tables if map_name(table.name) in ESTIMATE_NAMES and not table.is_ours]
    if len(found) == 1:
        return found[0]
    if not found:
        raise MappingError([_format_nothing_found(schema, wanted)])
    names = ", ".join(table.label for table in found)
    raise MappingError([f"more than one table may be meant: {names}. Name one with --table schema.table"])


def _format_nothing_found(schema: OldSchema, wanted: str | None) -> str:
    tables = ", ".join(table.label for table in schema.tables if not table.is_ours) or "none"
    what = f"there is no table {wanted}" if wanted else "no table is called estimate or estimates"
    return f"{what}. Name one with --table schema.table; there are: {tables[:2000]}"


def build_proposal(schema: OldSchema, table: OldTable) -> Proposal:
    """Propose a rule for each of our columns.

    Raises:
        MappingError: The table cannot be read, or nothing names its rows.
    """
    if not table.is_readable:
        raise MappingError([f"{table.label} cannot be read by this user: grant USAGE on its schema and SELECT on it"])
    identity = table.primary_key or _find_identity(table)
    columns = tuple(_propose(schema, table, target) for target in TARGETS)
    used = {column.rule.column for column in columns if column.rule} | {identity}
    return Proposal(
        old=OldSource(schema=table.schema, table=table.name, id=identity),
        has_primary_key=table.primary_key is not None,
        columns=columns,
        unused=tuple(column for column in table.columns if column.name not in used),
    )


def _find_identity(table: OldTable) -> str:
    """Views and some tables have no primary key, and a key of several columns cannot name a row here."""
    if table.find_column("id") is None:
        raise MappingError(
            [f"{table.label} has neither a primary key of one column nor a column id to name its rows by"]
        )
    return "id"


def _propose(schema: OldSchema, table: OldTable, target: Target) -> ProposedColumn:
    for name in target.relations:
        for column in table.columns:
            if map_name(column.name) == name and (found := _propose_relation(schema, table, target, column)):
                return found
    fitting = [column for name in target.names for column in table.columns if map_name(column.name) == name]
    suitable = [column for column in fitting if _is_suitable(target.kind, column)]
    if not suitable:
        return ProposedColumn(target=target, notes=tuple(_format_unsuitable(column) for column in fitting))
    return ProposedColumn(
        target=target,
        rule=_build_rule(target, suitable[0]),
        notes=(
            *_find_notes(target, suitable[0]),
            *(f'"{column.name}" may be the right one, too' for column in suitable[1:]),
        ),
    )


def _is_suitable(kind: Kind, column: OldColumn) -> bool:
    """Texts may hold anything; a number does not count as text, for it is likely to be a key."""
    categories = {
        Kind.ID: "NS",
        Kind.TEXT: "SE",
        Kind.MONEY: "NS",
        Kind.NUMBER: "NS",
        Kind.INSTANT: "DS",
    }
    return column.category in categories[kind]


def _format_unsuitable(column: OldColumn) -> str:
    return f'"{column.name}" has the right name, but is of type {column.type}'


def _build_rule(target: Target, column: OldColumn) -> ColumnRule:
    is_amount = target.kind in {Kind.MONEY, Kind.NUMBER}
    keeps = 2 if target.kind is Kind.MONEY else 6
    scale = column.scale if is_amount and column.scale is not None and column.scale < keeps else None
    return ColumnRule(
        column=column.name,
        round=scale,
        cut=column.max_length if target.kind is Kind.TEXT else None,
    )


def _find_notes(target: Target, column: OldColumn) -> tuple[str, ...]:
    notes = []
    if column.type.startswith("timestamp") and "without" in column.type:
        notes.append("it has no time zone: old.time_zone says which one applies")
    if column.scale == 0 and target.kind is Kind.MONEY:
        notes.append("whole numbers: if they are cents, add divide_by = 100 and remove round")
    if column.category == "S" and target.kind is not Kind.TEXT:
        notes.append(f"texts, which are read as {target.kind}: `plan` lists those that cannot be")
    return tuple(notes)


def _propose_relation(schema: OldSchema, table: OldTable, target: Target, column: OldColumn) -> ProposedColumn | None:
    """Follow a foreign key; where the database has none, a table of a fitting name is proposed with a note."""
    notes: tuple[str, ...] = ()
    key = schema.find_foreign_key(table, column.name)
    if key is not None:
        other, key_column = schema.find_table(key.to_schema, key.to_table), key.to_column
    else:
        if column.category not in "NU":
            return None
        other = _find_named_table(schema, table, column)
        key_column = (other.primary_key or "id") if other else "id"
        notes = ("no foreign key leads there: check whether this is the right table",)
    value = _find_value_column(other) if other else None
    if other is None or value is None:
        return None
    rule = ColumnRule(
        column=column.name,
        schema=other.schema if other.schema != table.schema else None,
        table=other.name,
        key=key_column,
        value=value.name,
        cut=value.max_length,
    )
    return ProposedColumn(target=target, rule=rule, notes=notes)


def _find_named_table(schema: OldSchema, table: OldTable, column: OldColumn) -> OldTable | None:
    """`status_id` of `estimate` may lead to `status`, `statuses`, `estimate_status` and the like."""
    stem = map_name(column.name).removesuffix(_SUFFIX)
    names = {stem, f"{stem}s", f"{stem}es", f"estimate{stem}", f"estimate{stem}s", f"estimate{stem}es"}
    near = [other for other in schema.tables if other.schema == table.schema and map_name(other.name) in names]
    return near[0] if len(near) == 1 else None


def _find_value_column(table: OldTable) -> OldColumn | None:
    texts = {map_name(column.name): column for column in table.columns if column.category in "SE"}
    return next((texts[name] for name in _VALUE_NAMES if name in texts), None)


def format_mapping_file(proposal: Proposal) -> str:
    """Write the mapping as a file."""
    old = "\n".join(f"{key} = {_quote(str(value))}" for key, value in msgspec.structs.asdict(proposal.old).items())
    columns = "\n".join(_format_column(column) for column in proposal.columns)
    note = "" if proposal.has_primary_key else "# no primary key: check that id is different in each row\n"
    return f"{_FILE_HEAD}\n[old]\n{note}{old}\n\n[columns]\n{columns}\n{_format_unused(proposal)}"


def _format_column(column: ProposedColumn) -> str:
    name = column.target.name
    notes = [f"# {note}" for note in column.notes]
    if column.rule is not None:
        return "\n".join((*notes, f"{name} = {_format_rule(column.rule)}"))
    if name == IDENTITY:
        notes.append("# required: the id that Attic Tech gave the estimate")
    if name == UPDATED:
        notes.append(f"# {_UPDATED_NOTE}")
    return "\n".join((*notes, f'#{name} = {{ column = "" }}'))


def _format_rule(rule: ColumnRule) -> str:
    fields = msgspec.to_builtins(rule)
    return "{ " + ", ".join(f"{key} = {_format_value(value)}" for key, value in fields.items()) + " }"


def _format_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else _quote(str(value))


def _quote(text: str) -> str:
    """Write a TOML basic string, whose escapes are a superset of JSON's."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007F")


def _format_unused(proposal: Proposal) -> str:
    if not proposal.unused:
        return ""
    lines = "\n".join(f"#   {_quote(column.name)} {column.type}" for column in proposal.unused)
    return f"\n# Columns of the old table that fill none of ours:\n{lines}\n"
