"""Probes the database from this machine: a connection, and the rights that the next sync needs. Nothing is written.

`doctor` calls it. The driver belongs to another extra; without it, the finding says how to install it.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final, LiteralString

import msgspec
from estimatesync_contract.database_url import check_database_url
from estimatesync_contract.names import SYNC_TABLES
from estimatesync_contract.refused_login import RefusedLogin
from estimatesync_postgres.text_encodings import COMPLETE

from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, build_finding
from estimatesync_client.settings import DatabaseSettings

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_DEFAULTS: Final = {"connect_timeout": 5, "application_name": "estimatesync-doctor"}
_QUERY: Final[LiteralString] = """
    SELECT
        current_database(),
        current_user,
        current_setting('server_encoding'),
        pg_is_in_recovery(),
        has_database_privilege(current_database(), 'CREATE'),
        to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL,
        (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %(schema)s),
        (SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %(schema)s),
        (SELECT bool_and(has_table_privilege(c.oid, 'INSERT, UPDATE'))
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = %(schema)s AND c.relname = 'estimate')
"""


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What the user may do; `can_write_table` is None while there is no table.

    `views` are in the place of tables, and take no rows; `hidden_tables` have rows that this user may not see.
    """

    database: str
    user: str
    encoding: str
    is_read_only: bool
    can_create_schema: bool
    has_schema: bool
    can_use_schema: bool
    can_create_in_schema: bool
    can_write_table: bool | None
    views: tuple[str, ...] = ()
    hidden_tables: tuple[str, ...] = ()


def check_database(target: DatabaseSettings) -> tuple[Finding, RefusedLogin | None]:
    """Read the rights of the user, and which credentials Attic Tech has refused; None where that cannot be told.

    It takes one connection: a server, or who watches over it, may lock out whose password is refused too often.
    """
    try:
        check_database_url(target.url)
    except ValueError as fault:
        return build_finding(Check.DATABASE, Diagnosis.DATABASE_URL_UNUSABLE, detail=fault), None
    try:
        import psycopg  # noqa: PLC0415 - another part's driver, which may not be there
        from estimatesync_postgres.connection import read_fault  # noqa: PLC0415 - it stands on the driver
    except ImportError:
        return build_finding(Check.DATABASE, Diagnosis.NO_DRIVER), None
    try:
        rights, refusal = asyncio.run(_fetch(target))
    except psycopg.Error as error:
        found = read_fault(error, schema=target.schema)
        detail = found.happened + (f" ({found.quote})" if found.quote else "")
        return build_finding(Check.DATABASE, Diagnosis.DATABASE_UNAVAILABLE, detail=detail, cure=found.cure), None
    return decide_rights(rights, schema=target.schema), refusal


def decide_rights(rights: Rights, *, schema: str) -> Finding:
    """Decide whether the next sync could store its rows. A complete schema needs no right to create."""
    may = "write to" if rights.has_schema else "create"
    return build_finding(
        Check.DATABASE,
        _diagnose(rights),
        detail=f"{rights.user} may {may} the schema {schema} of {rights.database}",
        schema=schema,
        user=rights.user,
        database=rights.database,
        encoding=rights.encoding,
        hidden=", ".join(rights.hidden_tables),
        views=", ".join(rights.views),
    )


def _diagnose(rights: Rights) -> Diagnosis:
    is_new, is_complete = rights.can_write_table is None, rights.encoding in COMPLETE
    may_write = rights.can_use_schema and (rights.can_create_in_schema if is_new else bool(rights.can_write_table))
    faults = (
        (rights.is_read_only, Diagnosis.DATABASE_READ_ONLY),
        (is_new and not is_complete, Diagnosis.DATABASE_ENCODING_REFUSED),
        (not rights.has_schema and not rights.can_create_schema, Diagnosis.DATABASE_CANNOT_CREATE),
        (rights.has_schema and not may_write, Diagnosis.DATABASE_CANNOT_WRITE),
        (bool(rights.views), Diagnosis.DATABASE_VIEW),
        (bool(rights.hidden_tables), Diagnosis.DATABASE_HIDES_ROWS),
        (not is_complete, Diagnosis.DATABASE_ENCODING),
    )
    return next((diagnosis for is_so, diagnosis in faults if is_so), Diagnosis.DATABASE_READY)


async def _fetch(target: DatabaseSettings) -> tuple[Rights, RefusedLogin | None]:
    import psycopg  # noqa: PLC0415 - another part's driver, which may not be there
    from estimatesync_postgres.connection import create_connection  # noqa: PLC0415 - it stands on the driver
    from estimatesync_postgres.refused_login import fetch_refused_login  # noqa: PLC0415 - the same

    async with await create_connection(target.url, defaults=_DEFAULTS) as connection:
        rights = await _fetch_rights(connection, target)
        try:
            refusal = await fetch_refused_login(connection, schema=target.schema)
        except psycopg.Error:
            # There may be no table yet, or one that this user may not read.
            refusal = None
    return rights, refusal


async def _fetch_rights(connection: "AsyncConnection[Any]", target: DatabaseSettings) -> Rights:
    from estimatesync_postgres.hindrances import fetch_hindrances  # noqa: PLC0415 - it stands on the driver

    row = await (await connection.execute(_QUERY, {"schema": target.schema})).fetchone()
    hindrances = await fetch_hindrances(connection, schema=target.schema, tables=SYNC_TABLES)
    if row is None:
        raise RuntimeError("SELECT without FROM gives one row")
    database, user, encoding, is_read_only, can_create_schema, has_schema, *in_schema = row
    can_use, can_create, can_write = in_schema
    return Rights(
        database=database,
        user=user,
        encoding=encoding,
        is_read_only=is_read_only,
        can_create_schema=can_create_schema,
        has_schema=has_schema,
        can_use_schema=bool(can_use),
        can_create_in_schema=bool(can_create),
        can_write_table=can_write,
        views=hindrances.views,
        hidden_tables=hindrances.hidden,
    )
