"""The operator as those meet it who run it: its metrics and log, its waiting line, lost callbacks, odd objects."""

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from estimatesync_cluster.errors import ComponentError
from sample_attic_tech import Response
from sample_attic_tech.receiver import running_receiver


def read_metrics(scenario: Any) -> dict[str, float]:
    page = httpx.get(scenario.product.metrics_url, trust_env=False, timeout=30).text
    lines = [line.rpartition(" ") for line in page.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_metrics_and_log_lines_report_what_happened(scenario: Any) -> None:
    scenario.apply("done")
    scenario.wait_callback("done")
    scenario.wait_until(
        "rest", lambda: scenario.get_sync("done").get("status", {}).get("callback", {}).get("state") == "Delivered"
    )

    metrics = read_metrics(scenario)

    assert metrics['estimatesync_syncs{phase="Succeeded",reason="Succeeded"}'] == 1
    assert metrics['estimatesync_records_total{kind="new"}'] == 230
    assert metrics['estimatesync_callback_attempts_total{outcome="delivered"}'] == 1
    assert metrics["estimatesync_queue_wait_seconds_count"] == 1
    assert metrics['estimatesync_watch_last_event_timestamp_seconds{resource="jobs"}'] > 0
    lines = [json.loads(line) for line in scenario.product.operator_log.read_text().splitlines()]
    ours = [line for line in lines if line["message"].startswith("done: ")]
    assert [line["message"].split(": ")[1] for line in ours] == [*("JobCreated", "Succeeded", "CallbackDelivered")]
    assert {line["sync_id"] for line in ours} == {"done"}
    assert "callbacks go to http://127.0.0.1" in [line["message"].rpartition("; ")[2] for line in lines]


def test_a_callback_is_delivered_again_on_request_with_the_same_id_and_body(scenario: Any) -> None:
    scenario.receiver.answers.append(Response(status=410))
    scenario.apply("unheard")
    scenario.wait_until(
        "the end", lambda: scenario.get_sync("unheard").get("status", {}).get("callback", {}).get("attempts")
    )
    assert scenario.get_sync("unheard")["status"]["callback"]["state"] == "Failed"

    for value, arrived in (("once", 2), ("once", 2), ("twice", 3)):
        asked = {"annotations": {"botzilla.io/redeliver": value}}
        scenario.patch("EstimateSync", "unheard", {"metadata": asked})
        scenario.wait_until(
            value, lambda value=value: scenario.get_sync("unheard")["status"]["callback"].get("redelivery") == value
        )
        # Two requests while one delivery is still to come would be answered by that one.
        scenario.wait_until(f"delivery {arrived}", lambda arrived=arrived: len(scenario.receiver.deliveries) == arrived)
    scenario.wait_delivered("unheard")

    assert len(scenario.receiver.deliveries) == 3
    assert len({(each.headers["webhook-id"], each.body) for each in scenario.receiver.deliveries}) == 1


def test_a_silence_is_told_once_by_whichever_operator_leads(run_scenario: Callable[..., Any]) -> None:
    with (
        running_receiver() as alerts,
        run_scenario(
            with_api=False, MAKE_SYNC_ALERT_WEBHOOK_URL=f"{alerts.url}/alert", PUBLIC_URL="https://sync.example.com"
        ) as scenario,
    ):
        scenario.apply("last")
        scenario.wait_delivered("last")
        ended = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        scenario.patch("EstimateSync", "last/status", {"status": {"completionTime": ended}})

        for _ in range(2):
            scenario.product.stop_operator()
            scenario.product.start_operator()
            scenario.wait_until("the alert", lambda: read_alert(scenario, "last").get("state") == "Delivered")
        scenario.apply("next")
        scenario.wait_delivered("next")

        (told,) = alerts.deliveries
        body = json.loads(told.body)
        assert (body["event"], body["hours_since"], body["stale_after_hours"]) == ("sync_estimates_stale", 72, 26)
        assert (body["last_success"]["sync_id"], body["last_success"]["timestamp"][:19]) == ("last", ended[:19])
        assert body["details_url"] == "https://sync.example.com/"
        assert scenario.wait_callback("next")["details_url"] == "https://sync.example.com/page/syncs/next"
        assert told.headers["webhook-id"] == f"alert_{scenario.get_sync('last')['metadata']['uid']}"
        assert read_metrics(scenario)['estimatesync_alert_attempts_total{outcome="failed"}'] == 0
        assert "AlertDelivered" in scenario.product.kubectl("describe", "estimatesync", "last")


def read_alert(scenario: Any, name: str) -> dict[str, Any]:
    return dict(scenario.get_sync(name)["status"].get("alert", {}).get("delivery", {}))


def test_suspend_keeps_a_sync_waiting_without_a_place_and_cancel_ends_a_waiting_one(scenario: Any) -> None:
    scenario.apply("parked", suspend=True)
    scenario.wait_reason("parked", "Suspended")
    with scenario.pages_held():
        scenario.apply("first")
        scenario.wait_reason("first", "Running")
        scenario.apply("second")
        scenario.wait_reason("second", "Queued")

        scenario.patch("EstimateSync", "second", {"spec": {"cancel": True}})

        assert scenario.wait_callback("second")["error"] == "Cancelled"
    assert "jobName" not in scenario.get_sync("second")["status"]
    assert scenario.wait_finished("first")["status"]["phase"] == "Succeeded"
    assert scenario.get_sync("parked")["status"]["reason"] == "Suspended"
    scenario.patch("EstimateSync", "first", {"spec": {"cancel": True}})
    scenario.patch("EstimateSync", "parked", {"spec": {"suspend": False}})
    assert scenario.wait_finished("parked")["status"]["phase"] == "Succeeded"
    assert scenario.get_sync("first")["status"]["observedGeneration"] == 2
    assert scenario.get_sync("first")["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize("content", [pytest.param(None, id="no file"), pytest.param("", id="empty file")])
def test_an_operator_that_cannot_read_its_authorities_ends_with_what_to_do(
    run_scenario: Callable[..., Any], tmp_path: Path, content: str | None
) -> None:
    authorities = tmp_path / "ca.crt"
    if content is not None:
        authorities.write_text(content)

    with pytest.raises(ComponentError) as ended, run_scenario(with_api=False, SSL_CERT_FILE=str(authorities)):
        pass

    assert "file that SSL_CERT_FILE names cannot be read. Correct that file; in the chart it is" in str(ended.value)
    assert "Traceback" not in str(ended.value)


def test_an_operator_whose_metrics_port_is_taken_ends_with_what_to_do(run_scenario: Callable[..., Any]) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:  # noqa: S104 - as the operator does
        port = str(other.getsockname()[1])
        with pytest.raises(ComponentError) as ended, run_scenario(with_api=False, METRICS_PORT=port):
            pass

    assert "METRICS_PORT names a port that cannot be listened on" in str(ended.value)
    assert "Traceback" not in str(ended.value)


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        pytest.param({"affinity": {"nodeAfinity": {}}}, "spec.template.spec.affinity.nodeAfinity", id="a typo"),
        pytest.param({"runtimeClassName": "No Name"}, "spec.template.spec.runtimeClassName: Invalid", id="no name"),
    ],
)
def test_an_operator_whose_jobs_could_never_be_taken_says_so_at_its_start(
    run_scenario: Callable[..., Any], pod: dict[str, Any], words: str
) -> None:
    template = json.dumps({"spec": {"template": {"spec": pod}}})

    with pytest.raises(ComponentError) as caught, run_scenario(with_api=False, SYNC_JOB_TEMPLATE=template):
        pass

    assert "The API server takes no job like this" in str(caught.value)
    assert words in str(caught.value)
