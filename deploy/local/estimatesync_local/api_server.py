"""The API as a child process of the supervisor: gunicorn on a socket that the supervisor keeps open.

Started anew when it ends by itself, and told to end when the supervisor stops. Nothing else of the API is known here.

The key of an installation that was given none: made once, kept in a file that only its owner can read.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from estimatesync_local.adapters import file_lock
from estimatesync_local.adapters.listener import format_url
from estimatesync_local.core.errors import AlreadyRunningError, ApiError
from estimatesync_local.gunicorn_conf import SUPERVISOR_PIPE

_COMMAND: Final = (sys.executable, "-P", "-m", "gunicorn", "--config", "python:estimatesync_local.gunicorn_conf")
_READY_SECONDS: Final = 30.0
_FORMER_SECONDS: Final = 15.0
"""A server that was killed leaves an API that takes a few seconds to end."""
_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0

logger = logging.getLogger(__name__)


async def wait_for_former(lock: Path) -> None:
    """Wait until no API of an earlier supervisor is left.

    Raises:
        AlreadyRunningError: It does not end.
    """
    try:
        async with asyncio.timeout(_FORMER_SECONDS):
            while file_lock.is_held(lock):  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise AlreadyRunningError(
            f"The API of an earlier server does not end. Find it with: lsof {lock}, then kill it."
        ) from error


class ApiServer:
    """One gunicorn at a time."""

    def __init__(self, *, listener: socket.socket, lock: Path, environment: Mapping[str, str]) -> None:
        """Prepare; the API holds the lock for as long as any of its processes lives."""
        self._listener = listener
        self._lock = lock
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        # Only this process has the writing end, so it closes with us.
        self._pipe, self._leash = os.pipe()

    async def start(self) -> None:
        """Start the API and return when it serves.

        Raises:
            ApiError: It ended, or took too long.
        """
        process = await self._launch()
        try:
            async with asyncio.timeout(_READY_SECONDS), httpx.AsyncClient(trust_env=False) as client:
                while not await self._is_ready(client):
                    if process.returncode is not None:
                        raise ApiError("The API ended as soon as it was started; its messages are above.")
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise ApiError(f"The API is not ready after {_READY_SECONDS:.0f} s; its messages are above.") from error

    async def keep_running(self) -> None:
        """Start the API again whenever it ends by itself, until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while self._process is not None:
            code = await self._process.wait()
            logger.error("the API ended with exit code %s; starting it again", code)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            # A worker that takes its time, or a system without room: the next round tries again.
            with contextlib.suppress(OSError):
                await self._launch()

    async def stop(self) -> None:
        """Let the API finish what it can finish soon, then end it. Call it after `keep_running` was cancelled."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        for descriptor in (self._pipe, self._leash):
            os.close(descriptor)

    async def _launch(self) -> asyncio.subprocess.Process:
        own = {"BIND": f"fd://{self._listener.fileno()}", SUPERVISOR_PIPE: str(self._pipe)}
        with file_lock.holding(self._lock) as lock:
            self._process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                # gunicorn looks for modules where it is started, and here are none.
                cwd=self._lock.parent,
                env={**self._environment, **own},
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(self._listener.fileno(), self._pipe, lock),
                # Ctrl-C in a terminal is for the supervisor, which then stops the API in its own time.
                start_new_session=True,
            )
        return self._process

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{format_url(self._listener)}/readyz")).is_success
        except httpx.TransportError:
            return False


_KEY_BYTES: Final = 32


def ensure_api_key(file: Path) -> str:
    """Read the key, or make one.

    Raises:
        OSError: The file cannot be read or written.
    """
    if file.exists() and (key := file.read_text().strip()):
        return key
    key = secrets.token_hex(_KEY_BYTES)
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123 - a mode from the start
        out.write(f"{key}\n")
    draft.replace(file)
    return key
