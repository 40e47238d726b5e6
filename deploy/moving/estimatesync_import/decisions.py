"""The statements that decide what an import does with each staged estimate, and that do it; composed, never pasted.

new        we do not have it
changed    ours came from an import and is not newer, or is older by Attic Tech's updatedAt
kept       it differs, but ours is newer, or as new and from a sync
unchanged  every mapped column is equal

Only mapped columns are looked at and written: what the old table does not have is left as it is.
"""

from collections.abc import Sequence
from typing import Final

from psycopg import sql

from estimatesync_import.targets import IDENTITY, TARGET_NAMES

RELATIONS: Final = {"branch_name": "branch", "sales_person_name": "sales_person", "status_name": "estimate_status"}
"""Our columns that are names of other rows, and the tables of those."""
_ID_COLUMNS: Final = {"branch_name": "branch_id", "sales_person_name": "sales_person_id", "status_name": "status_id"}

OURS: Final = sql.SQL("""
    SELECT estimate.*, branch.name AS branch_name, sales_person.name AS sales_person_name,
        estimate_status.name AS status_name
    FROM estimate
    LEFT JOIN branch ON branch.id = estimate.branch_id
    LEFT JOIN sales_person ON sales_person.id = estimate.sales_person_id
    LEFT JOIN estimate_status ON estimate_status.id = estimate.status_id
""")
"""Our estimates with the names that their keys lead to."""

NEWEST: Final = sql.SQL("""
    SELECT DISTINCT ON (attic_tech_estimate_id) *
    FROM staging
    ORDER BY attic_tech_estimate_id, at_updated_date DESC NULLS LAST, arrival DESC
""")
"""Of an estimate that more than one old row holds, the newest counts, and of equally new ones the last."""

_DECIDE: Final = sql.SQL("""
CREATE TEMPORARY TABLE decision ON COMMIT DROP AS
WITH newest AS ({newest}), ours AS ({ours})
SELECT
    newest.*,
    CASE
        WHEN ours.id IS NULL THEN 'new'
        WHEN ({ours_values}) IS NOT DISTINCT FROM ({their_values}) THEN 'unchanged'
        WHEN newest.at_updated_date > ours.at_updated_date THEN 'changed'
        WHEN
            starts_with(ours.last_sync_uid, 'import:')
            AND (newest.at_updated_date < ours.at_updated_date) IS NOT TRUE
            THEN 'changed'
        ELSE 'kept'
    END AS action
FROM newest
LEFT JOIN ours USING (attic_tech_estimate_id)
""")

_INSERT: Final = sql.SQL("""
INSERT INTO estimate ({id_column} {columns}, first_synced_at, last_synced_at, first_sync_uid, last_sync_uid)
{overriding}
SELECT {id_value} {values}, statement_timestamp(), statement_timestamp(), %(uid)s, %(uid)s
FROM decision
{joins}
WHERE action = 'new'
""")

_UPDATE: Final = sql.SQL("""
UPDATE estimate
SET {assignments}, last_synced_at = statement_timestamp(), last_sync_uid = %(uid)s
FROM decision
{joins}
WHERE action = 'changed' AND estimate.attic_tech_estimate_id = decision.attic_tech_estimate_id
""")


def build_decision(mapped: Sequence[str]) -> sql.Composed:
    """Decide about each staged estimate, by the mapped columns."""
    columns = [name for name in mapped if name != IDENTITY] or [IDENTITY]
    return _DECIDE.format(
        newest=NEWEST,
        ours=OURS,
        ours_values=_build_row("ours", columns),
        their_values=_build_row("newest", columns),
    )


def _build_row(table: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL("ROW ({})").format(sql.SQL(", ").join(sql.Identifier(table, name) for name in columns))


def build_insert(*, keep_ids: bool) -> sql.Composed:
    """Insert what is new; `keep_ids` gives each estimate the id of its old row."""
    return _INSERT.format(
        id_column=sql.SQL("id,") if keep_ids else sql.SQL(""),
        id_value=sql.SQL("decision.old_id::bigint,") if keep_ids else sql.SQL(""),
        overriding=sql.SQL("OVERRIDING SYSTEM VALUE") if keep_ids else sql.SQL(""),
        columns=sql.SQL(", ").join(sql.Identifier(_ID_COLUMNS.get(name, name)) for name in TARGET_NAMES),
        values=sql.SQL(", ").join(_build_source(name) for name in TARGET_NAMES),
        joins=_build_joins(TARGET_NAMES),
    )


def build_update(mapped: Sequence[str]) -> sql.Composed:
    """Write the mapped columns of what has changed."""
    columns = [name for name in mapped if name != IDENTITY] or [IDENTITY]
    assignments = [
        sql.SQL("{} = {}").format(sql.Identifier(_ID_COLUMNS.get(name, name)), _build_source(name)) for name in columns
    ]
    return _UPDATE.format(assignments=sql.SQL(", ").join(assignments), joins=_build_joins(columns))


def _build_source(name: str) -> sql.Identifier:
    return sql.Identifier(RELATIONS[name], "id") if name in RELATIONS else sql.Identifier("decision", name)


def _build_joins(columns: Sequence[str]) -> sql.Composable:
    joins = [
        sql.SQL("LEFT JOIN {table} ON {name} = {value}").format(
            table=sql.Identifier(table),
            name=sql.Identifier(table, "name"),
            value=sql.Identifier("decision", column),
        )
        for column, table in RELATIONS.items()
        if column in columns
    ]
    return sql.SQL("\n").join(joins)
