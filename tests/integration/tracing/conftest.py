"""One machine as a person starts it, with a sample source and a webhook, and whatever is set about traces."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from estimatesync_contract.names import START_PATH, SYNCS_PATH
from estimatesync_demo.server_process import ServerProcess, build_sample_settings
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver, running_receiver

KEY = "made-up-key-of-this-test"
RECORDS = 230


class Machine(ServerProcess):
    """A server that is asked for syncs."""

    def __init__(self, directory: Path, environment: dict[str, str], receiver: Receiver) -> None:
        super().__init__(directory, environment)
        self.receiver = receiver

    def post(self, **headers: str) -> str:
        answer = httpx.post(f"{self.url}{START_PATH}", headers={"X-API-KEY": KEY, **headers}, trust_env=False)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["sync_id"])

    def wait_delivered(self, sync_id: str) -> dict[str, Any]:
        self.until(lambda: self.get(sync_id)["callback"].get("state") == "delivered")
        return self.get(sync_id)

    def get(self, sync_id: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}{SYNCS_PATH}/{sync_id}", headers={"X-API-KEY": KEY}, trust_env=False)
        return {"callback": {}, **{name: value for name, value in answer.json().items() if value is not None}}


@pytest.fixture
def sample() -> Iterator[RunningSample]:
    records = build_records(RECORDS, 7, datetime.now(UTC))
    with running_sample(SampleConfig(records=records, page_delay_seconds=0.2)) as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path, database_url: str, sample: RunningSample) -> Iterator[Machine]:
    with running_receiver() as receiver:
        environment = {
            **build_sample_settings(source_url=sample.url, callback_url=f"{receiver.url}/hook"),
            "DATABASE_URL": database_url,
            "API_KEYS": f"test:{KEY}",
            "SYNC_LOG_FORMAT": "json",
        }
        machine = Machine(tmp_path, environment, receiver)
        yield machine
        machine.end()
