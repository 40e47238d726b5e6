"""What a session relies on, set whatever the role, the database, the URL or the environment say.

Any of them may set DateStyle, IntervalStyle, bytea_output, time limits or the defaults of transactions for every
session; psycopg then cannot read what it is sent, or the server ends what only waits. The client's encoding is part of
the connection itself (`connection`).
"""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection, IsolationLevel

_RELIED_ON: Final[Mapping[str, str]] = {
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "timezone": "UTC",
    # A limit on idle sessions must not end one that waits for Attic Tech or for a notification, nor one on statements a
    # COPY that takes the rows of all pages.
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "statement_timeout": "0",
    # PostgreSQL 17 brought it.
    "transaction_timeout": "0",
}
_SESSION_DEFAULTS: Final[Mapping[str, str]] = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
}
"""For sessions whose transactions begin by themselves; others say what they want as they begin."""

CONFIGURE: Final[LiteralString] = """
    SELECT set_config(name, value, %(is_local)s)
    FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
    WHERE current_setting(name, true) IS NOT NULL
"""
"""A setting that this version of the server does not have is left out. `build_configuration` builds its parameters."""


async def say_how_to_begin(
    connection: AsyncConnection[Any],
    *,
    isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    is_read_only: bool = False,
) -> None:
    """Let each BEGIN say what it wants: the defaults of a role or a database may be others."""
    await connection.set_isolation_level(isolation)
    await connection.set_read_only(is_read_only)
    await connection.set_deferrable(False)


async def configure_transaction(connection: AsyncConnection[Any], settings: Mapping[str, str]) -> None:
    """Set what a session relies on, and `settings`, for this transaction: a pool hands on the session as it came."""
    await connection.execute(CONFIGURE, build_configuration(settings))


async def configure_session(connection: AsyncConnection[Any], settings: Mapping[str, str]) -> None:
    """Set what a session relies on, and `settings`, for as long as it lasts, which a pool of transactions cannot do."""
    await connection.execute(CONFIGURE, build_configuration({**_SESSION_DEFAULTS, **settings}, is_local=False))


def build_configuration(settings: Mapping[str, str], *, is_local: bool = True) -> dict[str, Any]:
    """Build the parameters of CONFIGURE: what a session relies on, and `settings`, for a transaction or for good."""
    wanted = {**_RELIED_ON, **settings}
    return {"is_local": is_local, "names": list(wanted), "values": list(wanted.values())}
