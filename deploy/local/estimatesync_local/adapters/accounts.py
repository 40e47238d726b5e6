"""Which account works where: started by root, the server becomes the account that its directory belongs to.

Root is needed for nothing here. The directory decides, because whoever may write there decides about everything in it
anyway: a new one belongs to the owner of the checkout, or of the folder that LOCAL_DIRECTORY names. Where that is root,
and there is no account named `estimatesync`, the server stays root and says so; PostgreSQL, which refuses to run as
root, then runs as an account without rights.
"""

import logging
import os
import pwd
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from estimatesync_contract.names import build_job_name

from estimatesync_local.adapters.own_files import give_directory
from estimatesync_local.core.errors import AccountError

OWN_ACCOUNT: Final = "estimatesync"
"""Made for the server by whoever administers the machine."""

_CANDIDATES: Final = (OWN_ACCOUNT, "postgres", "nobody")
"""Accounts of PostgreSQL where the server stays root, in order of preference."""

_TRIAL_SECONDS: Final = 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account to run as instead of root."""

    name: str
    user: int
    group: int
    home: str


def give_up_root(directory: Path) -> Mapping[str, str]:
    """Become the account that the directory belongs to, for good, if this is root; else do nothing.

    Call it before anything is created. A directory that is missing is created if it is for `estimatesync`.

    Returns:
        The variables of the environment that name the account; none if it has not changed.

    Raises:
        AccountError: The directory is where anybody may have put it, or the account cannot run this program.
    """
    if os.geteuid() != 0:
        return {}
    try:
        account = _choose_account(directory)
    except OSError as error:
        raise AccountError(f"Cannot use {directory}: {error}. Set LOCAL_DIRECTORY to another directory.") from error
    if account is None:
        logger.warning("%s", _format_advice(directory))
        return {}
    os.initgroups(account.name, account.group)
    os.setgid(account.group)
    os.setuid(account.user)
    logger.info("started by root: going on as account %s, to which %s belongs", account.name, directory)
    return {"HOME": account.home, "USER": account.name, "LOGNAME": account.name}


def _choose_account(directory: Path) -> Account | None:
    """The owner of the directory; what is missing and would be root's is created for the account of our own."""
    is_new = not directory.exists()
    owner = _find_owner(directory)
    account = owner or (_find_account(OWN_ACCOUNT) if is_new else None)
    if account is None:
        return None
    if not can_run(account, sys.executable, "-c", ""):
        if is_new:
            logger.warning("account %s cannot run %s", account.name, sys.executable)
            return None
        raise AccountError(
            f"{directory} belongs to account {account.name}, which cannot run {sys.executable}. Put EstimateSync and "
            "Python into folders that it may enter, such as /opt."
        )
    if owner is None:
        directory.mkdir(mode=0o700, parents=True)
        give_directory(directory, user=account.user, group=account.group, mode=0o700)
    return account


def find_postgres_account(data: Path) -> Account | None:
    """Find the account of PostgreSQL: the owner of the data, or else the first candidate that exists; None for our own.

    Args:
        data: its directory, in a directory that only we may write.

    Raises:
        LookupError: This is root, and there is no account to change to.
        OSError: The data is no directory.
    """
    if os.geteuid() != 0:
        return None
    if os.path.lexists(data):
        status = data.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(f"{data} is no directory")
        if (owner := _find_account(status.st_uid)) is not None and owner.user != 0:
            return owner
    for name in _CANDIDATES:
        if (account := _find_account(name)) is not None:
            return account
    raise LookupError(f"PostgreSQL does not run as root, and there is no account named {' or '.join(_CANDIDATES)}")


def build_process_options(account: Account | None) -> dict[str, Any]:
    """Build the arguments that make `subprocess` start a program as the account."""
    if account is None:
        return {}
    return {"user": account.user, "group": account.group, "extra_groups": []}


def can_run(account: Account, *command: str) -> bool:
    """Try a command as the account: the system knows best what it may reach."""
    try:
        finished = subprocess.run(  # noqa: S603 - programs and paths of our own
            command,
            check=False,
            cwd="/",
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TRIAL_SECONDS,
            **build_process_options(account),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return finished.returncode == 0


def can_enter(account: Account, directory: Path) -> bool:
    """Check whether the account may pass through a directory and everything above it."""
    return can_run(account, "/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory))


def format_move(directory: Path, name: str) -> str:
    """Write the command that gives an account everything that root has made for the directory."""
    places = {directory, (directory / "postgres").resolve()}
    outside = [place for place in places if not place.is_relative_to(directory)]
    return shlex.join(["chown", "-R", f"{name}:", str(directory), *map(str, outside)])


def format_refusal(path: Path, directory: Path) -> str:
    """Say that another account made a path in the directory of everything, and which command gives it to us."""
    ours = _find_account(os.geteuid())
    move = format_move(directory, ours.name if ours is not None else str(os.geteuid()))
    return f"another account made {path}. As root, run `{move}`"


def find_foreign_path(directory: Path, *, has_postgres: bool) -> Path | None:
    """Find what another account made of a directory of everything, such as an earlier start by root; None for nothing.

    Only what the server would have to use is looked at: a mount has folders of its own. A server may be at work there.
    Root finds nothing: what it opens there, it checks one by one.

    Args:
        directory: the one of everything.
        has_postgres: the database is the embedded one.

    Raises:
        PermissionError: We may not even look.
    """
    if os.geteuid() == 0:
        return None
    key = directory / "api-key"
    foreign = next((path for path in _list_used(directory, has_postgres=has_postgres) if _is_foreign(path)), None)
    # A key that somebody put there for us to read is fine.
    is_closed = os.path.lexists(key) and not os.access(key, os.R_OK)
    return key if foreign is None and is_closed else foreign


def _list_used(directory: Path, *, has_postgres: bool) -> Iterator[Path]:
    jobs, postgres = directory / "jobs", directory / "postgres"
    yield from (directory, jobs, directory / "supervisor.lock", directory / "api.lock")
    if has_postgres:
        # All else in there is made anew at each start.
        yield from (postgres, postgres / "data")
    if os.access(jobs, os.R_OK):
        yield from jobs.glob(build_job_name("*"))


def _is_foreign(path: Path) -> bool:
    """A link to what is ours is fine, and so is one of ours."""
    try:
        return os.geteuid() not in {path.lstat().st_uid, path.stat().st_uid}
    except (FileNotFoundError, NotADirectoryError):
        return False


def _find_account(name: str | int) -> Account | None:
    try:
        entry = pwd.getpwnam(name) if isinstance(name, str) else pwd.getpwuid(name)
    except KeyError:
        return None
    return Account(name=entry.pw_name, user=entry.pw_uid, group=entry.pw_gid, home=entry.pw_dir)


def _find_owner(directory: Path) -> Account | None:
    """The owner of the directory, or of what it will be created in; None for root, or an owner without a name."""
    place = _find_existing(directory)
    user = place.stat().st_uid
    if place.lstat().st_uid not in {0, user}:
        raise AccountError(
            f"{place} is another account's link to {place.resolve()}. Set LOCAL_DIRECTORY to the latter."
        )
    _require_trusted_place(directory.resolve())
    return _find_account(user) if user != 0 else None


def _find_existing(directory: Path) -> Path:
    return next(each for each in (directory, *directory.parents) if os.path.lexists(each))


def _require_trusted_place(directory: Path) -> None:
    """Refuse a directory that any account may have put there, for root to fall for, or may yet replace.

    The working directory is as it is: who may write there decides what runs.
    """
    here = Path.cwd()
    for path in (directory, *directory.parents):
        if here == path.parent or here.is_relative_to(path):
            return
        if not path.parent.exists():
            continue
        mode = path.parent.stat().st_mode
        is_kept = mode & stat.S_ISVTX and not (path.exists() and path.stat().st_uid != 0)
        if mode & stat.S_IWOTH and not is_kept:
            raise AccountError(
                f"Any account can create or replace {path}, so root does not work there. "
                "Set LOCAL_DIRECTORY to a folder elsewhere, such as /var/lib/estimatesync."
            )


def _format_advice(directory: Path) -> str:
    """Say how the directory gets an owner other than root: one command, where there is such an account."""
    owner = _find_account(_find_existing(directory.parent).stat().st_uid)
    if owner is None or owner.user == 0:
        owner = _find_account(OWN_ACCOUNT)
    name = OWN_ACCOUNT if owner is None else owner.name
    create = f"create one (`useradd --system {OWN_ACCOUNT}`), " if owner is None else ""
    return (
        f"EstimateSync runs as root, which it does not need, because {directory} belongs to root. To give it to an "
        f"account, stop it, {create}run `{format_move(directory, name)}`, and start it again"
    )
