"""The server of one machine as a person starts it, in a process of its own: for the demo, and for tests."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from estimatesync_local.adapters.file_lock import is_held
from estimatesync_processes.forked_process import StartedProcess, start_program
from sample_attic_tech import SampleConfig

T = TypeVar("T")

_WAIT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
_READY: Final = re.compile(r"EstimateSync is ready at (http://\S+)")
_GUNICORN: Final = re.compile(r"the API runs as process (\d+)")


class ServerProcess:
    """One server process after another in one directory, where their data and their log are."""

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        *,
        python: Path | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        """Describe it; of the caller's environment it gets nothing but PATH.

        Args:
            directory: where it is started; what it keeps is in `.local` there.
            environment: its own.
            python: by default the caller's.
            command: by default the one of a checkout, with this Python.
        """
        self.directory = directory
        self._command = list(command or [str(python or sys.executable), "-m", "estimatesync_local"])
        self.environment = dict(environment)
        self.url = ""
        """Where it listens, once it has been started."""
        self._log = directory / "server.log"
        self._api_lock = directory / ".local" / "api.lock"
        self._process: StartedProcess | None = None

    @property
    def log(self) -> str:
        """What the latest process has printed, and what it has started."""
        return self._log.read_text() if self._log.exists() else ""

    def start(self, **more: str) -> None:
        """Start it, and wait until it is ready.

        Raises:
            RuntimeError: It is not ready in time, or has ended; its log is in the message.
        """
        # A file of its own: an API whose server was killed still writes into the former one.
        self._log.unlink(missing_ok=True)
        environment = {"PATH": os.environ["PATH"], **self.environment, **more}
        with self._log.open("wb") as output:
            self._process = process = start_program(
                self._command, cwd=self.directory, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        self.until(lambda: _READY.search(self.log) or process.poll() is not None)
        ready = _READY.search(self.log)
        if ready is None:
            raise RuntimeError(f"EstimateSync did not start:\n{self.log}")
        self.url = ready[1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code. Of one that is killed, wait for the API's end, too."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(_WAIT_SECONDS)
        self.until(lambda: not is_held(self._api_lock))
        return code

    def end(self) -> None:
        """Leave nothing behind, whatever has happened: neither the API nor a run."""
        if is_held(self._api_lock):
            for pid in _GUNICORN.findall(self.log):
                _kill_group(int(pid))
        self.stop(signal.SIGKILL)
        for started in self.directory.glob(".local/jobs/*/runs/*/started"):
            if is_held(started.with_name("lock")):
                _kill_group(int(started.read_text()))

    def read_run_logs(self) -> str:
        """What every run of the sync program has printed, one after the other."""
        return "".join(log.read_text() for log in sorted(self.directory.glob(".local/jobs/*/runs/*/log")))

    def until(self, get: Callable[[], T]) -> T:
        """Return the first true value.

        Raises:
            RuntimeError: There is none in time; what the server and its runs have printed is in the message.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while not (value := get()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"not in time:\n{self.log}\n{self.read_run_logs()}")
            time.sleep(_POLL_SECONDS)
        return value


@contextmanager
def running_server(directory: Path, environment: Mapping[str, str]) -> Iterator[ServerProcess]:
    """Run one for the time of the context.

    Raises:
        RuntimeError: It does not start; its log is in the message.
    """
    server = ServerProcess(directory, environment)
    with ExitStack() as stack:
        # However the context ends, it is asked to stop first: a killed server leaves an embedded PostgreSQL behind.
        stack.callback(server.end)
        stack.callback(server.stop)
        server.start()
        yield server


def build_sample_settings(*, source_url: str, callback_url: str) -> dict[str, str]:
    """Settings for the sample source with its usual login, and a webhook on this machine; any port."""
    login = SampleConfig()
    return {
        "ATTIC_TECH_URL": source_url,
        "ATTIC_TECH_EMAIL": login.email,
        "ATTIC_TECH_PASSWORD": login.password,
        "BIND": "127.0.0.1:0",
        "PROGRESS_SECONDS": "1",
        "MAKE_SYNC_CALLBACK_WEBHOOK_URL": callback_url,
        "CALLBACK_ALLOW_HTTP": "true",
        "CALLBACK_ALLOW_PRIVATE_TARGETS": "true",
    }


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
