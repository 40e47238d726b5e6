"""What a person who runs the cluster does with the chart: install, upgrade, roll back, remove, install again."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

CHART = Path(__file__).parents[3] / "charts" / "estimatesync"
ESTIMATES = 120


@pytest.fixture(scope="module")
def installed(shared_release: Any) -> Any:
    """A release as it is by default; what a test changes about it, it changes back."""
    shared_release.deploy("install")
    return shared_release


def list_syncs(release: Any) -> set[str]:
    return {each["metadata"]["name"] for each in release.find_all("EstimateSync")}


def test_an_installed_release_does_the_job_in_a_restricted_namespace(installed: Any) -> None:
    installed.empty_database()
    installed.ensure()
    assert "would violate PodSecurity" not in installed.printed
    assert "helm test sync" in installed.printed
    assert len(installed.find_api_urls()) == 2

    answer = installed.post()

    assert answer.status_code == 202
    name = answer.json()["sync_id"]
    installed.wait_status(name, "succeeded")
    installed.wait_until("the callback", lambda: installed.list_callbacks(name))
    assert installed.count_estimates() == ESTIMATES
    # The probes that made it ready are no news.
    assert "Activity 'watch'" not in installed.kubectl("logs", "deployment/sync-estimatesync-operator")


def test_helm_test_makes_a_round_trip(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list_syncs(installed)
    # There is no Service on this machine: the test is given the address of a replica.
    monkeypatch.setitem(installed.values, "test", {"url": installed.find_pod_urls()[0]})
    installed.deploy("upgrade")

    assert "Succeeded" in installed.helm("test", "sync", "--timeout=90s")
    assert list_syncs(installed) == before
    installed.values["test"]["mode"] = "round-trip"
    installed.deploy("upgrade")

    printed = installed.helm("test", "sync", "--timeout=90s")

    assert "Phase:" in printed
    assert "Succeeded" in printed
    assert len(list_syncs(installed) - before) == 1


def test_upgrade_and_rollback_change_the_definition_and_lose_no_running_sync(
    installed: Any, next_chart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = installed.surroundings

    def delay(request: Any) -> None:
        if request.path == "/api/job-estimates":
            time.sleep(2.0)

    monkeypatch.setattr(around.sample, "on_request", delay)
    name = installed.post().json()["sync_id"]
    installed.wait_status(name, "running")

    monkeypatch.setitem(installed.values["settings"], "maxActiveSyncs", 2)
    # The second request would join the first one's sync.
    monkeypatch.setitem(installed.values["api"], "repeatedRequests", "start")
    installed.deploy("upgrade", chart=next_chart)
    assert "CAUSE" in installed.kubectl("get", "esync")
    second = installed.post().json()["sync_id"]
    installed.wait_status(second, "running")
    installed.helm("rollback", "sync", "--wait", "--timeout=90s")

    assert "CAUSE" not in installed.kubectl("get", "esync")
    for each in (name, second):
        installed.wait_status(each, "succeeded")
    for each in (name, second):
        installed.wait_until("both callbacks", partial(installed.list_callbacks, each))
        # An operator that is replaced while it delivers may send again, with the same id.
        assert len({callback.headers["webhook-id"] for callback in installed.list_callbacks(each)}) == 1


def test_an_uninstalled_release_leaves_its_syncs_and_the_next_one_finds_them(installed: Any) -> None:
    name = installed.post().json()["sync_id"]
    installed.wait_status(name, "succeeded")

    installed.helm("uninstall", "sync", "--wait", "--timeout=60s")
    assert name in list_syncs(installed)
    assert installed.kubectl("get", "deployments,roles,secrets,services", "--output=name") == ""
    installed.deploy("install")

    assert installed.get(name)["status"] == "succeeded"
    assert installed.wait_status(installed.post().json()["sync_id"], "succeeded")


def test_a_second_release_is_refused_where_there_is_one(installed: Any) -> None:
    values = f"--values={installed.place / 'values.json'}"

    answer = installed.helm("install", "second", str(CHART), values, "--set=crd.enabled=false", check=False)

    assert 'Role "estimatesync-operator"' in answer
    assert 'must equal "second": current value is "sync"' in answer
