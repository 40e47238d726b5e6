"""The console script against the API on a real Kubernetes API server, with the operator and real jobs behind it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from estimatesync_processes.forked_process import StartedProcess, start_program

WAIT_SECONDS = 90.0
PROGRAM = Path(sys.executable).with_name("estimatesync")


def begin(scenario: Any, *arguments: str) -> StartedProcess:
    key = next(secret for secret in scenario.secrets if secret.startswith("made-up-key"))
    own = {"ESTIMATESYNC_URL": scenario.product.api_url, "ESTIMATESYNC_API_KEY": key, "LANG": "C.UTF-8"}
    return start_program(
        [PROGRAM, *arguments],
        env={"PATH": os.environ["PATH"], **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: StartedProcess) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, out, err


def run(scenario: Any, *arguments: str) -> tuple[int, str, str]:
    return end(begin(scenario, *arguments))


def examine(scenario: Any) -> tuple[int, dict[str, str]]:
    code, out, _ = run(scenario, "doctor", "-o", "json")
    return code, {found["check"]: found["verdict"] for found in json.loads(out)["checks"]}


def test_a_success_is_started_waited_for_listed_logged_and_delivered_again(scenario: Any) -> None:
    code, out, err = run(scenario, "start", "--wait", "--output", "json")

    assert code == 0, err
    sync = json.loads(out)
    name = sync["sync_id"]
    assert (sync["status"], sync["results"]["new_estimates"]) == ("succeeded", 230)
    assert scenario.get_phase(name) == "Succeeded"
    scenario.wait_delivered(name)
    listed = json.loads(run(scenario, "list", "--status", "succeeded", "-o", "json")[1])
    assert [sync["sync_id"] for sync in listed["syncs"]] == [name]
    code, log, _ = run(scenario, "logs", "latest", "--follow")
    assert code == 0
    assert log.endswith("✅ Background synchronization finished. New: 230, Updated: 0.\n")
    assert run(scenario, "redeliver", name)[0] == 0
    scenario.wait_until("a second delivery", lambda: len(scenario.receiver.deliveries) == 2)
    assert examine(scenario) == (
        0,
        dict.fromkeys(("server", "storage", "API key", "source login", "database", "callback", "last success"), "ok"),
    )


def test_a_failure_is_an_exit_code_and_a_finding(scenario: Any) -> None:
    scenario.product.write_credentials(password="not-the-password")

    code, out, _ = run(scenario, "start", "--wait")

    assert code == 3
    assert "LoginFailed: Login to Attic Tech failed: Invalid credentials" in out
    code, checks = examine(scenario)
    assert (code, checks["source login"], checks["database"]) == (10, "fault", "unknown")


def test_a_cancel_ends_a_wait_and_a_followed_log(scenario: Any) -> None:
    with scenario.pages_held():
        waiting = begin(scenario, "start", "--wait", "-o", "json")
        scenario.wait_running_pod()
        following = begin(scenario, "logs", "latest", "-f")

        code, out, _ = run(scenario, "cancel", "latest")

        assert (code, "The sync will be stopped." in out) == (0, True)
        assert end(waiting)[0] == 4
        assert end(following)[0] == 0


def test_an_api_without_rights_is_found_out(scenario: Any) -> None:
    scenario.delete("RoleBinding", "estimatesync-api")
    readiness = f"{scenario.product.api_url}/readyz"
    scenario.wait_until("readiness to fail", lambda: httpx.get(readiness, trust_env=False, timeout=30).is_error)
    assert examine(scenario)[1]["storage"] == "fault"

    code, out, _ = run(scenario, "--patience", "0", "start", "-o", "json")

    assert (code, json.loads(out)["code"]) == (5, "unavailable")
