"""Jobs that somebody holds back, as queues do."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
IN_A_QUEUE = json.dumps({"metadata": {"labels": {QUEUE_LABEL: "batch"}}})


def suspend_jobs(scenario: Any, *, is_suspended: bool) -> None:
    for job in scenario.find_all("Job"):
        suspend(scenario, job["metadata"]["name"], is_suspended=is_suspended)


def suspend(scenario: Any, job: str, *, is_suspended: bool) -> None:
    scenario.patch("Job", job, {"spec": {"suspend": is_suspended}})


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


@contextmanager
def queueing(scenario: Any) -> Iterator[Callable[[], None]]:
    """Suspend every job with Kueue's label as it comes, as Kueue does; admit it once the yielded function is called.

    Kueue's own webhook does it before the job is stored; a controller that comes a moment later finds a pod at work.
    """
    admits, ends, seen = Event(), Event(), set()

    def control() -> None:
        while not ends.wait(0.05):
            for job in scenario.find_all("Job"):
                name = job["metadata"]["name"]
                if QUEUE_LABEL in job["metadata"]["labels"] and name not in seen:
                    seen.add(name)
                    suspend(scenario, name, is_suspended=True)
                elif admits.is_set() and job["spec"].get("suspend"):
                    suspend(scenario, name, is_suspended=False)

    thread = Thread(target=control)
    thread.start()
    try:
        yield admits.set
    finally:
        ends.set()
        thread.join()


def test_a_queue_holds_a_sync_by_a_label_of_its_job_and_no_deadline_runs_meanwhile(run_scenario: Any) -> None:
    operator = {"SYNC_JOB_TEMPLATE": IN_A_QUEUE, "SUSPENDED_SECONDS": "0", "STUCK_SECONDS": "1"}
    with run_scenario(with_api=False, **operator) as scenario, queueing(scenario) as admit:
        with scenario.pages_held():
            scenario.apply("queued")
            since = datetime.fromisoformat(scenario.wait_reason("queued", "JobSuspended")["status"]["startTime"])
            scenario.wait_until("no pod", lambda: not scenario.find_all("Pod"))
            # Longer than any other blocker may stand.
            scenario.wait_until("the limit of others", lambda: datetime.now(UTC) > since + timedelta(seconds=4))
        held = scenario.get_sync("queued")["status"]
        assert (held["phase"], held["reason"]) == ("Running", "JobSuspended")
        assert held["message"].startswith("The job of the sync is suspended")
        released = datetime.now(UTC).replace(microsecond=0)

        admit()

        ended = scenario.wait_finished("queued")["status"]
        assert (ended["phase"], ended["results"]["totalProcessed"]) == ("Succeeded", 230)
        (job,) = scenario.find_all("Job")
        # From this time on, activeDeadlineSeconds has counted.
        assert datetime.fromisoformat(job["status"]["startTime"]) >= released
