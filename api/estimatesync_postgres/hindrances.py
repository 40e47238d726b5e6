"""What somebody else has put between a sync and its tables, found before anything is written.

Statements would succeed and rows be missing, or a row that cannot be seen would count as another session's.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

FIND_HINDRANCES: Final[LiteralString] = """
    SELECT
        relname::text,
        relkind IN ('v', 'm'),
        row_security_active(oid) AND NOT (
            -- A policy FOR ALL USING (true) hides nothing, unless another one restricts it.
            EXISTS (
                SELECT FROM pg_policy
                WHERE
                    polrelid = pg_class.oid
                    AND polpermissive
                    AND polcmd = '*'
                    AND pg_get_expr(polqual, polrelid) = 'true'
                    AND coalesce(pg_get_expr(polwithcheck, polrelid), 'true') = 'true'
                    AND (
                        0 = ANY (polroles)
                        OR EXISTS (
                            SELECT FROM unnest(polroles) AS granted (role) WHERE pg_has_role(granted.role, 'USAGE')
                        )
                    )
            )
            AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid AND NOT polpermissive)
        )
    FROM pg_class
    WHERE
        relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
        AND relname = ANY (%(tables)s::text[])
    ORDER BY relname
"""


class Hindrances(msgspec.Struct, frozen=True, kw_only=True):
    """By name.

    Attributes:
        views: stand where tables should be.
        hidden: tables of which row-level security may hide rows from this user.
    """

    views: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


async def fetch_hindrances(connection: AsyncConnection[Any], *, schema: str, tables: Collection[str]) -> Hindrances:
    """Look for them among these tables of a schema, as far as they exist."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(FIND_HINDRANCES, {"schema": schema, "tables": list(tables)})
        return build_hindrances(await cursor.fetchall())


def build_hindrances(rows: Iterable[tuple[Any, ...]]) -> Hindrances:
    """Build them from what FIND_HINDRANCES returns."""
    found = tuple(rows)
    return Hindrances(
        views=tuple(name for name, is_view, _ in found if is_view),
        hidden=tuple(name for name, _, hides_rows in found if hides_rows),
    )
