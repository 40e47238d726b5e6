"""The table of syncs in PostgreSQL: statements and rows, for the two stores in `stores.py`.

Raises psycopg's own errors; what they mean to the API and to the reconciler is the stores' business.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, LiteralString

import msgspec
import psycopg
from estimatesync_api.listing import SyncQuery
from estimatesync_contract.estimate_sync import EstimateSync, parse_estimate_sync
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import EstimateSyncStatus
from psycopg.rows import DictRow

from estimatesync_local.lasting_connection import LastingConnection

_INSERT: Final = """
INSERT INTO estimatesync_local.sync (name, labels, annotations, spec)
VALUES (%(name)s, %(labels)s::jsonb, %(annotations)s::jsonb, %(spec)s::jsonb) RETURNING *
"""
_SELECT: Final = "SELECT * FROM estimatesync_local.sync WHERE name = %(name)s"
_SELECT_UNFINISHED: Final = """
SELECT * FROM estimatesync_local.sync WHERE phase IS NULL OR phase IN ('Queued', 'Running') ORDER BY created_at, name
"""
_SELECT_NEWEST: Final = """
SELECT * FROM estimatesync_local.sync
WHERE coalesce(phase, 'Queued') = ANY(%(phases)s)
  AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR created_at < %(until)s)
  AND (%(after_name)s::text IS NULL OR (created_at, name) < (%(after_time)s::timestamptz, %(after_name)s))
ORDER BY created_at DESC, name DESC LIMIT %(limit)s
"""
_SELECT_UNFINISHED_NAMES: Final = """
SELECT name FROM estimatesync_local.sync
WHERE name = ANY(%(names)s) AND coalesce(phase, 'Queued') IN ('Queued', 'Running')
"""
_SELECT_BY_DAYS: Final = """
SELECT * FROM estimatesync_local.sync
WHERE (phase IS NULL OR phase IN ('Queued', 'Running')) AND spec -> 'dateRange' = %(days)s::jsonb
ORDER BY created_at DESC, name DESC
"""
_CANCEL: Final = """
UPDATE estimatesync_local.sync SET spec = spec || '{"cancel": true}' WHERE name = %(name)s RETURNING *
"""
_ANNOTATE: Final = """
UPDATE estimatesync_local.sync SET annotations = annotations || %(annotations)s::jsonb WHERE name = %(name)s RETURNING *
"""
_SELECT_NAMES: Final = "SELECT name, uid::text FROM estimatesync_local.sync ORDER BY created_at, name"
_UPDATE_STATUS: Final = """
UPDATE estimatesync_local.sync SET status = %(status)s::jsonb
WHERE name = %(name)s AND uid = %(uid)s::uuid AND resource_version = %(resource_version)s RETURNING *
"""
_DELETE: Final = "DELETE FROM estimatesync_local.sync WHERE name = %(name)s AND uid = %(uid)s::uuid"
_CHECK: Final = "SELECT FROM estimatesync_local.sync LIMIT 1"


class SyncTable:
    """Reads and writes rows as syncs.

    Every call raises psycopg.Error or TimeoutError when the database does not answer, or refuses.
    """

    def __init__(self, database_url: str) -> None:
        """Connect when there is something to do."""
        self._connection = LastingConnection(database_url)

    async def close(self) -> None:
        """Let go of the database."""
        await self._connection.close()

    async def check(self) -> None:
        """Make sure that the table can be read."""
        async with self._connection.using() as connection:
            await connection.execute(_CHECK)

    async def insert(self, sync: EstimateSync) -> EstimateSync:
        """Add a row without a status.

        Raises:
            psycopg.errors.UniqueViolation: The name is taken.
            psycopg.DataError, psycopg.IntegrityError: The row cannot be stored as it is.
        """
        values = {
            "name": sync.name,
            "labels": _format(sync.metadata.labels),
            "annotations": _format(sync.metadata.annotations),
            "spec": _format(sync.spec),
        }
        async with self._connection.using() as connection:
            row = await (await connection.execute(_INSERT, values)).fetchone()
        if row is None:
            raise psycopg.DataError("the database stored no row")
        return map_row(row)

    async def select(self, name: str) -> EstimateSync | None:
        """Read one row."""
        if "\0" in name:
            # PostgreSQL knows no such text, so no row can have it.
            return None
        async with self._connection.using() as connection:
            row = await (await connection.execute(_SELECT, {"name": name})).fetchone()
        return None if row is None else map_row(row)

    async def select_unfinished(self) -> tuple[EstimateSync, ...]:
        """Read the rows without a final phase, the oldest first."""
        async with self._connection.using() as connection:
            rows = await (await connection.execute(_SELECT_UNFINISHED)).fetchall()
        return tuple(map_row(row) for row in rows)

    async def select_newest(self, query: SyncQuery) -> tuple[EstimateSync, ...]:
        """Read the rows that are asked for, newest first, and one more than the limit if there are more."""
        values = {
            "phases": sorted(query.phases),
            "since": query.since,
            "until": query.until,
            "after_time": query.after.created_at if query.after else None,
            "after_name": query.after.name if query.after else None,
            "limit": query.limit + 1,
        }
        async with self._connection.using() as connection:
            rows = await (await connection.execute(_SELECT_NEWEST, values)).fetchall()
        return tuple(map_row(row) for row in rows)

    async def select_unfinished_names(self, names: Collection[str]) -> frozenset[str]:
        """Name those of the rows that have no final phase."""
        async with self._connection.using() as connection:
            cursor = await connection.execute(_SELECT_UNFINISHED_NAMES, {"names": list(names)})
            return frozenset([row["name"] async for row in cursor])

    async def select_by_days(self, days: DateRange) -> tuple[EstimateSync, ...]:
        """Read the rows of exactly these days without a final phase, newest first."""
        async with self._connection.using() as connection:
            rows = await (await connection.execute(_SELECT_BY_DAYS, {"days": _format(days)})).fetchall()
        return tuple(map_row(row) for row in rows)

    async def cancel(self, name: str) -> EstimateSync | None:
        """Ask for a sync to be stopped; None when there is no such row."""
        return await self._change(_CANCEL, {"name": name})

    async def annotate(self, name: str, annotations: Mapping[str, str]) -> EstimateSync | None:
        """Add annotations to a sync; None when there is no such row."""
        return await self._change(_ANNOTATE, {"name": name, "annotations": _format(dict(annotations))})

    async def select_names(self) -> dict[str, str]:
        """Read the uid of every sync, by name."""
        async with self._connection.using() as connection:
            rows = await (await connection.execute(_SELECT_NAMES)).fetchall()
        return {row["name"]: row["uid"] for row in rows}

    async def update_status(self, sync: EstimateSync, status: EstimateSyncStatus) -> EstimateSync | None:
        """Write the status of exactly this version; None when there is no such version any more."""
        values = {
            "name": sync.name,
            "uid": sync.uid,
            "resource_version": int(sync.metadata.resource_version),
            "status": _format(status),
        }
        return await self._change(_UPDATE_STATUS, values)

    async def delete(self, sync: EstimateSync) -> None:
        """Remove the row, if it is still the same sync's."""
        async with self._connection.using() as connection:
            await connection.execute(_DELETE, {"name": sync.name, "uid": sync.uid})

    async def _change(self, statement: LiteralString, values: dict[str, Any]) -> EstimateSync | None:
        async with self._connection.using() as connection:
            row = await (await connection.execute(statement, values)).fetchone()
        return None if row is None else map_row(row)


def map_row(row: DictRow) -> EstimateSync:
    """Read a row as the sync it holds.

    Raises:
        MalformedSyncError: Somebody wrote into the table what is not a sync.
    """
    metadata = {
        "name": row["name"],
        "uid": str(row["uid"]),
        "resourceVersion": str(row["resource_version"]),
        "generation": row["generation"],
        "creationTimestamp": row["created_at"],
        "labels": row["labels"],
        "annotations": row["annotations"],
    }
    return parse_estimate_sync({"metadata": metadata, "spec": row["spec"], "status": row["status"]})


def _format(value: Any) -> str:  # noqa: ANN401 - any value of the contract becomes JSON
    return msgspec.json.encode(value).decode()
