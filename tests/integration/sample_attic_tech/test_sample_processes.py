"""The sample and the receiver as processes of their own: ready line, service, a quick end, a clear refusal."""

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

WAIT_SECONDS = 60


@contextmanager
def running_module(*arguments: str) -> Iterator[str]:
    """Run a module until the block ends, then SIGTERM it: it must end soon, without an error and in silence."""
    command = [sys.executable, "-W", "error", "-m", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
            process.terminate()
            rest, errors = process.communicate(timeout=WAIT_SECONDS)
            assert (process.returncode, rest, errors) == (0, "", "")
        finally:
            process.kill()


def fetch_first_page(url: str, email: str, password: str) -> dict[str, object]:
    with httpx.Client(base_url=url, timeout=WAIT_SECONDS) as client:
        token = client.post("/api/users/login", json={"email": email, "password": password}).json()["token"]
        answer = client.get("/api/job-estimates?limit=100&sort=id", headers={"Authorization": f"Bearer {token}"})
    page: dict[str, object] = answer.json()
    return page


def test_the_sample_serves_what_its_arguments_say() -> None:
    arguments = ("--count", "120", "--seed", "7", "--email", "a@b.example", "--password", "pw", "--page-delay", "0.05")

    with running_module("sample_attic_tech", "--port", "0", *arguments) as url:
        page = fetch_first_page(url, "a@b.example", "pw")

    assert (page["totalDocs"], page["totalPages"]) == (120, 2)


def test_older_versions_are_the_same_estimates_before_their_last_change() -> None:
    shared = ("--count", "20", "--now", "2025-10-16T14:09:00Z", "--email", "a@b.example", "--password", "pw")

    with running_module("sample_attic_tech", *shared) as url:
        newer = fetch_first_page(url, "a@b.example", "pw")["docs"]
    with running_module("sample_attic_tech", *shared, "--older-versions") as url:
        older = fetch_first_page(url, "a@b.example", "pw")["docs"]

    assert isinstance(newer, list)
    assert isinstance(older, list)
    assert [doc["id"] for doc in older] == [doc["id"] for doc in newer]
    assert all(old["updatedAt"] < new["updatedAt"] for old, new in zip(older, newer, strict=True))


def test_receiver_appends_each_delivery_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "deliveries.jsonl"
    bodies = [b'{"status":"success"}', b"\xff\x00"]

    with running_module("sample_attic_tech.receiver", "--port", "0", "--log", str(log)) as url:
        for body in bodies:
            httpx.post(f"{url}/hook", content=body, headers={"Webhook-Id": "msg_1"})

    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [base64.b64decode(line["body_base64"]) for line in lines] == bodies
    assert lines[0]["body"] == '{"status":"success"}'
    assert {(line["method"], line["path"], line["headers"]["webhook-id"]) for line in lines} == {
        ("POST", "/hook", "msg_1")
    }


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        pytest.param((), "--port ", id="by itself"),
        pytest.param(("--port-setting", "make sample SAMPLE_PORT="), "make sample SAMPLE_PORT=", id="by make"),
    ],
)
def test_a_taken_port_is_one_clear_sentence_with_the_command_for_another(
    arguments: tuple[str, ...], setting: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "sample_attic_tech", "--count", "1", "--port", str(port), *arguments],
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr == (
        f"Another program listens at port {port}. Stop it, or choose another port: {setting}{port + 2}\n"
    )
