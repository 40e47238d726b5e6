"""Probes the database from this machine: a connection, and the rights that the next sync needs. Nothing is written.

`doctor` calls it. The driver belongs to another extra; without it, the finding says how to install it.
"""

import asyncio
from typing import Final, LiteralString

import msgspec
from estimatesync_contract.database_url import check_database_url

from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, build_finding
from estimatesync_client.settings import DatabaseSettings

_CONNECT_SECONDS: Final = 5
_CURE: Final = "Check DATABASE_URL and the server"
_QUERY: Final[LiteralString] = """
    SELECT
        current_database(),
        current_user,
        pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean,
        has_database_privilege(current_database(), 'CREATE'),
        to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL,
        (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %(schema)s),
        (SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %(schema)s),
        (SELECT bool_and(has_table_privilege(c.oid, 'INSERT, UPDATE'))
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = %(schema)s AND c.relname = 'estimate')
"""


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What the user may do; `can_write_table` is None while there is no table."""

    database: str
    user: str
    is_read_only: bool
    can_create_schema: bool
    has_schema: bool
    can_use_schema: bool
    can_create_in_schema: bool
    can_write_table: bool | None


def check_database(target: DatabaseSettings) -> Finding:
    """Connect, and read the rights of the user."""
    try:
        check_database_url(target.url)
    except ValueError as fault:
        return build_finding(Check.DATABASE, Diagnosis.DATABASE_URL_UNUSABLE, detail=fault)
    try:
        import psycopg  # noqa: PLC0415 - another part's driver, which may not be there
        from estimatesync_postgres.connection import read_fault  # noqa: PLC0415 - it stands on the driver
    except ImportError:
        return build_finding(Check.DATABASE, Diagnosis.NO_DRIVER)
    try:
        rights = asyncio.run(_fetch_rights(target))
    except psycopg.Error as error:
        detail, _, cure = read_fault(error, schema=target.schema).text.partition(". ")
        return build_finding(Check.DATABASE, Diagnosis.DATABASE_UNAVAILABLE, detail=detail, cure=cure or _CURE)
    return decide_rights(rights, schema=target.schema)


def decide_rights(rights: Rights, *, schema: str) -> Finding:
    """Decide whether the next sync could store its rows. A complete schema needs no right to create."""
    details = {"schema": schema, "user": rights.user, "database": rights.database}
    if rights.is_read_only:
        return build_finding(Check.DATABASE, Diagnosis.DATABASE_READ_ONLY)
    if not rights.has_schema:
        if not rights.can_create_schema:
            return build_finding(Check.DATABASE, Diagnosis.DATABASE_CANNOT_CREATE, **details)
        detail = f"{rights.user} may create the schema {schema} in {rights.database}"
        return build_finding(Check.DATABASE, Diagnosis.DATABASE_READY, detail=detail)
    may_write = rights.can_create_in_schema if rights.can_write_table is None else rights.can_write_table
    if not (rights.can_use_schema and may_write):
        return build_finding(Check.DATABASE, Diagnosis.DATABASE_CANNOT_WRITE, **details)
    detail = f"{rights.user} may write to the schema {schema} of {rights.database}"
    return build_finding(Check.DATABASE, Diagnosis.DATABASE_READY, detail=detail)


async def _fetch_rights(target: DatabaseSettings) -> Rights:
    from estimatesync_postgres.connection import create_connection  # noqa: PLC0415 - it stands on the driver

    defaults = {"connect_timeout": _CONNECT_SECONDS, "application_name": "estimatesync-doctor"}
    async with await create_connection(target.url, defaults=defaults) as connection:
        row = await (await connection.execute(_QUERY, {"schema": target.schema})).fetchone()
    if row is None:
        raise RuntimeError("SELECT without FROM gives one row")
    database, user, is_read_only, can_create_schema, has_schema, *in_schema = row
    can_use, can_create, can_write = in_schema
    return Rights(
        database=database,
        user=user,
        is_read_only=is_read_only,
        can_create_schema=can_create_schema,
        has_schema=has_schema,
        can_use_schema=bool(can_use),
        can_create_in_schema=bool(can_create),
        can_write_table=can_write,
    )
