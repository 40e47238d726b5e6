"""One machine that has synced, failed, run out of time and been cancelled; and Make.com's other services, by hand."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from estimatesync_contract.names import SYNCS_PATH
from estimatesync_demo.server_process import build_sample_settings, running_server
from estimatesync_make.main import DIRECTORY
from estimatesync_make.modules import ADD_RECORD, EXIST_RECORD, GMAIL
from estimatesync_make.simulator import ModuleFault, Simulator
from sample_attic_tech import Fault, Request, RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Delivery, Receiver, running_receiver
from sample_attic_tech.sample import LOGIN_PATH
from sample_attic_tech.server import build_json_response

KEY = "made-up-key-of-this-test"
READ_ONLY_KEY = "made-up-key-that-only-looks"
SECRET = "whsec_bWFkZS11cC1rZXktb2YtMzItYnl0ZXMtaGVyZSEhISE="
OLD_SECRET = "whsec_YW5vdGhlci1tYWRlLXVwLWtleS1vZi0zMi1ieXRlcyEh"
RECORDS = 230
WAIT_SECONDS = 60.0
SLOW = '{"pageSize": 1, "concurrency": 1, "timeoutSeconds": %d}'


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A server with what is around it."""

    url: str
    directory: Path
    database_url: str
    receiver: Receiver
    sample: RunningSample

    def insert(self, name: str, spec: str) -> None:
        with psycopg.connect(self.database_url) as connection:
            connection.execute("INSERT INTO estimatesync_local.sync (name, spec) VALUES (%s, %s)", (name, spec))

    def ask(self, method: str, path: str) -> dict[str, Any]:
        answer = httpx.request(method, f"{self.url}{path}", headers={"X-API-KEY": KEY}, trust_env=False)
        return dict(answer.json())

    def read_log(self, sync_id: str) -> str:
        url = f"{self.url}{SYNCS_PATH}/{sync_id}/logs"
        answer = httpx.get(url, headers={"X-API-KEY": KEY}, trust_env=False)
        return answer.text if answer.is_success else ""

    def get_deliveries(self, sync_id: str, count: int = 1) -> list[Delivery]:
        """Wait for so many deliveries of one sync's callback."""

        def find() -> list[Delivery]:
            return [each for each in self.receiver.deliveries if json.loads(each.body)["sync_id"] == sync_id]

        until(lambda: len(find()) >= count, f"{count} callbacks of {sync_id}")
        return find()


def until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, f"no {what} in time"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def machine(postgres_url: str) -> Iterator[Machine]:
    name = f"make_{os.getpid()}"
    database_url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    records = build_records(RECORDS, 7, datetime.now(UTC))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    with (
        running_sample(SampleConfig(records=records, page_delay_seconds=0.1)) as sample,
        running_receiver() as receiver,
        tempfile.TemporaryDirectory(prefix="estimatesync-make-") as directory,
        running_server(Path(directory), build_environment(sample, receiver, database_url)) as server,
    ):
        machine = Machine(
            url=server.url, directory=Path(directory), database_url=database_url, receiver=receiver, sample=sample
        )
        # The one sync that meets an empty table, whichever test comes first.
        machine.insert("succeeds", "{}")
        machine.get_deliveries("succeeds")
        yield machine


def build_environment(sample: RunningSample, receiver: Receiver, database_url: str) -> dict[str, str]:
    return {
        **build_sample_settings(source_url=sample.url, callback_url=f"{receiver.url}/hook"),
        "DATABASE_URL": database_url,
        "API_KEYS": f"make:{KEY}",
        "READ_ONLY_API_KEYS": f"look:{READ_ONLY_KEY}",
        "MAX_ACTIVE_SYNCS": "1",
        "CALLBACK_SIGNING_SECRETS": f"{OLD_SECRET},{SECRET}",
    }


@pytest.fixture(scope="session")
def callbacks(machine: Machine) -> dict[str, Delivery]:
    """The callback of one sync for each way in which it can end, as it was delivered."""
    succeeded = machine.get_deliveries("succeeds")[0]

    machine.sample.on_request = refuse_login
    machine.insert("cannot-log-in", "{}")
    refused = machine.get_deliveries("cannot-log-in")[0]
    machine.sample.on_request = None

    # Else nobody would try these credentials again.
    with psycopg.connect(machine.database_url) as connection:
        connection.execute("DELETE FROM botzilla.refused_login")
    machine.insert("too-slow", SLOW % 1)
    late = machine.get_deliveries("too-slow")[0]

    machine.insert("cancelled", SLOW % 600)
    until(lambda: machine.read_log("cancelled") != "", "line of the sync that is about to be cancelled")
    machine.ask("POST", f"{SYNCS_PATH}/cancelled/cancel")
    cancelled = machine.get_deliveries("cancelled")[0]
    return {"success": succeeded, "login": refused, "timeout": late, "cancelled": cancelled}


def refuse_login(request: Request) -> Fault | None:
    if request.path != LOGIN_PATH:
        return None
    return build_json_response({"errors": [{"message": "The email or password provided is incorrect."}]}, status=401)


@dataclass
class Account:
    """What an account of Make.com has besides the scenario: Gmail, a data store, a clock."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    mails: list[Mapping[str, Any]] = field(default_factory=list)
    records: dict[str, Any] = field(default_factory=dict)
    is_gmail_away: bool = False

    def import_blueprint(self, name: str, **replaced: str) -> Simulator:
        """Import a file, and replace in it what a person replaces."""
        text = (DIRECTORY / name).read_text()
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        actions = {GMAIL: self._send, EXIST_RECORD: self._look, ADD_RECORD: self._add}
        return Simulator(json.loads(text), actions, clock=lambda: self.now, execution_id="e1")

    def _send(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.is_gmail_away:
            raise ModuleFault("Gmail is away")
        self.mails.append(fields)
        return {"id": f"mail-{len(self.mails)}"}

    def _look(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"exist": fields["key"] in self.records}

    def _add(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        if fields["key"] in self.records and not fields["overwrite"]:
            raise ModuleFault("the key is there already")
        self.records[fields["key"]] = fields["data"]
        return {"key": fields["key"]}


@pytest.fixture
def account() -> Account:
    return Account()
