"""Writes a proposed mapping as a TOML file that a person reads, corrects and keeps."""

from typing import Final

import msgspec

from estimatesync_import.mapping import ColumnRule
from estimatesync_import.proposal import Proposal, ProposedColumn
from estimatesync_import.targets import IDENTITY, UPDATED

_HEAD: Final = """\
# Which column of the old table fills which of ours. A proposal: read each line, correct it, and keep this file.
# docs/moving.md says what each key means; `plan` shows what an import by this mapping would do, and changes nothing.
"""
_UPDATED_NOTE: Final = (
    "only if a column holds Attic Tech's own updatedAt; when the old program wrote the row is something else"
)


def format_mapping_file(proposal: Proposal) -> str:
    """Write the file."""
    old = "\n".join(f"{key} = {_quote(str(value))}" for key, value in msgspec.structs.asdict(proposal.old).items())
    columns = "\n".join(_format_column(column) for column in proposal.columns)
    note = "" if proposal.has_primary_key else "# no primary key: look whether id is different in each row\n"
    return f"{_HEAD}\n[old]\n{note}{old}\n\n[columns]\n{columns}\n{_format_unused(proposal)}"


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
