"""The whole server as a person starts it: `python -m estimatesync_local`, with real sockets and PostgreSQL."""

import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from estimatesync_contract.names import START_PATH, SYNCS_PATH
from estimatesync_demo.server_process import ServerProcess, build_sample_settings
from estimatesync_local.adapters.file_lock import is_held
from estimatesync_local.adapters.postgres import EmbeddedPostgres
from estimatesync_processes.forked_process import run_program
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver
from sample_attic_tech.server import Response

WAIT_SECONDS = 60.0
RECORDS = 230
PASSWORD = SampleConfig().password
KEY = "made-up-key-of-this-test"


class Server(ServerProcess):
    """A server that is asked for syncs."""

    def send(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", headers={"X-API-KEY": KEY}, json=body, trust_env=False)

    def post(self, body: dict[str, Any] | None = None) -> str:
        answer = self.send(START_PATH, body or {})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["sync_id"])

    def get(self, sync_id: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}{SYNCS_PATH}/{sync_id}", headers={"X-API-KEY": KEY}, trust_env=False)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_for_page(self) -> None:
        self.until(lambda: "Page 1 complete" in self.read_run_logs())

    def wait_until_delivered(self, sync_id: str) -> dict[str, Any]:
        """Wait until the outcome is on record as delivered to everyone who is to hear it."""

        def is_delivered() -> bool:
            status = self.get(sync_id)
            return all(each["state"] == "delivered" for each in status.get("callbacks") or [status["callback"]])

        self.until(is_delivered)
        return self.get(sync_id)

    def wait_until_ended(self, sync_id: str) -> dict[str, Any]:
        self.until(lambda: self.get(sync_id)["status"] in {"succeeded", "failed", "cancelled"})
        return self.get(sync_id)


@pytest.fixture
def sample() -> Iterator[RunningSample]:
    records = build_records(RECORDS, 7, datetime.now(UTC))
    with running_sample(SampleConfig(records=records, page_delay_seconds=0.2)) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, database_url: str, sample: RunningSample, receiver: Receiver) -> Iterator[Server]:
    server = Server(tmp_path, build_environment(sample, receiver) | {"DATABASE_URL": database_url})
    yield server
    server.end()


@pytest.fixture
def new_server(open_directory: Path, sample: RunningSample, receiver: Receiver) -> Iterator[Server]:
    """With a PostgreSQL of its own, which its first start makes."""
    server = Server(open_directory, build_environment(sample, receiver))
    yield server
    server.end()
    EmbeddedPostgres(open_directory / ".local" / "postgres").stop()


@pytest.fixture
def embedded_server(new_server: Server, lay_postgres: Callable[[Path], EmbeddedPostgres]) -> Server:
    """With a PostgreSQL that was started before."""
    lay_postgres(new_server.directory / ".local" / "postgres")
    return new_server


def build_environment(sample: RunningSample, receiver: Receiver) -> dict[str, str]:
    return {
        **build_sample_settings(source_url=sample.url, callback_url=f"{receiver.url}/hook"),
        "API_KEYS": f"test:{KEY}",
        "RETRY_SECONDS": "1",
    }


def count_estimates(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM botzilla.estimate").fetchone()
    assert row is not None
    return int(row[0])


def test_variables_of_libpq_in_the_shell_are_for_other_programs(new_server: Server) -> None:
    new_server.environment |= {
        "PGOPTIONS": "-c datestyle=German",
        "PGSERVICE": "none-such",
        "PGTARGETSESSIONATTRS": "standby",
        "PGDATABASE": "none-such",
        "PGCLIENTENCODING": "LATIN1",
    }

    new_server.start()

    assert new_server.post()


def test_a_post_becomes_rows_a_status_and_a_callback(server: Server, receiver: Receiver, database_url: str) -> None:
    server.start()

    sync_id = server.post()
    (delivery,) = receiver.wait_for(1, WAIT_SECONDS)
    status = server.wait_until_delivered(sync_id)

    assert (status["status"], status["results"]["new_estimates"]) == ("succeeded", RECORDS)
    callback = json.loads(delivery.body)
    assert (callback["status"], callback["sync_id"]) == ("success", sync_id)
    assert callback["results"]["total_processed"] == RECORDS
    assert count_estimates(database_url) == RECORDS
    assert f"sync={sync_id} Succeeded" in server.log
    assert server.stop() == 0
    assert PASSWORD not in server.log
    assert KEY not in server.log
    assert "/hook" not in server.log


def test_the_outcome_goes_to_the_targets_that_a_request_names(server: Server, receiver: Receiver) -> None:
    server.environment["SYNC_METADATA"] = "true"
    server.environment["CALLBACK_TARGETS"] = f"billing={receiver.url}/s3cret-billing, crm={receiver.url}/s3cret-crm"
    receiver.answers = [Response(status=500)]
    server.start()

    metadata = {"team": "s3cret", "order": 4711, "urgent": None}
    accepted = server.send(START_PATH, {"callback": ["crm", "billing"], "metadata": metadata}).json()
    sync_id = accepted["sync_id"]
    deliveries = receiver.wait_for(3, WAIT_SECONDS)
    server.wait_until_delivered(sync_id)
    again = server.send(f"{SYNCS_PATH}/{sync_id}/redeliver", {"callback": "billing"})
    once_more = receiver.wait_for(4, WAIT_SECONDS)[-1]
    status = server.wait_until_delivered(sync_id)
    refused = server.send(START_PATH, {"callback": "https://hook.test/"})

    paths = ["/s3cret-crm", "/s3cret-billing", "/s3cret-crm"]
    assert [each.path for each in deliveries] == paths
    assert len({each.body for each in deliveries}) == 1
    ids = [each.headers["webhook-id"].rpartition("_")[2] for each in deliveries]
    assert ids == ["crm", "billing", "crm"]
    assert [(each["target"], each["attempts"]) for each in status["callbacks"]] == [("crm", 2), ("billing", 1)]
    assert status["callback"] == status["callbacks"][0]
    assert again.status_code == 202
    assert (once_more.path, once_more.headers["webhook-id"]) == ("/s3cret-billing", deliveries[1].headers["webhook-id"])
    bodies = [json.loads(each.body) for each in deliveries]
    assert [each["metadata"] for each in (accepted, status, *bodies)] == [metadata] * 5
    assert refused.status_code == 400
    assert "is not one of the targets here: default, billing, crm" in refused.json()["message"]
    assert server.stop() == 0
    assert "s3cret" not in server.log


def test_a_start_that_was_missed_while_the_server_was_down_is_made_once(
    server: Server, receiver: Receiver, database_url: str
) -> None:
    server.environment |= {"SCHEDULES": "often * * * * * days=30"}
    server.start()
    server.stop()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE estimatesync_local.schedule SET handled_until = now() - interval '2 minutes'")
        # As after a time that a run of this test may have met.
        connection.execute("DELETE FROM estimatesync_local.sync")

    server.start()
    (delivery, *_) = receiver.wait_for(1, WAIT_SECONDS)

    callback = json.loads(delivery.body)
    days = callback["date_range"]
    assert date.fromisoformat(days["end_date"]) - date.fromisoformat(days["start_date"]) == timedelta(days=30)
    assert f"sync={callback['sync_id']} schedule=often stored for" in server.log


def test_changes_are_read_on_top_of_the_whole_sync_before(
    server: Server, receiver: Receiver, sample: RunningSample, database_url: str
) -> None:
    server.start()
    whole = server.post()
    receiver.wait_for(1, WAIT_SECONDS)
    before = len(sample.requests)

    changes = server.post({"mode": "changes"})
    receiver.wait_for(2, WAIT_SECONDS)
    status = server.wait_until_delivered(changes)

    assert (status["status"], status["mode"]) == ("succeeded", "changes")
    assert "Only what had changed was read" in status["message"]
    assert status["results"]["total_fetched"] < RECORDS == count_estimates(database_url)
    assert len(sample.requests) - before == 3
    callbacks = {
        callback["sync_id"]: callback for callback in map(json.loads, (one.body for one in receiver.deliveries))
    }
    assert callbacks[changes]["mode"] == "changes"
    assert "mode" not in callbacks[whole]


def test_the_env_file_of_the_first_backend_is_enough(
    tmp_path: Path, server: Server, receiver: Receiver, database_url: str
) -> None:
    parts = urlsplit(database_url)
    server.environment = {
        name: value for name, value in server.environment.items() if name not in {"API_KEYS", "BIND", "DATABASE_URL"}
    }
    (tmp_path / ".env").write_text(
        f"PORT=0\nNODE_ENV=staging\nAUTOMATION_API_KEY={KEY}\nJWT_SECRET=made-up\nRETRY_SECOND=2\n"
        f"DB_HOST={parse_qs(parts.query)['host'][0]}\nDB_USER={parts.username}\nDB_NAME={parts.path[1:]}\n"
    )
    del server.environment["RETRY_SECONDS"]
    server.start()

    server.post()
    (delivery,) = receiver.wait_for(1, WAIT_SECONDS)

    assert json.loads(delivery.body)["environment"] == "staging"
    assert count_estimates(database_url) == RECORDS
    assert "DB_HOST, DB_NAME, DB_USER were read as DATABASE_URL" in server.log
    assert "RETRY_SECOND in .env is not a setting: did you mean RETRY_SECONDS?" in server.log
    assert "these names in .env are not settings of EstimateSync: JWT_SECRET" in server.log
    assert KEY not in server.log


def test_bad_credentials_end_in_the_error_callback_at_once(server: Server, receiver: Receiver) -> None:
    server.environment["ATTIC_TECH_PASSWORD"] = "wrong"
    server.start()

    sync_id = server.post()
    (delivery,) = receiver.wait_for(1, WAIT_SECONDS)

    callback = json.loads(delivery.body)
    assert (callback["status"], callback["error"]) == ("error", "Login to Attic Tech failed: Invalid credentials")
    assert server.wait_until_ended(sync_id)["reason"] == "LoginFailed"
    assert len(list(server.directory.glob(".local/jobs/*/runs/*"))) == 1


def test_an_attic_tech_that_does_not_answer_is_said_while_it_lasts(
    server: Server,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    server.environment["ATTIC_TECH_URL"] = f"http://127.0.0.1:{port}"
    server.start()
    sync_id = server.post()

    server.until(lambda: "attempt" in (server.get(sync_id)["message"] or ""))
    away = server.get(sync_id)
    with running_sample(SampleConfig(records=build_records(3, 7, datetime.now(UTC)), port=port)):
        status = server.wait_until_ended(sync_id)

    assert (away["status"], away["reason"]) == ("running", "Running")
    assert away["message"].startswith(f"Attic Tech is not available: nothing listens at 127.0.0.1:{port}; attempt ")
    assert away["cure"] == "Check host and port in ATTIC_TECH_URL, and that Attic Tech is running"
    assert (status["status"], status["cure"]) == ("succeeded", None)


def test_a_database_that_goes_away_is_named_by_the_answer_and_the_log(embedded_server: Server) -> None:
    embedded_server.start()
    EmbeddedPostgres(embedded_server.directory / ".local" / "postgres").stop()

    answer = embedded_server.send(START_PATH, {})

    assert answer.status_code == 503
    body = answer.json()
    assert body["code"] == "unavailable"
    assert body["message"].startswith("The database cannot be used now: it ")
    assert body["cure"]
    assert re.search(r"-> 503 unavailable in .* ms", embedded_server.log)


def test_a_server_killed_during_a_sync_leaves_it_to_the_next_one(embedded_server: Server, receiver: Receiver) -> None:
    server = embedded_server
    server.start()
    sync_id = server.post()
    server.wait_for_page()

    server.stop(signal.SIGKILL)
    server.start()
    status = server.wait_until_ended(sync_id)

    deliveries = receiver.wait_for(1, WAIT_SECONDS)
    server.wait_until_delivered(sync_id)
    assert (status["status"], status["results"]["new_estimates"]) == ("succeeded", RECORDS)
    assert count_estimates(EmbeddedPostgres(server.directory / ".local" / "postgres").url) == RECORDS
    assert len(list(server.directory.glob(".local/jobs/*/runs/*"))) == 1
    assert [json.loads(delivery.body)["sync_id"] for delivery in deliveries] == [sync_id]
    assert server.stop() == 0


def test_a_server_stopped_during_a_sync_begins_it_again_at_the_next_start(
    server: Server, receiver: Receiver, database_url: str
) -> None:
    server.start()
    sync_id = server.post()
    server.wait_for_page()

    assert server.stop(signal.SIGINT) == 0
    (lock,) = server.directory.glob(".local/jobs/*/runs/1/lock")
    assert not is_held(lock)
    server.start()
    status = server.wait_until_ended(sync_id)

    receiver.wait_for(1, WAIT_SECONDS)
    assert (status["status"], status["results"]["new_estimates"]) == ("succeeded", RECORDS)
    assert count_estimates(database_url) == RECORDS


def test_a_run_that_was_killed_is_repeated_with_right_counts(
    server: Server, receiver: Receiver, database_url: str
) -> None:
    server.start()
    sync_id = server.post()
    server.wait_for_page()

    (started,) = server.directory.glob(".local/jobs/*/runs/1/started")
    os.killpg(int(started.read_text()), signal.SIGKILL)
    status = server.wait_until_ended(sync_id)

    (delivery,) = receiver.wait_for(1, WAIT_SECONDS)
    assert (status["status"], status["results"]["new_estimates"]) == ("succeeded", RECORDS)
    assert json.loads(delivery.body)["results"]["total_processed"] == RECORDS
    assert count_estimates(database_url) == RECORDS
    assert len(list(server.directory.glob(".local/jobs/*/runs/*"))) == 2


def test_a_silence_is_told_once_whenever_the_server_is_there(
    server: Server, receiver: Receiver, database_url: str
) -> None:
    server.start()
    sync_id = server.post()
    server.wait_until_ended(sync_id)
    server.wait_until_delivered(sync_id)
    server.stop()
    with psycopg.connect(database_url, autocommit=True) as connection:
        earlier = "to_char(now() AT TIME ZONE 'UTC' - interval '3 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        changed = f"jsonb_set(status, '{{completionTime}}', to_jsonb({earlier}))"
        connection.execute(f"UPDATE estimatesync_local.sync SET status = {changed}")  # noqa: S608 - no input

    server.environment |= {
        "MAKE_SYNC_ALERT_WEBHOOK_URL": f"{receiver.url}/alert",
        "PUBLIC_URL": "https://sync.example.com/",
    }
    for _ in range(2):
        server.start()
        server.until(lambda: server.get(sync_id).get("alert", {}).get("state") == "delivered")
        again = server.wait_until_ended(server.post({"days": 1}))
        server.wait_until_delivered(again["sync_id"])
        server.stop()

    (told,) = (each for each in receiver.deliveries if each.path == "/alert")
    body = json.loads(told.body)
    assert (body["event"], body["status"], body["hours_since"]) == ("sync_estimates_stale", "stale", 72)
    assert body["last_success"]["sync_id"] == sync_id
    assert body["details_url"] == "https://sync.example.com/"
    assert again["details_url"] == json.loads(receiver.deliveries[-1].body)["details_url"]
    assert again["details_url"] == f"https://sync.example.com/page/syncs/{again['sync_id']}"
    assert told.headers["webhook-id"].startswith("alert_")


def test_a_sync_over_the_time_limit_of_the_machine_says_so(server: Server, receiver: Receiver) -> None:
    server.environment |= {"SYNC_TIMEOUT_SECONDS": "1", "SYNC_PAGE_SIZE": "1", "SYNC_CONCURRENCY": "1"}
    server.start()

    slow = server.post()
    (delivery,) = receiver.wait_for(1, WAIT_SECONDS)

    assert server.get(slow)["reason"] == "DeadlineExceeded"
    assert "did not finish within 1 seconds" in json.loads(delivery.body)["error"]


def test_syncs_run_one_after_the_other(server: Server) -> None:
    server.start()

    first, second = server.post(), server.post({"startDate": "2025-09-01", "endDate": "2025-09-02"})
    server.until(lambda: server.get(second)["message"] == f"Position 1; waiting for {first}")
    ended = [server.wait_until_ended(name) for name in (first, second)]

    assert [status["status"] for status in ended] == ["succeeded", "succeeded"]
    assert ended[0]["completed_at"] <= ended[1]["started_at"]


def test_a_sync_that_is_deleted_takes_its_run_and_its_logs_along(server: Server, database_url: str) -> None:
    server.start()
    server.post()
    server.wait_for_page()
    (started,) = server.directory.glob(".local/jobs/*/runs/1/started")
    group = int(started.read_text())

    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM estimatesync_local.sync")

    server.until(lambda: not list(server.directory.glob(".local/jobs/*")))
    server.until(lambda: not is_group_left(group))
    assert count_estimates(database_url) == 0


def is_group_left(group: int) -> bool:
    """Whether any of its processes is left; one that has ended is, until its parent has noticed."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_sync_is_followed_cancelled_and_its_callback_sent_again(
    server: Server, receiver: Receiver, database_url: str
) -> None:
    server.start()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO estimatesync_local.sync (name, spec) VALUES ('slow', %s)",
            ('{"pageSize": 1, "concurrency": 1}',),
        )
    url, key = f"{server.url}{SYNCS_PATH}/slow", {"X-API-KEY": KEY}

    with httpx.stream("GET", f"{url}/logs?follow=true", headers=key, trust_env=False, timeout=WAIT_SECONDS) as log:
        lines = log.iter_lines()
        server.until(lambda: server.get("slow")["status"] == "running")
        first = next(line for line in lines if "Page 1 complete" in line)
        cancelled = httpx.post(f"{url}/cancel", headers=key, trust_env=False)
        # The log ends when the sync does.
        list(lines)
    receiver.wait_for(1, WAIT_SECONDS)
    redelivered = httpx.post(f"{url}/redeliver", headers=key, trust_env=False)
    once, again = receiver.wait_for(2, WAIT_SECONDS)
    listed = httpx.get(f"{server.url}{SYNCS_PATH}?status=cancelled", headers=key, trust_env=False).json()["syncs"]

    assert first.endswith("Total so far: 1")
    assert (cancelled.status_code, redelivered.status_code) == (202, 202)
    assert [sync["sync_id"] for sync in listed] == ["slow"]
    assert (once.headers["webhook-id"], once.body) == (again.headers["webhook-id"], again.body)


def test_a_caller_may_wait_for_the_end_and_gets_the_log(server: Server) -> None:
    server.start()

    answer = httpx.post(
        f"{server.url}{START_PATH}?background=false", headers={"X-API-KEY": KEY}, trust_env=False, timeout=WAIT_SECONDS
    )

    assert (answer.status_code, answer.json()["new"]) == (200, RECORDS)
    assert f"🎉 [SYNC] Fetch complete! Total: {RECORDS} estimates" in answer.json()["log"]


def test_an_api_that_dies_is_started_again_on_the_same_port(server: Server) -> None:
    server.start()
    url = server.url
    (pid,) = re.findall(r"the API runs as process (\d+)", server.log)

    os.killpg(int(pid), signal.SIGKILL)

    answer = server.until(lambda: read_health(url))
    assert answer == 200


def read_health(url: str) -> int | None:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False, timeout=WAIT_SECONDS).status_code
    except httpx.TransportError:
        return None


def test_a_key_is_generated_where_none_is_given_and_only_its_owner_can_read_it(server: Server) -> None:
    del server.environment["API_KEYS"]
    server.start()
    key_file = server.directory / ".local" / "api-key"
    key = key_file.read_text().strip()

    answers = [
        httpx.post(f"{server.url}{START_PATH}", headers={"X-API-KEY": sent}, trust_env=False).status_code
        for sent in (key, "another")
    ]

    assert answers == [202, 403]
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert key not in server.log
    assert f'curl -X POST {server.url}{START_PATH} -H "X-API-KEY: $(cat {key_file})"' in server.log


def test_two_servers_never_meet(server: Server, tmp_path: Path) -> None:
    server.start()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    same_directory = run_and_fail(tmp_path, server.environment)
    same_database = run_and_fail(elsewhere, server.environment)
    same_port = run_and_fail(elsewhere, server.environment | {"BIND": server.url.removeprefix("http://")})

    assert f"Another EstimateSync uses {tmp_path}/.local. Stop it, or set LOCAL_DIRECTORY" in same_directory
    assert "Another EstimateSync is using this database. Stop it, or set DATABASE_URL" in same_database
    assert "Another program listens at 127.0.0.1:" in same_port
    assert "Stop it, or set another port: BIND=127.0.0.1:" in same_port


def test_a_database_that_cannot_be_reached_is_named(tmp_path: Path, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    said = run_and_fail(tmp_path, server.environment | {"DATABASE_URL": f"postgresql://127.0.0.1:{port}/nowhere"})

    assert "The database cannot be used: " in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("postgresql://sync:Hunter2%Tr0ub4dor@db/x", "its password holds a %", id="%"),
        pytest.param("postgresql://sync:Hunter2@Tr0ub4dor@db/x", "its user or password holds an @", id="@"),
        pytest.param("postgresql://sync:Hunter2/Tr0ub4dor@db/x", "its user or password holds a /", id="/"),
        pytest.param("postgresql://sync:Hunter2@127.0.0.1:1/x?schema=Tr0ub4dor", "schema is Prisma's", id="schema"),
        pytest.param("postgresql://sync:Hunter2@Tr0ub4dor.invalid/x", "its host has no address", id="host"),
        pytest.param("postgresql://sync:Hunter2@127.0.0.1:1/x?service=Tr0ub4dor", "service cannot be", id="service"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_never_repeated(tmp_path: Path, server: Server, url: str, said: str) -> None:
    told = run_and_fail(tmp_path, server.environment | {"DATABASE_URL": url})

    assert said in told
    assert not [secret for secret in ("Hunter2", "Tr0ub4dor") if secret in told]
    assert "Traceback" not in told


@pytest.mark.parametrize("is_in_file", [pytest.param(True, id="by .env"), pytest.param(False, id="by the environment")])
def test_authorities_that_cannot_be_read_are_named(tmp_path: Path, server: Server, *, is_in_file: bool) -> None:
    (tmp_path / "empty.pem").touch()
    setting = {"SSL_CERT_FILE": str(tmp_path / "empty.pem")}
    if is_in_file:
        (tmp_path / ".env").write_text(f"SSL_CERT_FILE={setting.pop('SSL_CERT_FILE')}\n")

    said = run_and_fail(tmp_path, server.environment | setting)

    assert "the certificate authorities in the file that SSL_CERT_FILE names cannot be read. Correct that file" in said
    assert "Traceback" not in said


def test_missing_settings_are_named_all_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env").touch(mode=0o600)
    (tmp_path / ".env").write_text("ATTIC_TECH_EMAIL=a@b.example\nBIND=nowhere\n")

    said = run_and_fail(tmp_path, {"MAX_ACTIVE_SYNCS": "many"})

    # Started by root, it says first that it need not be.
    assert said[said.index("These settings") :].splitlines() == [
        "These settings need attention:",
        "  - BIND must be an address and a port, for example 127.0.0.1:8080 or 0.0.0.0:8080",
        "  - MAX_ACTIVE_SYNCS must be a whole number from 1 to 10000",
        "  - ATTIC_TECH_PASSWORD is not set: give the password of that login",
        "Set them in .env or in the environment.",
    ]
    assert not (tmp_path / ".local").exists()


def test_without_a_file_of_settings_the_way_to_one_is_said(tmp_path: Path) -> None:
    alone = run_and_fail(tmp_path, {})
    (tmp_path / ".env.example").touch()
    beside_the_example = run_and_fail(tmp_path, {})

    assert alone.endswith(
        "There is no .env: write them there, each as NAME=value in a line, or set them in the environment.\n"
    )
    assert beside_the_example.endswith(
        "There is no .env yet: cp .env.example .env && chmod 600 .env, and set them there.\n"
    )


def run_and_fail(directory: Path, environment: dict[str, str]) -> str:
    """Run a server that cannot start, and return what it says."""
    finished = run_program(
        [sys.executable, "-m", "estimatesync_local"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **environment},
        timeout=WAIT_SECONDS,
    )
    assert finished.returncode == 1
    return str(finished.stderr)
