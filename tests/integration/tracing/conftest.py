"""One machine as a person starts it, with a sample source and a webhook, and whatever is set about traces."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from estimatesync_contract.names import START_PATH, SYNCS_PATH
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver, running_receiver

KEY = "made-up-key-of-this-test"
PATIENCE = 40.0
RECORDS = 230


class Machine:
    """One server after another in one directory."""

    def __init__(self, directory: Path, environment: dict[str, str], receiver: Receiver) -> None:
        self.directory = directory
        self.receiver = receiver
        self._environment = environment
        self._output: list[str] = []

    def start(self, **more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "estimatesync_local"],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], **self._environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._output.clear()
        threading.Thread(target=self._read_output, args=(self.process,), daemon=True).start()
        self.until(lambda: "EstimateSync is ready" in self.log)
        (self._url,) = re.findall(r"ready at (http://\S+)", self.log)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        for pid in re.findall(r"Listening at: http://\S+ \((\d+)\)", self.log):
            with suppress(ProcessLookupError):
                os.killpg(int(pid), signal.SIGKILL)

    def _read_output(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            self._output.extend(lines)

    @property
    def log(self) -> str:
        return "".join(self._output)

    def read_run_logs(self) -> str:
        return "".join(log.read_text() for log in sorted(self.directory.glob(".local/jobs/*/runs/*/log")))

    def post(self, **headers: str) -> str:
        answer = httpx.post(f"{self._url}{START_PATH}", headers={"X-API-KEY": KEY, **headers}, trust_env=False)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["sync_id"])

    def wait_delivered(self, sync_id: str) -> dict[str, Any]:
        return dict(self.until(lambda: (seen := self.get(sync_id))["callback"].get("state") == "delivered" and seen))

    def get(self, sync_id: str) -> dict[str, Any]:
        answer = httpx.get(f"{self._url}{SYNCS_PATH}/{sync_id}", headers={"X-API-KEY": KEY}, trust_env=False)
        return {"callback": {}, **{name: value for name, value in answer.json().items() if value is not None}}

    def until(self, get: Callable[[], Any]) -> Any:
        """Return the first true value; tell what was seen when there is none in time."""
        end = time.monotonic() + PATIENCE
        while not (value := get()):
            assert time.monotonic() < end, f"not in time:\n{self.log}\n{self.read_run_logs()}"
            time.sleep(0.05)
        return value


@pytest.fixture
def sample() -> Iterator[RunningSample]:
    records = build_records(RECORDS, 7, datetime.now(UTC))
    with running_sample(SampleConfig(records=records, page_delay_seconds=0.2)) as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path, database_url: str, sample: RunningSample) -> Iterator[Machine]:
    with running_receiver() as receiver:
        environment = {
            "ATTIC_TECH_URL": sample.url,
            "ATTIC_TECH_EMAIL": SampleConfig().email,
            "ATTIC_TECH_PASSWORD": SampleConfig().password,
            "DATABASE_URL": database_url,
            "API_KEYS": f"test:{KEY}",
            "BIND": "127.0.0.1:0",
            "PROGRESS_SECONDS": "1",
            "SYNC_LOG_FORMAT": "json",
            "MAKE_SYNC_CALLBACK_WEBHOOK_URL": f"{receiver.url}/hook",
            "CALLBACK_ALLOW_HTTP": "true",
            "CALLBACK_ALLOW_PRIVATE_TARGETS": "true",
        }
        machine = Machine(tmp_path, environment, receiver)
        yield machine
        machine.end()
