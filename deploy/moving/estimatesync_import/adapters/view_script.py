"""Writes the SQL with which other tables and readers of the old table continue, for an administrator to read and run.

Foreign keys that lead to the old table are changed to lead to ours. Then the old table gets another name, and a view of
its name and columns shows our estimates to those that still read it. The import itself runs none of this.
"""

from typing import Final

from psycopg import sql

from estimatesync_import.adapters.staging import find_mapping_faults
from estimatesync_import.core.errors import MappingError
from estimatesync_import.core.mapping import KINDS, ColumnRule, Kind, Mapping
from estimatesync_import.core.old_schema import OldColumn, OldForeignKey, OldSchema, OldTable

_ACTIONS: Final = {
    "c": sql.SQL("CASCADE"),
    "n": sql.SQL("SET NULL"),
    "d": sql.SQL("SET DEFAULT"),
    "r": sql.SQL("RESTRICT"),
}
"""PostgreSQL's letters for what a foreign key does; `a`, nothing, is the default."""

_NAMED: Final = {
    "branch_name": ("branch", "branch_id"),
    "sales_person_name": ("sales_person", "sales_person_id"),
    "status_name": ("estimate_status", "status_id"),
}
_ASIDE: Final = "_before_estimatesync"
_NAME_LENGTH: Final = 63

_SCRIPT: Final = sql.SQL("""\
-- Generated for an administrator: read it, back up, then run it in one go (psql --file). It is one transaction.
-- Stop the first backend's syncs and import everything that should stay before you run it.
BEGIN;

{keys}
-- The old name and columns as a view, for readers: nothing can be written to it. A branch, sales person or status whose
-- name is not in the old tables shows no key.
ALTER TABLE {old} RENAME TO {aside_name};
CREATE VIEW {old} AS
SELECT
    {columns}
FROM {ours} AS e
LEFT JOIN LATERAL (
    SELECT old_id FROM {id_map} WHERE estimate_id = e.id AND old_table = {label}
    ORDER BY old_id = e.id::text DESC, old_id LIMIT 1
) AS m ON true
LEFT JOIN {aside} AS old ON old.{identity}::text = m.old_id;

COMMIT;
""")
_KEY: Final = sql.SQL("""\
ALTER TABLE {table} DROP CONSTRAINT {name};
UPDATE {table} AS p SET {column} = m.estimate_id FROM {id_map} AS m
    WHERE m.old_table = {label} AND m.old_id = p.{column}::text AND p.{column} <> m.estimate_id;
ALTER TABLE {table} ADD CONSTRAINT {name}
    FOREIGN KEY ({column}) REFERENCES {ours} (id){actions};
""")


def build_view_script(mapping: Mapping, schema: OldSchema, *, our_schema: str) -> str:
    """Write the script; both tables must lie in the same database.

    Args:
        mapping: the one that the import was run with.
        schema: the database as it is now.
        our_schema: where our tables are.

    Raises:
        MappingError: The mapping does not fit the database, or old ids are not numbers.
    """
    table = schema.find_table(mapping.old.schema, mapping.old.table)
    if table is None or (faults := find_mapping_faults(mapping, schema)):
        raise MappingError(faults if table else [f"the database has no table {mapping.old.label}"])
    identity = table.find_column(mapping.old.id)
    if identity is None or identity.category != "N":
        raise MappingError([f"old.id: {table.label}.{mapping.old.id} is not a number, so it cannot hold our ids"])
    return _ViewScript(mapping, table, our_schema).build(schema).as_string(None)


class _ViewScript:
    """What all parts of one script share."""

    def __init__(self, mapping: Mapping, table: OldTable, our_schema: str) -> None:
        self._mapping: Final = mapping
        self._table: Final = table
        self._our_schema: Final = our_schema
        self._label: Final = sql.Literal(mapping.old.label)
        self._id_map: Final = sql.Identifier(our_schema, "imported_estimate")

    def build(self, schema: OldSchema) -> sql.Composed:
        table = self._table
        keys = [key for key in schema.find_keys_to(table) if key.to_column == self._mapping.old.id]
        aside = table.name[: _NAME_LENGTH - len(_ASIDE)] + _ASIDE
        return _SCRIPT.format(
            keys=sql.SQL("\n").join(self._build_key(key) for key in keys),
            old=sql.Identifier(table.schema, table.name),
            aside_name=sql.Identifier(aside),
            aside=sql.Identifier(table.schema, aside),
            columns=sql.SQL(",\n    ").join(self._build_column(column) for column in table.columns),
            ours=sql.Identifier(self._our_schema, "estimate"),
            id_map=self._id_map,
            label=self._label,
            identity=sql.Identifier(self._mapping.old.id),
        )

    def _build_key(self, key: OldForeignKey) -> sql.Composed:
        table, column, name = (
            sql.Identifier(key.schema, key.table),
            sql.Identifier(key.column),
            sql.Identifier(key.name),
        )
        ours = sql.Identifier(self._our_schema, "estimate")
        return _KEY.format(
            table=table,
            name=name,
            column=column,
            ours=ours,
            id_map=self._id_map,
            label=self._label,
            actions=_build_actions(key),
        )

    def _build_column(self, column: OldColumn) -> sql.Composed:
        """The other tables' keys hold our ids from now on, so ours is the id of the view, too."""
        name = sql.Identifier(column.name)
        if column.name == self._mapping.old.id:
            return sql.SQL("{} AS {}").format(_cast(sql.SQL("e.id"), column), name)
        for ours, rule in self._mapping.columns.items():
            if rule.column == column.name:
                return sql.SQL("{} AS {}").format(self._build_value(ours, rule, column), name)
        return sql.SQL("old.{} AS {}").format(name, name)

    def _build_value(self, ours: str, rule: ColumnRule, column: OldColumn) -> sql.Composable:
        value: sql.Composable = sql.Identifier("e", ours)
        if ours in _NAMED:
            table, key = _NAMED[ours]
            value = sql.SQL("(SELECT n.name FROM {} AS n WHERE n.id = {})").format(
                sql.Identifier(self._our_schema, table), sql.Identifier("e", key)
            )
        if rule.table is not None:
            return sql.SQL("(SELECT {key} FROM {table} AS r WHERE {name} = {value} LIMIT 1)").format(
                key=sql.Identifier("r", rule.key),
                table=sql.Identifier(rule.schema or self._mapping.old.schema, rule.table),
                name=sql.Identifier("r", rule.value),
                value=value,
            )
        if rule.divide_by != 1:
            value = sql.SQL("({} * {})").format(value, sql.Literal(rule.divide_by))
        if KINDS[ours] is Kind.INSTANT and "without time zone" in column.type:
            value = sql.SQL("({} AT TIME ZONE {})").format(value, sql.Literal(self._mapping.old.time_zone))
        return _cast(value, column)


def _build_actions(key: OldForeignKey) -> sql.Composed:
    """Build what happens to a row when the estimate that it points at is deleted, or gets another id."""
    parts = [
        sql.SQL(" ON {} {}").format(event, _ACTIONS[code])
        for event, code in ((sql.SQL("DELETE"), key.on_delete), (sql.SQL("UPDATE"), key.on_update))
        if code in _ACTIONS
    ]
    return sql.Composed(parts)


def _cast(value: sql.Composable, column: OldColumn) -> sql.Composed:
    # PostgreSQL has written the type's name itself, quoted where it must be.
    return sql.SQL("{}::{}").format(value, sql.SQL(column.type))
