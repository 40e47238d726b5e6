"""What a person who runs the cluster does with the chart: install, upgrade, roll back, remove, install again."""

import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

VERSION = version("estimatesync")

CHART = Path(__file__).parents[3] / "charts" / "estimatesync"
ESTIMATES = 120


def slow_down(sample: Any, seconds: float) -> None:
    def delay(request: Any) -> None:
        if request.path == "/api/job-estimates":
            time.sleep(seconds)

    sample.on_request = delay


def test_an_installed_release_does_the_job_in_a_restricted_namespace(
    release: Any, receiver: Any, count_estimates: Callable[[], int]
) -> None:
    printed = release.deploy("install")
    assert "would violate PodSecurity" not in printed
    assert "helm test sync" in printed
    assert len(release.find_api_urls()) == 2

    answer = release.post()

    assert answer.status_code == 202
    name = answer.json()["sync_id"]
    release.wait_status(name, "succeeded")
    release.wait_until("the callback", lambda: receiver.deliveries)
    assert json.loads(receiver.deliveries[0].body)["sync_id"] == name
    assert count_estimates() == ESTIMATES
    # The probes that made it ready are no news.
    assert "Activity 'watch'" not in release.kubectl("logs", "deployment/sync-estimatesync-operator")


def test_helm_test_makes_a_round_trip(release: Any) -> None:
    release.deploy("install")
    # There is no Service on this machine: the test is given the address of a replica.
    release.values["test"] = {"url": release.find_pod_urls()[0]}
    release.deploy("upgrade")

    assert "Succeeded" in release.helm("test", "sync", "--timeout=90s")
    assert release.find_all("EstimateSync") == []
    release.values["test"]["mode"] = "round-trip"
    release.deploy("upgrade")

    printed = release.helm("test", "sync", "--timeout=90s")

    assert "Phase:" in printed
    assert "Succeeded" in printed
    assert len(release.find_all("EstimateSync")) == 1


def test_upgrade_and_rollback_change_the_definition_and_lose_no_running_sync(
    release: Any, sample: Any, receiver: Any, next_chart: Path
) -> None:
    # The second request would join the first one's sync.
    release.values["api"]["repeatedRequests"] = "start"
    release.deploy("install")
    slow_down(sample, 2.0)
    name = release.post().json()["sync_id"]
    release.wait_status(name, "running")

    release.values["settings"]["maxActiveSyncs"] = 2
    release.deploy("upgrade", chart=next_chart)
    assert "CAUSE" in release.kubectl("get", "esync")
    second = release.post().json()["sync_id"]
    release.wait_status(second, "running")
    release.helm("rollback", "sync", "1", "--wait", "--timeout=90s")

    assert "CAUSE" not in release.kubectl("get", "esync")
    for each in (name, second):
        release.wait_status(each, "succeeded")

    def list_callbacks() -> set[tuple[str, str]]:
        """By sync and webhook-id: an operator that is replaced while it delivers may send again, with the same id."""
        return {(json.loads(each.body)["sync_id"], each.headers["webhook-id"]) for each in receiver.deliveries}

    release.wait_until("both callbacks", lambda: {sync for sync, _ in list_callbacks()} == {name, second})
    assert len(list_callbacks()) == 2


def test_an_uninstalled_release_leaves_its_syncs_and_the_next_one_finds_them(release: Any) -> None:
    release.deploy("install")
    name = release.post().json()["sync_id"]
    release.wait_status(name, "succeeded")

    release.helm("uninstall", "sync", "--wait", "--timeout=60s")
    assert name in {each["metadata"]["name"] for each in release.find_all("EstimateSync")}
    assert release.kubectl("get", "deployments,roles,secrets,services", "--output=name") == ""
    release.deploy("install")

    assert release.get(name)["status"] == "succeeded"
    assert release.wait_status(release.post().json()["sync_id"], "succeeded")


def test_a_second_release_is_refused_where_there_is_one(release: Any) -> None:
    release.deploy("install")
    values = f"--values={release.place / 'values.json'}"

    answer = release.helm("install", "second", str(CHART), values, "--set=crd.enabled=false", check=False)

    assert 'Role "estimatesync-operator"' in answer
    assert 'must equal "second": current value is "sync"' in answer


def test_under_the_admission_policy_the_operator_creates_sync_jobs_and_nothing_else(release: Any) -> None:
    release.values["admissionPolicy"] = {"enabled": True}
    release.values["networkPolicy"]["enabled"] = True
    release.deploy("install")
    operator = f"--as=system:serviceaccount:{release.namespace}:sync-estimatesync-operator"

    def try_another_job() -> str:
        arguments = ("create", "job", "other", f"--image=estimatesync-sync:{VERSION}", operator, "--dry-run=server")
        return str(release.kubectl(*arguments, "--", "sh", "-c", "true", check=False))

    release.wait_until("the policy at work", lambda: "denied request" in try_another_job())
    assert release.wait_status(release.post().json()["sync_id"], "succeeded")
    # Who deploys other jobs into the namespace is not concerned.
    other = release.kubectl("create", "job", "mine", f"--image=estimatesync-sync:{VERSION}", "--dry-run=server")
    assert "mine" in other
