"""The table of syncs in PostgreSQL: statements and rows, for the two stores in `stores.py`.

Raises psycopg's own errors; what they mean to the API and to the reconciler is the stores' business.
"""

from typing import Any, Final

import msgspec
import psycopg
from estimatesync_contract.estimate_sync import EstimateSync, parse_estimate_sync
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
            "labels": _represent(sync.metadata.labels),
            "annotations": _represent(sync.metadata.annotations),
            "spec": _represent(sync.spec),
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
            "status": _represent(status),
        }
        async with self._connection.using() as connection:
            row = await (await connection.execute(_UPDATE_STATUS, values)).fetchone()
        return None if row is None else map_row(row)

    async def delete(self, sync: EstimateSync) -> None:
        """Remove the row, if it is still the same sync's."""
        async with self._connection.using() as connection:
            await connection.execute(_DELETE, {"name": sync.name, "uid": sync.uid})


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


def _represent(value: Any) -> str:  # noqa: ANN401 - any value of the contract becomes JSON
    return msgspec.json.encode(value).decode()
