"""The API as a child process of the supervisor: gunicorn on a socket that the supervisor keeps open.

It is restarted when it ends by itself, and ended when the supervisor stops. An installation without a key gets
one, generated once and kept in a file that only its owner can read.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
from estimatesync_contract.backoff import compute_backoff

from estimatesync_local.adapters import file_lock
from estimatesync_local.adapters.listener import format_url
from estimatesync_local.api import SUPERVISOR_PIPE
from estimatesync_local.core.errors import AlreadyRunningError, ApiStartError

_COMMAND: Final = (sys.executable, "-P", "-m", "gunicorn", "--config", "python:estimatesync_local.gunicorn_conf")
_READY_SECONDS: Final = 30.0
_PREVIOUS_SECONDS: Final = 15.0
"""A server that was killed leaves an API that takes a few seconds to end."""
STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
_KEY_BYTES: Final = 32

logger = logging.getLogger(__name__)


async def wait_for_previous_api(lock: Path) -> None:
    """Wait until no API of an earlier supervisor is left.

    Raises:
        AlreadyRunningError: It does not end.
    """
    try:
        async with asyncio.timeout(_PREVIOUS_SECONDS):
            while file_lock.is_held(lock):  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise AlreadyRunningError(
            f"The API of an earlier server does not end. Find it with: lsof {lock}, then kill it."
        ) from error


class ApiServer:
    """One gunicorn at a time."""

    def __init__(self, *, listener: socket.socket, lock: Path, environment: Mapping[str, str]) -> None:
        """Start nothing yet; the API holds the lock for as long as any of its processes lives."""
        self._listener = listener
        self._lock = lock
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        # Only this process has the write end, so it closes when this process ends.
        self._read_end, self._write_end = os.pipe()

    async def start(self) -> None:
        """Start the API and return when it serves.

        Raises:
            ApiStartError: It ended, or took too long.
        """
        process = await self._launch()
        try:
            # Asked without TLS: reading the authorities would take longer than all else that is done here.
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            async with asyncio.timeout(_READY_SECONDS), httpx.AsyncClient(trust_env=False, verify=tls) as client:
                while not await self._is_ready(client):
                    if process.returncode is not None:
                        raise ApiStartError("The API ended right after its start; its messages are above.")
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise ApiStartError(
                f"The API is not ready after {_READY_SECONDS:.0f} s; its messages are above."
            ) from error

    async def keep_running(self) -> None:
        """Start the API again whenever it ends by itself, until cancelled."""
        ends = 0
        while self._process is not None:
            code = await self._process.wait()
            ends += 1
            logger.error("the API ended with exit code %s; starting it again", code)
            await asyncio.sleep(compute_backoff(ends, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS))
            # A worker that is slow to end, or a system without resources: the next round tries again.
            with contextlib.suppress(OSError):
                await self._launch()

    async def stop(self) -> None:
        """Let the API finish what it can finish soon, then end it. Call it after `keep_running` is cancelled."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        for descriptor in (self._read_end, self._write_end):
            os.close(descriptor)

    async def _launch(self) -> asyncio.subprocess.Process:
        own = {"BIND": f"fd://{self._listener.fileno()}", SUPERVISOR_PIPE: str(self._read_end)}
        with file_lock.locked(self._lock) as lock:
            self._process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                # gunicorn searches its working directory for modules, and there are none here.
                cwd=self._lock.parent,
                env={**self._environment, **own},
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(self._listener.fileno(), self._read_end, lock),
                # Ctrl-C in a terminal is for the supervisor, which then stops the API itself.
                start_new_session=True,
            )
        logger.info("the API runs as process %d", self._process.pid)
        return self._process

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{format_url(self._listener)}/readyz")).is_success
        except httpx.TransportError:
            return False


def ensure_api_key(file: Path) -> str:
    """Read the key, or generate one.

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
