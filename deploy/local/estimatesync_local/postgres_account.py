"""Under which account PostgreSQL runs: it refuses to be root, so a root's server gets an account without rights.

Used by `postgres_server.py`. For anybody but root there is nothing to do.
"""

import logging
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_CANDIDATES: Final = ("postgres", "nobody")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Account:
    """Another account to run as."""

    name: str
    user: int
    group: int


def find_account(data: Path) -> Account | None:
    """The account to run as: whose the data is already, else the first that there is; None for our own.

    Raises:
        LookupError: We are root, and there is no account to change to.
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
    """The arguments that make `subprocess` start a program as the account."""
    if account is None:
        return {}
    return {"user": account.user, "group": account.group, "extra_groups": []}


def give_directory(directory: Path, account: Account | None) -> None:
    """Make a directory that only the account, and root, can enter, and let the account pass through those above it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        os.chown(directory, account.user, account.group)
        open_way(directory, account)


def open_way(path: Path, account: Account) -> None:
    """Let others pass through the directories above a path, without letting them look inside."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH and parent.stat().st_uid != account.user:
            logger.info("account %s may now pass through %s, where PostgreSQL is", account.name, parent)
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def open_programs(directory: Path, account: Account) -> None:
    """Let others read and run what is below a directory: an install under a strict umask is for its owner only."""
    open_way(directory, account)
    for path in [directory, *directory.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            path.chmod(wanted)
