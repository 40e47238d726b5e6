"""The story on one machine: the same server that `make local` runs, as a process of its own."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
from estimatesync_local.postgres_server import EmbeddedPostgres

from estimatesync_demo.narration import tell, tell_step
from estimatesync_demo.scenery import API_KEY, PAST, Scenery, preload, read_log_file, running_scenery
from estimatesync_demo.story import Stage, tell_story

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0


def play() -> bool:
    """Play the story; true when all agrees.

    Raises:
        RuntimeError: The server did not start; the end of its log is in the message.
    """
    with tempfile.TemporaryDirectory(prefix="estimatesync-demo-") as directory, running_scenery() as scenery:
        place = Path(directory)
        tell_step("The scene: PostgreSQL, a sample Attic Tech, a webhook, and EstimateSync on this machine")
        with _running_server(scenery, place) as api_url:
            tell(f"EstimateSync at {api_url} (gunicorn), sample Attic Tech at {scenery.sample.url}")
            database_url = EmbeddedPostgres(place / "postgres").url
            preload(scenery, database_url)
            tell(PAST)
            stage = Stage(api_url=api_url, database_url=database_url, read_log=lambda _: _read_log(place))
            return tell_story(scenery, stage)


@contextmanager
def _running_server(scenery: Scenery, directory: Path) -> Iterator[str]:
    port = _choose_port()
    settings = {
        "ATTIC_TECH_URL": scenery.sample.url,
        "ATTIC_TECH_EMAIL": scenery.email,
        "ATTIC_TECH_PASSWORD": scenery.password,
        "DATABASE_URL": "",
        "LOCAL_DIRECTORY": str(directory),
        "BIND": f"127.0.0.1:{port}",
        "API_KEYS": f"make:{API_KEY}",
        "MAKE_SYNC_CALLBACK_WEBHOOK_URL": scenery.callback_url,
        "CALLBACK_ALLOW_HTTP": "true",
        "CALLBACK_ALLOW_PRIVATE_TARGETS": "true",
        "PROGRESS_SECONDS": "1",
        "ENVIRONMENT": "demo",
    }
    # An empty file, so that the .env of whoever watches stays out of the story.
    env_file = directory / "demo.env"
    env_file.touch()
    command = [sys.executable, "-m", "estimatesync_local", "--env-file", str(env_file)]
    log = directory / "server.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env={**os.environ, **settings}, stdout=output, stderr=subprocess.STDOUT) as server,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, server, log)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=_STOP_SECONDS)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _is_ready(url):
        if server.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(read_log_file(log)[-20:])
            raise RuntimeError(f"EstimateSync did not start. The end of its log:\n{tail}")
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False, timeout=5).is_success
    except httpx.TransportError:
        return False


def _read_log(directory: Path) -> Sequence[str]:
    """The log of the newest run of the only job."""
    logs = sorted((directory / "jobs").glob("*/runs/*/log"))
    return read_log_file(logs[-1]) if logs else ()


def _choose_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
