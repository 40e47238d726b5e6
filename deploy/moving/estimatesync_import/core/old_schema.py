"""An old database as its catalog describes it: tables, columns, foreign keys. `adapters/databases.py` reads it."""

from typing import Final

import msgspec

ESTIMATE_NAMES: Final = ("estimate", "estimates", "jobestimate", "jobestimates")
"""What the old table may be called, in the form in which names are compared."""


class OldColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column.

    Attributes:
        name: as it is quoted.
        type: as PostgreSQL writes it, such as `character varying(100)`.
        category: PostgreSQL's letter for its kind: N numbers, S texts, D times, U others.
        max_length: characters it keeps, where it is limited.
        scale: digits behind the point that it keeps; 0 for integers; None where it is not limited.
    """

    name: str
    type: str
    category: str
    max_length: int | None = None
    scale: int | None = None


class OldForeignKey(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign key of one column: from where, to where, and what happens when the row it leads to is deleted."""

    name: str
    schema: str
    table: str
    column: str
    to_schema: str
    to_table: str
    to_column: str
    on_delete: str = "a"
    on_update: str = "a"


class OldTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table or a view.

    Attributes:
        schema: its schema.
        name: as it is quoted.
        columns: in their order.
        primary_key: the one column of it; None without one.
        is_readable: whether this user may select from it.
        is_ours: whether it lies in a schema of this program.
    """

    schema: str
    name: str
    columns: tuple[OldColumn, ...]
    primary_key: str | None = None
    is_readable: bool = True
    is_ours: bool = False

    @property
    def label(self) -> str:
        """The name as it is written in SQL and in messages."""
        return f"{self.schema}.{self.name}"

    def find_column(self, name: str) -> OldColumn | None:
        """Find the column of exactly this name."""
        return next((column for column in self.columns if column.name == name), None)


class OldSchema(msgspec.Struct, frozen=True, kw_only=True):
    """The tables and foreign keys of a database."""

    tables: tuple[OldTable, ...]
    foreign_keys: tuple[OldForeignKey, ...] = ()

    def find_table(self, schema: str, name: str) -> OldTable | None:
        """Find the table of exactly this name."""
        return next((table for table in self.tables if (table.schema, table.name) == (schema, name)), None)

    def find_foreign_key(self, table: OldTable, column: str) -> OldForeignKey | None:
        """Find the foreign key that a column is."""
        place = (table.schema, table.name, column)
        return next((key for key in self.foreign_keys if (key.schema, key.table, key.column) == place), None)

    def find_keys_to(self, table: OldTable) -> tuple[OldForeignKey, ...]:
        """Find the foreign keys of other tables that lead to a table."""
        place = (table.schema, table.name)
        return tuple(key for key in self.foreign_keys if (key.to_schema, key.to_table) == place)
