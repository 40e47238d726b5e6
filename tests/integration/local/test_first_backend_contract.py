"""What Make.com scenarios of the first backend rely on, in one table, against the whole server: only the URL changes.

The callback's bytes are held by tests/unit/operator_callback/test_callback_body.py, the log's lines by
tests/agreement/test_seed_wording.py; here one of each is seen to arrive.
"""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from estimatesync_demo.server_process import build_sample_settings, running_server
from psycopg import sql
from sample_attic_tech import SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver, running_receiver

PATH = "/api/automations/estimates/sync-external"
KEY = "made-up-key-of-the-first-backend"
WAIT_SECONDS = 60.0
DATABASE = "first_backend_contract"

ACCEPTED = ["success", "message", "status", "timestamp", "sync_id"]
FINISHED = ["success", "message", "new", "updated", "log", "sync_id"]
FAILED = ["success", "message", "error", "log", "sync_id"]
CALLBACK = ["event", "timestamp", "status", "results", "date_range", "performance", "error", "environment", "sync_id"]
RESULTS = ["total_fetched", "new_estimates", "updated_estimates", "total_processed"]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, receiver: Receiver) -> Iterator[int]:
    """The port of a server with a few good estimates and an old broken one; its settings have the old names."""
    directory = tmp_path_factory.mktemp("first-backend")
    records = build_records(5, 7, datetime.now(UTC))
    broken = {**records[0], "id": 99_999, "updatedAt": "2021-01-01T12:00:00.000Z", "true_cost": "a lot"}
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE))
    with (
        running_sample(SampleConfig(records=[*records, broken])) as sample,
        psycopg.connect(postgres_url, autocommit=True) as connection,
    ):
        connection.execute(drop)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        settings = build_sample_settings(source_url=sample.url, callback_url=f"{receiver.url}/hook")
        del settings["ATTIC_TECH_URL"], settings["BIND"]
        old = {
            "ATTIC_TECH_API_URL": f"{sample.url}/api",
            "AUTOMATION_API_KEY": KEY,
            "NODE_ENV": "staging",
            "PORT": "0",
            "DATABASE_URL": urlsplit(postgres_url)._replace(path=f"/{DATABASE}").geturl(),
        }
        with running_server(directory, settings | old) as server:
            yield urlsplit(server.url).port or 0
        connection.execute(drop)


def send(port: int, url: str = PATH, *, body: str = "", headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Send exactly these headers, and no others but those that HTTP itself wants."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection:
        connection.putrequest("POST", url, skip_accept_encoding=True)
        for name, value in {"X-API-KEY": KEY, "Content-Length": str(len(body)), **(headers or {})}.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize(
    ("url", "body", "headers"),
    [
        pytest.param(PATH, "", {}, id="no-body-no-content-type-no-accept"),
        pytest.param("/sync-estimates", "", {}, id="alias"),
        pytest.param(PATH, "", {"X-API-KEY": "", "x-api-key": KEY}, id="header-in-lower-case"),
        pytest.param(PATH, "", {"X-API-KEY": "", "X-Api-Key": KEY}, id="header-as-make-writes-it"),
        pytest.param(PATH, "{}", {"Content-Type": "application/json"}, id="empty-object"),
        pytest.param(PATH, '{"startDate": "2025-09-01", "endDate": "2025-10-16"}', {}, id="days-without-content-type"),
        pytest.param(
            PATH, '{"start_date": "2025-09-01"}', {"Content-Type": "application/json"}, id="days-in-snake-case"
        ),
        pytest.param(f"{PATH}?background=true", "", {}, id="background-true"),
        pytest.param(f"{PATH}?background=", "", {}, id="background-blank"),
    ],
)
def test_a_request_as_it_always_was_is_accepted_as_it_always_was(
    url: str, body: str, headers: dict[str, str], port: int
) -> None:
    status, answer = send(port, url, body=body, headers=headers)

    assert status == 202
    assert list(answer) == ACCEPTED
    assert answer["success"] is True
    assert answer["message"] == "Background synchronization started. This may take several minutes."
    assert answer["status"] == "processing"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["timestamp"])


def test_only_the_very_word_false_counts_and_another_is_said_not_to_be_understood(port: int) -> None:
    status, answer = send(port, f"{PATH}?background=False")

    assert (status, list(answer)) == (202, [*ACCEPTED, "warnings"])
    assert "background" in answer["warnings"][0]


def test_in_the_foreground_the_outcome_is_the_response_and_the_callback_is_sent_as_well(
    port: int, receiver: Receiver
) -> None:
    status, answer = send(port, f"{PATH}?background=false", body='{"startDate": "2025-01-01"}')
    callbacks = {(body := json.loads(one.body))["sync_id"]: body for one in receiver.wait_for(1, WAIT_SECONDS)}

    new, updated = answer["new"], answer["updated"]
    assert (status, list(answer)) == (200, FINISHED)
    assert answer["message"] == f"✅ Background synchronization finished. New: {new}, Updated: {updated}."
    assert new + updated == 5
    assert answer["log"][-1] == answer["message"]
    callback = next(iter(callbacks.values()))
    assert (list(callback), list(callback["results"])) == (CALLBACK, RESULTS)
    assert callback["event"] == "sync_estimates_completed"
    assert callback["environment"] == "staging"


def test_in_the_foreground_a_failure_is_500_with_its_cause(port: int) -> None:
    status, answer = send(port, f"{PATH}?background=false", body='{"startDate": "2021-01-01", "endDate": "2021-01-02"}')

    assert (status, list(answer)) == (500, FAILED)
    assert (answer["success"], answer["message"]) == (False, "Synchronization failed.")
    assert "99999" in answer["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [pytest.param({"X-API-KEY": ""}, 401, id="no-key"), pytest.param({"X-API-KEY": "wrong"}, 403, id="wrong-key")],
)
def test_requests_without_a_valid_key_get_the_first_backends_status(
    headers: dict[str, str], status: int, port: int
) -> None:
    code, answer = send(port, headers=headers)

    assert code == status
    assert answer["message"]
