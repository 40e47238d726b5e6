"""Jobs that somebody holds back, as queues do."""

import json
from typing import Any

import pytest


def suspend_jobs(scenario: Any, *, is_suspended: bool) -> None:
    for job in scenario.find_all("Job"):
        patch = f"--patch={json.dumps({'spec': {'suspend': is_suspended}})}"
        scenario.product.kubectl("patch", "job", job["metadata"]["name"], "--type=merge", patch)


def test_a_suspended_job_shows_gives_its_slot_back_and_goes_on_once_it_is_resumed(run_scenario: Any) -> None:
    with run_scenario(with_api=False, STUCK_SECONDS="3") as scenario:
        scenario.slow_down(1)
        scenario.apply("held")
        scenario.wait_running_pod()
        suspend_jobs(scenario, is_suspended=True)
        status = scenario.wait_reason("held", "JobSuspended")["status"]
        assert {each["type"]: each["status"] for each in status["conditions"]}["Stalled"] == "True"

        scenario.apply("next")
        assert scenario.wait_finished("next")["status"]["phase"] == "Succeeded"
        suspend_jobs(scenario, is_suspended=False)

        ended = scenario.wait_finished("held")["status"]
        assert (ended["phase"], ended["results"]["totalProcessed"]) == ("Succeeded", 230)


@pytest.mark.parametrize(
    ("operator", "timeout", "words"),
    [
        pytest.param({"SUSPENDED_SECONDS": "4"}, 3600, "Gave up after 4 seconds. ", id="by a limit of its own"),
        pytest.param({}, 5, "Gave up after 5 seconds. ", id="by the time that it may run"),
    ],
)
def test_a_suspended_job_ends_its_sync_by_the_limit(
    run_scenario: Any, operator: dict[str, str], timeout: int, words: str
) -> None:
    with run_scenario(with_api=False, **operator) as scenario:
        scenario.slow_down(1)
        scenario.apply("held", timeoutSeconds=timeout)
        scenario.wait_running_pod()

        suspend_jobs(scenario, is_suspended=True)

        status = scenario.wait_finished("held")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "JobSuspended")
        assert status["message"].startswith(words)
        assert scenario.count_jobs() == 0
