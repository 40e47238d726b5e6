"""Brings the tables of one machine to this version: numbered .sql files, each applied once, in order.

Called at each start, before anything else uses the database. Two starts at once are safe: the second waits for the
first. The sync program's own tables are its own business.
"""

from importlib import resources
from typing import Final

import psycopg

# Any number will do, as long as it stays and no other program uses it in the same database.
_LOCK_KEY: Final = 7_340_190_455_121

_PREPARE: Final = """
CREATE SCHEMA IF NOT EXISTS estimatesync_local;
CREATE TABLE IF NOT EXISTS estimatesync_local.migration (
    number     integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


def migrate(database_url: str) -> None:
    """Apply what is missing, all of it or nothing.

    Raises:
        psycopg.Error: The database cannot be reached, or refuses.
    """
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        connection.execute(_PREPARE)
        applied = {number for (number,) in connection.execute("SELECT number FROM estimatesync_local.migration")}
        for number, script in read_migrations():
            if number not in applied:
                connection.execute(script)
                connection.execute("INSERT INTO estimatesync_local.migration (number) VALUES (%s)", (number,))


def read_migrations() -> list[tuple[int, bytes]]:
    """Read the numbered scripts from the package, in order."""
    files = resources.files("estimatesync_local").joinpath("migrations").iterdir()
    return sorted((int(file.name.split("_")[0]), file.read_bytes()) for file in files if file.name.endswith(".sql"))
