"""The product as its users meet it: POST or kubectl in, rows, status and callback out; nothing simulated in between."""

import json
import re
from typing import Any

import httpx
import pytest
from sample_attic_tech.receiver import running_receiver
from sample_attic_tech.server import Response

START = "/api/automations/estimates/sync-external"
SYNCS = "/api/automations/estimates/syncs"
WEBHOOK_PATH = "/made-up-webhook-path"


def test_a_post_becomes_rows_a_status_and_a_callback(scenario: Any) -> None:
    answer = scenario.post()

    assert answer.status_code == 202
    body = answer.json()
    name = body.pop("sync_id")
    timestamp = body.pop("timestamp")
    assert body == {
        "success": True,
        "message": "Background synchronization started. This may take several minutes.",
        "status": "processing",
    }
    assert len(timestamp) == len("2025-10-16T14:09:00.000Z")
    assert answer.headers["Location"] == f"/api/automations/estimates/syncs/{name}"

    scenario.product.kubectl("wait", f"estimatesync/{name}", "--for=condition=Complete", "--timeout=90s")
    scenario.product.kubectl("wait", f"estimatesync/{name}", "--for=condition=CallbackDelivered", "--timeout=90s")

    assert scenario.count_estimates() == 230
    callback = scenario.wait_callback(name)
    assert callback["status"] == "success"
    assert callback["results"] == {
        "total_fetched": 230,
        "new_estimates": 230,
        "updated_estimates": 0,
        "total_processed": 230,
    }
    shown = scenario.product.kubectl("get", "esync", name).splitlines()
    assert shown[0].split() == [
        *("NAME", "PHASE", "REASON", "PROGRESS", "FETCHED", "NEW", "UPDATED", "CALLBACK", "DURATION", "AGE")
    ]
    assert shown[1].split()[:8] == [name, "Succeeded", "Succeeded", "3/3", "230", "230", "0", "Delivered"]
    assert re.fullmatch(r"(\d+m)?\d+s", shown[1].split()[8])
    selected = [
        [each["metadata"]["name"] for each in scenario.find_all("EstimateSync", fieldSelector=f"status.{field}")]
        for field in ("phase=Succeeded", "reason=Succeeded", "phase=Failed")
    ]
    assert selected == [[name], [name], []]
    described = scenario.product.kubectl("describe", "estimatesync", name)
    for reason in ("JobCreated", "Succeeded", "CallbackDelivered"):
        assert described.count(f" {reason} ") == 1, described
    log = scenario.product.kubectl("logs", f"job/{scenario.get_sync(name)['status']['jobName']}").splitlines()
    assert log[0].endswith("[SYNC] Starting estimate fetch process")
    assert log[-1] == "✅ Background synchronization finished. New: 230, Updated: 0."


def test_the_outcome_goes_to_the_targets_that_a_request_names(run_scenario: Any) -> None:
    with running_receiver() as billing:
        targets = f"billing={billing.url}{WEBHOOK_PATH}-of-billing"
        api = {"CALLBACK_TARGET_NAMES": "billing", "SYNC_METADATA": "true"}
        with run_scenario(api=api, CALLBACK_TARGETS=targets, SYNC_METADATA="true") as scenario:
            metadata = {"team": "made-up-team", "order": 4711, "urgent": None}
            accepted = scenario.post(json={"callback": ["default", "billing"], "metadata": metadata}).json()
            name = accepted["sync_id"]
            unknown = scenario.post(json={"callback": "crm"})

            scenario.wait_delivered(name)
            status = scenario.get_sync(name)["status"]
            (sent,), (default,) = billing.deliveries, scenario.receiver.deliveries
            again = {"botzilla.io/redeliver": "monday/billing"}
            scenario.patch("EstimateSync", name, {"metadata": {"annotations": again}})
            billing.wait_for(2, 90)
            scenario.wait_until(
                "the record of it",
                lambda: [len(each["history"]) for each in scenario.get_sync(name)["status"]["callbacks"]] == [1, 2],
            )

            assert sent.body == default.body
            assert accepted["metadata"] == json.loads(sent.body)["metadata"] == metadata
            assert json.loads(status["metadata"]) == metadata
            assert (
                "made-up-team" not in scenario.product.operator_log.read_text() + scenario.product.api_log.read_text()
            )
            uid = scenario.get_sync(name)["metadata"]["uid"]
            assert [each.headers["webhook-id"] for each in (default, *billing.deliveries)] == [
                f"msg_{uid}_default",
                *[f"msg_{uid}_billing"] * 2,
            ]
            assert [(each["target"], each["state"]) for each in status["callbacks"]] == [
                ("default", "Delivered"),
                ("billing", "Delivered"),
            ]
            assert status["callback"] == status["callbacks"][0]
            assert (unknown.status_code, unknown.json()["message"]) == (
                400,
                'callback: "crm" is not one of the targets here: default, billing',
            )
            assert len(scenario.receiver.deliveries) == 1
            everything = json.dumps([*scenario.find_all("EstimateSync"), *scenario.find_all("Event")])
            assert WEBHOOK_PATH not in everything + scenario.product.operator_log.read_text()


def test_a_foreground_post_waits_for_the_end_and_returns_the_outcome(scenario: Any) -> None:
    answer = scenario.post(path=f"{START}?background=false")

    assert answer.status_code == 200
    body = answer.json()
    assert (body["new"], body["updated"]) == (230, 0)
    assert body["message"] == "✅ Background synchronization finished. New: 230, Updated: 0."
    assert body["log"][-1] == body["message"]


def test_bad_credentials_end_at_once_in_the_error_callback_word_for_word(scenario: Any) -> None:
    scenario.product.write_credentials(password="not-the-password")

    name = scenario.post().json()["sync_id"]

    callback = scenario.wait_callback(name)
    assert callback["status"] == "error"
    assert callback["error"] == "Login to Attic Tech failed: Invalid credentials"
    assert set(callback["results"].values()) == {0}
    status = scenario.get_sync(name)["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "LoginFailed")
    assert len(scenario.find_all("Pod")) == 1, "a permanent failure must not be retried"
    assert scenario.count_estimates() == 0
    scenario.product.kubectl("wait", f"estimatesync/{name}", "--for=condition=Failed", "--timeout=90s")
    scenario.product.kubectl("wait", f"estimatesync/{name}", "--for=condition=Finished", "--timeout=90s")


def test_an_attic_tech_that_does_not_answer_is_said_while_it_lasts_and_where_one_looks_first(scenario: Any) -> None:
    scenario.sample.on_request = lambda _: Response(status=503)

    name = scenario.post().json()["sync_id"]
    scenario.wait_until(
        "the status to say so", lambda: "; attempt " in scenario.get_sync(name).get("status", {}).get("message", "")
    )
    away = scenario.get_sync(name)["status"]
    scenario.sample.on_request = None
    callback = scenario.wait_callback(name)

    assert (away["phase"], away["reason"], away["cause"]) == ("Running", "Running", "SourceFailing")
    assert away["message"].startswith("Attic Tech is not available: it answers with an error (HTTP 503); attempt ")
    assert callback["status"] == "success"
    assert "cause" not in scenario.get_sync(name)["status"]


def test_two_posts_run_one_after_the_other(scenario: Any) -> None:
    with scenario.pages_held():
        first = scenario.post().json()["sync_id"]
        second = scenario.post(headers={"Idempotency-Key": "another"}).json()["sync_id"]

        scenario.wait_until(
            "a queued sync", lambda: "waiting for" in scenario.get_sync(second).get("status", {}).get("message", "")
        )
        waiting = scenario.get_sync(second)["status"]
        scenario.wait_until("a job", scenario.count_jobs)
        assert scenario.count_jobs() == 1
    assert waiting["message"] == f"Position 1; waiting for {first}"
    assert waiting["queue"] == {"position": 1, "exact": True, "ahead": [first], "moreAhead": 0}

    for name in (first, second):
        assert scenario.wait_finished(name)["status"]["phase"] == "Succeeded"
    assert "queue" not in scenario.get_sync(second)["status"]
    results = scenario.get_sync(second)["status"]["results"]
    assert (results["newEstimates"], results["updatedEstimates"], results["unchangedEstimates"]) == (0, 230, 230)
    assert scenario.get_sync(second)["status"]["startTime"] >= scenario.get_sync(first)["status"]["completionTime"]


def test_a_sync_applied_with_kubectl_runs_like_a_posted_one(scenario: Any) -> None:
    manifest = "apiVersion: botzilla.io/v1\nkind: EstimateSync\nmetadata: {name: by-hand}\nspec: {pageSize: 50}\n"

    scenario.product.kubectl("apply", "--filename=-", stdin=manifest)

    status = scenario.wait_finished("by-hand")["status"]
    assert (status["phase"], status["progress"]["text"]) == ("Succeeded", "5/5")
    assert scenario.wait_callback("by-hand")["results"]["total_processed"] == 230


def test_changes_are_read_on_top_of_the_whole_sync_before(scenario: Any) -> None:
    whole = scenario.post().json()["sync_id"]
    assert scenario.wait_finished(whole)["status"]["mode"] == "Whole"

    answer = scenario.post(json={"mode": "changes"}).json()

    name = answer["sync_id"]
    sync = scenario.wait_finished(name)
    assert answer["mode"] == sync["spec"]["mode"].lower() == "changes"
    assert (sync["status"]["phase"], sync["status"]["mode"]) == ("Succeeded", "Changes")
    assert "Only what had changed was read" in sync["status"]["message"]
    assert sync["status"]["results"]["newEstimates"] == 0
    assert scenario.wait_callback(name)["mode"] == "changes"
    assert "mode" not in scenario.wait_callback(whole)
    assert scenario.count_estimates() == 230


def test_what_a_spec_leaves_open_is_settled_by_the_deployment_and_stays(run_scenario: Any) -> None:
    operator = {"SYNC_CONCURRENCY": "3", "SYNC_PAGE_SIZE": "40", "SYNC_TIMEOUT_SECONDS": "900", "SYNC_MAX_RETRIES": "0"}
    with run_scenario(with_api=False, **operator) as scenario:
        scenario.apply("settled", maxRetries=1)

        options = scenario.wait_finished("settled")["status"]["options"]
        assert options == {"concurrency": 3, "pageSize": 40, "timeoutSeconds": 900, "maxRetries": 1}
        (job,) = scenario.find_all("Job")
        assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["backoffLimit"]) == (900, 1)
        (container,) = job["spec"]["template"]["spec"]["containers"]
        variables = {each["name"]: each.get("value") for each in container["env"]}
        assert (variables["SYNC_CONCURRENCY"], variables["SYNC_PAGE_SIZE"]) == ("3", "40")


def test_a_deleted_sync_leaves_no_job_and_no_process(scenario: Any) -> None:
    with scenario.pages_held():
        name = scenario.post().json()["sync_id"]
        scenario.wait_until("a process at work", lambda: scenario.find_runs(name))

        scenario.delete("EstimateSync", name)

        scenario.wait_until("no job", lambda: scenario.count_jobs() == 0)
        scenario.wait_until("no process", lambda: not scenario.find_runs(name))
    assert scenario.count_estimates() == 0
    assert scenario.receiver.deliveries == []


def test_an_operator_killed_while_the_job_runs_still_delivers_the_callback(scenario: Any) -> None:
    with scenario.pages_held():
        name = scenario.post().json()["sync_id"]
        scenario.wait_running_pod()

        scenario.product.stop_operator(grace=0)
    scenario.wait_complete_job()
    assert scenario.get_phase(name) == "Running"
    scenario.product.start_operator()

    assert scenario.wait_callback(name)["results"]["new_estimates"] == 230
    assert scenario.wait_finished(name)["status"]["phase"] == "Succeeded"
    assert scenario.count_jobs() == 1


def test_a_cancelled_sync_stops_keeps_its_record_and_tells(scenario: Any) -> None:
    with scenario.pages_held():
        name = scenario.post().json()["sync_id"]
        scenario.wait_running_pod()

        scenario.patch("EstimateSync", name, {"spec": {"cancel": True}})

        callback = scenario.wait_callback(name)
    assert (callback["status"], callback["error"]) == ("error", "Cancelled")
    assert scenario.get_phase(name) == "Cancelled"
    scenario.wait_until("no process", lambda: not scenario.find_runs(name))
    assert scenario.count_estimates() == 0


def test_a_killed_pod_is_replaced_and_the_counts_stay_exact(run_scenario: Any) -> None:
    with run_scenario() as scenario:
        with scenario.pages_held():
            name = scenario.post().json()["sync_id"]
            scenario.wait_until("a page asked for", lambda: len(scenario.sample.requests) > 1)

            scenario.kill_runs(name)

        status = scenario.wait_finished(name)["status"]
        assert status["phase"] == "Succeeded"
        assert status["results"]["newEstimates"] == scenario.count_estimates() == 230
        assert scenario.count_jobs() == 1


def test_a_finished_sync_is_removed_after_its_time(scenario: Any) -> None:
    scenario.product.write_credentials(password=scenario.secrets[0] + "-but-wrong")
    # While none has succeeded, the first would stay.
    scenario.apply("kept", cancel=True)

    scenario.apply("short-lived", ttlSecondsAfterFinished=2)

    assert scenario.wait_callback("short-lived")["status"] == "error"
    scenario.wait_until("only one left", lambda: len(scenario.find_all("EstimateSync")) == 1)
    scenario.wait_until("no job left", lambda: not scenario.find_all("Job"))
    assert scenario.get_sync("kept")["status"]["phase"] == "Cancelled"


def test_the_newest_sync_that_has_succeeded_stays_past_its_time(scenario: Any) -> None:
    scenario.apply("short-lived", ttlSecondsAfterFinished=0)

    scenario.wait_until("kept", lambda: scenario.get_sync("short-lived").get("status", {}).get("retained"))
    assert scenario.wait_callback("short-lived")["status"] == "success"
    assert scenario.count_jobs() == 1
    assert scenario.count_estimates() == 230


def test_no_secret_is_to_be_found_anywhere(scenario: Any) -> None:
    scenario.product.write_credentials(password=scenario.secrets[0] + "-but-wrong")
    failed = scenario.post().json()["sync_id"]
    scenario.wait_callback(failed)
    scenario.product.write_credentials(password=scenario.secrets[0])
    good = scenario.post().json()["sync_id"]
    scenario.wait_callback(good)

    everything = scenario.product.kubectl("get", "estimatesyncs,jobs,pods,events", "--output=yaml")
    logs = [scenario.product.operator_log.read_text(), scenario.product.api_log.read_text()]
    logs += [
        scenario.product.kubectl("logs", name)
        for name in scenario.product.kubectl("get", "pods", "--output=name").split()
    ]

    assert "estimatesync-credentials" in everything
    for secret in scenario.secrets:
        assert secret not in everything
        assert not [log for log in logs if secret in log]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"pageSize": 0}, "spec.pageSize in body should be greater than or equal to 1", id="too small"),
        pytest.param({"concurrency": 33}, "spec.concurrency in body should be less than or equal to 32", id="too many"),
        pytest.param({"pageSize": "many"}, "spec.pageSize in body must be of type integer", id="wrong type"),
        pytest.param(
            {"dateRange": {"start": "2025-02-30", "end": "2025-03-01"}},
            "spec.dateRange.start in body must be of type date",
            id="no such day",
        ),
        pytest.param(
            {"dateRange": {"start": "2025-03-02", "end": "2025-03-01"}},
            "dateRange.start must not be after dateRange.end",
            id="backwards",
        ),
        pytest.param({"pagesize": 10}, 'unknown field "spec.pagesize"', id="misspelt"),
        pytest.param(
            {"callback": {"urlSecretRef": {"name": "Not A Name", "key": "k"}}},
            "spec.callback.urlSecretRef.name in body should match",
            id="bad secret name",
        ),
        pytest.param(
            {"callback": {"targets": ["Billing"]}},
            "spec.callback.targets[0] in body should match",
            id="bad target name",
        ),
        pytest.param({"callback": {"targets": ["billing", "billing"]}}, "Duplicate value", id="a target twice"),
        pytest.param(
            {"callback": {"targets": ["billing"], "urlSecretRef": {"name": "hooks", "key": "k"}}},
            "callback: name targets or a urlSecretRef, not both",
            id="targets and a Secret",
        ),
    ],
)
def test_a_bad_spec_is_refused_with_a_readable_message(installed: Any, spec: dict[str, Any], message: str) -> None:
    refused = installed("bad", spec)

    assert message in refused


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        pytest.param({"pageSize": 10}, {"pageSize": 20}, "pageSize cannot be changed", id="a number"),
        pytest.param({"maxRetries": 0}, {"maxRetries": 1}, "maxRetries cannot be changed", id="what may be left open"),
        *(
            pytest.param({}, {name: 1}, f"{name} cannot be added or removed", id=f"{name} added")
            for name in ("concurrency", "timeoutSeconds", "maxRetries")
        ),
        pytest.param(
            {},
            {"dateRange": {"start": "2025-03-01", "end": "2025-03-02"}},
            "dateRange cannot be added or removed",
            id="a range added",
        ),
        pytest.param({}, {"pageSize": 10}, "pageSize cannot be added or removed", id="a size added"),
        pytest.param({"mode": "Whole"}, {"mode": "Changes"}, "mode cannot be changed", id="another mode"),
        pytest.param({"mode": "Changes"}, {}, "mode cannot be added or removed", id="a mode removed"),
        pytest.param(
            {"callback": {"enabled": True}}, {"callback": {"enabled": False}}, "callback cannot be changed", id="nested"
        ),
        pytest.param(
            {"callback": {"targets": ["billing"]}},
            {"callback": {"targets": ["crm"]}},
            "callback cannot be changed",
            id="another target",
        ),
        pytest.param({"metadata": "{}"}, {"metadata": '{"a":1}'}, "metadata cannot be changed", id="other metadata"),
        pytest.param({"cancel": True}, {"cancel": False}, "cancel cannot be taken back", id="cancel taken back"),
    ],
)
def test_a_spec_cannot_be_changed_afterwards(
    installed: Any, before: dict[str, Any], after: dict[str, Any], message: str
) -> None:
    assert installed("fixed", before) == ""

    refused = installed("fixed", after)

    assert message in refused


def test_suspend_and_cancel_may_change(installed: Any) -> None:
    assert installed("s", {"suspend": True}) == ""
    assert installed("s", {"suspend": False}) == ""
    assert installed("s", {"cancel": True}) == ""


def test_a_sync_is_followed_cancelled_and_redelivered_over_http(scenario: Any) -> None:
    scenario.slow_down(0.5)
    name = scenario.post().json()["sync_id"]
    url, key = f"{scenario.product.api_url}{SYNCS}/{name}", {"X-API-KEY": scenario.product.settings.api_key}

    with httpx.stream("GET", f"{url}/logs?follow=true", headers=key, trust_env=False, timeout=60) as log:
        lines = log.iter_lines()
        first = next(line for line in lines if "Page 1/" in line)
        cancelled = scenario.post(path=f"{SYNCS}/{name}/cancel")
        # The log ends when the sync does.
        list(lines)
    scenario.wait_callback(name)
    redelivered = scenario.post(path=f"{SYNCS}/{name}/redeliver")
    scenario.wait_until("the callback again", lambda: len(scenario.receiver.deliveries) == 2)

    assert "estimates" in first
    assert (cancelled.status_code, redelivered.status_code) == (202, 202)
    assert scenario.get_sync(name)["status"]["phase"] == "Cancelled"
    once, again = scenario.receiver.deliveries
    assert (once.headers["webhook-id"], once.body) == (again.headers["webhook-id"], again.body)
