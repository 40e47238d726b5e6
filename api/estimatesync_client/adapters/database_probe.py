"""Probes the database from this machine: a connection, and the rights that the next sync needs. Nothing is written.

`doctor` calls it. The driver belongs to another extra; without it, the finding says how to install it.
"""

from typing import TYPE_CHECKING, Final, LiteralString

import msgspec

from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, build_finding
from estimatesync_client.settings import DatabaseSettings

if TYPE_CHECKING:
    import psycopg


_CONNECT_SECONDS: Final = 5
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
        import psycopg  # noqa: PLC0415 - another part's driver, which may not be there
    except ImportError:
        return build_finding(Check.DATABASE, Diagnosis.NO_DRIVER)
    try:
        psycopg.conninfo.conninfo_to_dict(target.url)
    except psycopg.ProgrammingError:
        # Its text would repeat the URL, password and all.
        return build_finding(Check.DATABASE, Diagnosis.DATABASE_URL_UNUSABLE)
    try:
        with psycopg.connect(
            target.url, connect_timeout=_CONNECT_SECONDS, application_name="estimatesync-doctor"
        ) as connection:
            return decide_rights(_fetch_rights(connection, target.schema), schema=target.schema)
    except psycopg.Error as error:
        return build_finding(Check.DATABASE, Diagnosis.DATABASE_UNAVAILABLE, detail=_format_fault(str(error)))


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


def _fetch_rights(connection: "psycopg.Connection", schema: str) -> Rights:
    row = connection.execute(_QUERY, {"schema": schema}).fetchone()
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


def _format_fault(text: str) -> str:
    """Choose the last of libpq's lines that names a failure; what follows FATAL is the server's own message."""
    lines = [line.strip(" \t-") for line in text.splitlines() if " failed: " in line or "FATAL: " in line]
    line = lines[-1] if lines else text.partition("\n")[0]
    return line.rpartition("FATAL: ")[2].removeprefix("connection failed: ").strip()
