"""Starts a run of the sync program, and ends one: the only place where processes are touched.

The program gets a session of its own, so that Ctrl-C in a terminal does not reach it and a signal reaches all of it. A
few lines of shell run next to it and record when it started and how it ended, even when the server has died meanwhile.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from estimatesync_local.adapters import file_lock, job_files

_SHELL: Final = "/bin/sh"
_POLL_SECONDS: Final = 0.05
_KILL_TIMEOUT: Final = timedelta(seconds=5)

# A trapped signal is held until the program has ended, and the program itself starts with the default reaction.
# What the shell says of a killed program ("Terminated") is kept out of the program's log.
# The exit code is renamed into place, so that it is there whole or not at all.
_WRAPPER: Final = """\
trap : HUP INT TERM
echo $$ > started.new && mv started.new started || exit 1
exec 3>&2 2>/dev/null
(exec "$@" 2>&3 3>&-)
echo $? > exit.new && mv exit.new exit
"""


class StubbornRunError(Exception):
    """A run is still alive after SIGKILL: it hangs in the system, usually in a disk or network call."""


def start_run(run: Path, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the program in the run's directory; it holds the run's lock until it ends.

    Raises:
        BlockingIOError: The run is alive.
        OSError: It cannot be started.
    """
    with file_lock.locked(run / job_files.LOCK) as lock, (run / job_files.LOG).open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - the command comes from our own settings, never from a request
            [_SHELL, "-c", _WRAPPER, "estimatesync-run", *command],
            cwd=run,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            start_new_session=True,
        )


async def end_run(run: Path, *, grace: timedelta) -> None:
    """Ask the run to end, and kill it after the grace period; a run that has ended already is fine.

    Raises:
        StubbornRunError: It did not end.
        OSError: Its directory cannot be read.
    """
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_TIMEOUT)):
        if await _signal_and_wait(run, number, patience):
            return
    raise StubbornRunError(f"a run of the sync program does not end, even after SIGKILL: {run}")


async def _signal_and_wait(run: Path, number: signal.Signals, patience: timedelta) -> bool:
    """Send the signal once the run can receive it, and poll until the run has ended (true) or time is up."""
    end = asyncio.get_running_loop().time() + patience.total_seconds()
    is_sent = False
    while job_files.is_alive(run):
        if asyncio.get_running_loop().time() >= end:
            return False
        is_sent = is_sent or _send_signal(run, number)
        await asyncio.sleep(_POLL_SECONDS)
    return True


def _send_signal(run: Path, number: signal.Signals) -> bool:
    """Signal the run's processes; False before their group is recorded."""
    group = job_files.read_group(run)
    if group is None:
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
