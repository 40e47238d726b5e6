"""Reads which credentials Attic Tech has refused: the sync program before it tries any, and `doctor`."""

from collections.abc import Iterable
from typing import Any, Final, LiteralString

from estimatesync_contract.refused_login import RefusedLogin
from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

READ_REFUSED_LOGIN: Final[LiteralString] = """
    -- A sync that has succeeded since is newer word than a refusal.
    SELECT salt, digest, refused_at, said FROM refused_login
    WHERE refused_at > coalesce((SELECT max(committed_at) FROM sync_run), '-infinity')
"""


async def fetch_refused_login(connection: AsyncConnection[Any], *, schema: str) -> RefusedLogin | None:
    """Read the newest refusal of a login in the tables of a schema, if there is one that counts.

    Raises:
        psycopg.Error: It cannot be read; there may be no such table yet.
    """
    async with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(schema)))
        await cursor.execute(READ_REFUSED_LOGIN)
        return build_refused_login(await cursor.fetchall())


def build_refused_login(rows: Iterable[tuple[Any, ...]]) -> RefusedLogin | None:
    """Build it from what READ_REFUSED_LOGIN returns."""
    for salt, digest, refused_at, said in rows:
        return RefusedLogin(salt=salt, digest=digest, refused_at=refused_at, said=said)
    return None
