"""The API under a real gunicorn, on a port of its own."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from estimatesync_processes.forked_process import StartedProcess, start_program

API_KEY = "made-up-key-for-http-tests"
WAIT_SECONDS = 180.0
POLL_SECONDS = 0.02
FILES = ("--pythonpath", str(Path(__file__).parent))


@dataclass(frozen=True, kw_only=True)
class Server:
    """A gunicorn that listens."""

    process: StartedProcess
    log: Path
    port: int
    syncs: Path

    def stored(self) -> list[str]:
        """The names of all syncs, in no order."""
        return [path.stem for path in self.syncs.glob("*.json")]

    def wait_until_stored(self, count: int) -> list[str]:
        """Wait until there are so many syncs, and give their names."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(names := self.stored()) < count:
            assert time.monotonic() < deadline, f"{len(names)} of {count} syncs stored:\n{self.log.read_text()}"
            time.sleep(POLL_SECONDS)
        return names

    def finish(self, name: str, phase: str = "Succeeded") -> None:
        """End a sync; the phase appears whole."""
        part = self.syncs / f"{name}.part"
        part.write_text(phase)
        part.rename(self.syncs / f"{name}.phase")

    def forget(self) -> None:
        """Leave the next test that it serves no sync, and no line of its log."""
        for file in self.syncs.iterdir():
            file.unlink()
        os.truncate(self.log, 0)

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        """Wait until the log holds something."""
        return wait_for_text(self.log, pattern)


def wait_for_text(path: Path, pattern: str, *, process: StartedProcess | None = None) -> re.Match[str]:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := re.search(pattern, path.read_text())):
        ended = process is not None and process.poll() is not None
        assert not ended, f"gunicorn ended:\n{path.read_text()}"
        assert time.monotonic() < deadline, f"{pattern} is not in:\n{path.read_text()}"
        time.sleep(POLL_SECONDS)
    return found


@contextmanager
def serving(directory: Path) -> Iterator[Callable[..., Server]]:
    """Start gunicorn with the project's configuration; ended with the context, whatever happens."""
    started: list[StartedProcess] = []
    syncs = directory / "syncs"
    syncs.mkdir()

    def start(*arguments: str, open_files: tuple[int, int] | None = None, **environment: str) -> Server:
        """`open_files` are the soft and the hard limit that the server finds."""
        soft, hard = open_files or (0, 0)
        limit = ["sh", "-c", f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"', "sh"] if open_files else []
        log = directory / "gunicorn.log"
        own = {"BIND": "127.0.0.1:0", "API_KEYS": f"make:{API_KEY}", "SYNC_DIRECTORY": str(syncs), **environment}
        # Appended to, wherever it ends by then.
        log.unlink(missing_ok=True)
        with log.open("ab") as output:
            process = start_program(
                [*limit, sys.executable, "-m", "gunicorn", "-c", "python:estimatesync_api.gunicorn_conf", *arguments],
                env={"PATH": os.environ["PATH"], **own},
                stderr=output,
                stdout=output,
            )
        started.append(process)
        port = wait_for_text(log, r"Listening at: http://127\.0\.0\.1:(\d+)", process=process)[1]
        return Server(process=process, log=log, port=int(port), syncs=syncs)

    try:
        yield start
    finally:
        for process in started:
            # At once, but with its worker, which a SIGKILL would leave behind.
            process.send_signal(signal.SIGQUIT)
            process.wait(WAIT_SECONDS)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start gunicorn for one test."""
    with serving(tmp_path) as start:
        yield start


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """The API with syncs in files; its worker may not be silent for more than two seconds."""
    return serve(*FILES, "--timeout", "2", "http_composition:app", REPEATED_REQUESTS="start")


@pytest.fixture
def serve_files(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start the API with syncs in files, with settings of the test's own."""
    return lambda *arguments, **options: serve(*FILES, *arguments, "http_composition:app", **options)


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start the API with syncs in files for all tests of a module that do no more than ask it."""
    with serving(tmp_path_factory.mktemp("module")) as start:
        yield lambda *arguments, **options: start(*FILES, *arguments, "http_composition:app", **options)


@pytest.fixture
def headers() -> dict[str, str]:
    """The key, in a case of its own."""
    return {"x-Api-Key": API_KEY}
