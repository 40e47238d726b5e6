"""Tells one process from a later one with the same id: what a record on disk needs to survive kill -9 and reboots."""

import subprocess
import sys
from pathlib import Path

START_FIELD = 19
STATE_FIELD = 0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_identity(pid: int) -> str | None:
    """Read what is true of this process alone: when it started, in which boot; None when it does not live."""
    return _read_from_proc(pid) if sys.platform == "linux" else _read_from_ps(pid)


def _read_from_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name of the program, in parentheses, may hold anything; the fields follow the last one.
    fields = stat.rpartition(")")[2].split()
    return None if fields[STATE_FIELD] == "Z" else f"{BOOT_ID.read_text().strip()}/{fields[START_FIELD]}"


def _read_from_ps(pid: int) -> str | None:
    answer = subprocess.run(  # noqa: S603  the only argument from outside is a number
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None
