"""Which starts of schedules have been made, in PostgreSQL: it outlives the server, as the syncs do."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from estimatesync_local.adapters.database import ReconnectingConnection

_FORGET: Final = "DELETE FROM estimatesync_local.schedule WHERE name <> ALL(%(names)s)"
_INTRODUCE: Final = """
INSERT INTO estimatesync_local.schedule (name, handled_until) SELECT unnest(%(names)s::text[]), %(now)s
ON CONFLICT (name) DO NOTHING
"""
_READ: Final = "SELECT name, handled_until FROM estimatesync_local.schedule"
_RECORD: Final = "UPDATE estimatesync_local.schedule SET handled_until = %(time)s WHERE name = %(name)s"


class ScheduleTable:
    """Up to which time each schedule has been kept. Every call raises psycopg.Error or TimeoutError."""

    def __init__(self, database_url: str) -> None:
        self._connection = ReconnectingConnection(database_url)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        await self._connection.close()

    async def read(self, names: Collection[str], now: datetime) -> Mapping[str, datetime]:
        """Read these schedules and forget others; a new one begins now, with nothing to make up for."""
        values = {"names": list(names), "now": now}
        async with self._connection.acquire() as connection:
            await connection.execute(_FORGET, values)
            await connection.execute(_INTRODUCE, values)
            rows = await (await connection.execute(_READ)).fetchall()
        return {row["name"]: row["handled_until"] for row in rows}

    async def record(self, name: str, time: datetime) -> None:
        """Record that the start for this time is made."""
        async with self._connection.acquire() as connection:
            await connection.execute(_RECORD, {"name": name, "time": time})
