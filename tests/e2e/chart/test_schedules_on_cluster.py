"""Schedules on a real control plane: its CronJob controller starts what was due, and each time has one sync."""

import base64
import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from estimatesync_contract.names import SYNCS_PATH, build_keyed_sync_name

NAME = "sync-estimatesync-nightly"
ZONE = "America/Chicago"


def patch(release: Any, change: dict[str, Any], *, part: str = "") -> None:
    release.cluster.api.patch("CronJob", f"{NAME}{part}", change, namespace=release.namespace)


def pass_over(release: Any) -> None:
    """Have the controller find that the last start was hours ago, as after a control plane that was away."""
    patch(
        release,
        {"status": {"lastScheduleTime": f"{datetime.now(UTC) - timedelta(hours=5):%Y-%m-%dT%H:%M:%SZ}"}},
        part="/status",
    )


def wait_job(release: Any, name: str) -> None:
    def is_complete() -> bool:
        conditions = release.find("Job", name).get("status", {}).get("conditions", [])
        return any((each["type"], each["status"]) == ("Complete", "True") for each in conditions)

    release.wait_until(f"the end of the job {name}", is_complete)


def list_syncs(release: Any) -> list[dict[str, Any]]:
    return list(release.find_all("EstimateSync"))


@pytest.fixture(scope="module")
def due() -> datetime:
    """When the nightly sync should have started."""
    return datetime.now(UTC) - timedelta(minutes=10)


@pytest.fixture(scope="module")
def scheduled(shared_release: Any, due: datetime) -> Any:
    """A release whose nightly sync was due ten minutes ago; it is suspended until a test resumes it."""
    release = shared_release
    there = due.astimezone(ZoneInfo(ZONE))
    schedule = {"cron": f"{there.minute} {there.hour} * * *", "timeZone": ZONE, "days": 7, "suspend": True}
    release.values["schedules"] = [{"name": "nightly", **schedule}]
    release.deploy("install")
    # A Service has a name and an address only where nodes have a network.
    release.kubectl("set", "env", f"cronjob/{NAME}", f"ESTIMATESYNC_URL={release.find_pod_urls()[0]}")
    pass_over(release)
    return release


def test_the_controller_starts_a_sync_of_the_schedules_days_once_for_each_time(scheduled: Any, due: datetime) -> None:
    release, job = scheduled, f"{NAME}-{int(due.timestamp()) // 60}"

    patch(release, {"spec": {"suspend": False}})
    wait_job(release, job)
    (sync,) = list_syncs(release)
    # A controller that did not see that it had started this one already.
    release.kubectl("delete", "job", job)
    pass_over(release)
    wait_job(release, job)
    again = [each["metadata"]["name"] for each in list_syncs(release)]
    release.kubectl("create", "job", "by-hand", f"--from=cronjob/{NAME}")
    # The controller keeps one job that has ended, and may take this one away at once.
    release.wait_until("a sync started by hand", lambda: len(list_syncs(release)) > 1)

    days = sync["spec"]["dateRange"]
    release.wait_status(sync["metadata"]["name"], "succeeded")
    assert again == [sync["metadata"]["name"]] == [build_keyed_sync_name(f"schedule/{job}")]
    assert len(list_syncs(release)) == 2
    assert date.fromisoformat(days["end"]) - date.fromisoformat(days["start"]) == timedelta(days=7)


def forget_syncs(release: Any) -> None:
    """Delete what other tests started, and wait until the API knows it."""
    release.cluster.api.delete_all("EstimateSync", namespace=release.namespace)
    headers = {"X-API-KEY": release.values["apiKeys"]["keys"]["make"]}
    for url in release.find_api_urls():
        ask = partial(httpx.get, f"{url}{SYNCS_PATH}", headers=headers, trust_env=False, timeout=30)
        release.wait_until("a list without a sync", lambda: not ask().json()["syncs"])  # noqa: B023 - called at once


def test_the_command_line_finds_api_and_key_by_the_variables_of_an_api_pod(scheduled: Any, tmp_path: Path) -> None:
    release = scheduled
    forget_syncs(release)
    (pod, *_) = release.find_all("Pod", labelSelector="app.kubernetes.io/component=api")
    values = {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0]["env"]}
    mounted = tmp_path / "API_KEYS"
    secret = release.find("Secret", "sync-estimatesync-api-keys")["data"]
    mounted.write_bytes(base64.b64decode(secret[Path(values["ESTIMATESYNC_API_KEY_FILE"]).name]))
    environment = {
        "ESTIMATESYNC_URL": values["ESTIMATESYNC_URL"].replace("$(POD_IP)", pod["status"]["podIP"]),
        "ESTIMATESYNC_API_KEY_FILE": str(mounted),
    }

    program = Path(sys.executable).with_name("estimatesync")
    ended = subprocess.run(
        [program, "doctor", "-o", "json"], env=environment, capture_output=True, text=True, check=True
    )

    found = {each["check"]: each for each in json.loads(ended.stdout)["checks"]}
    assert [name for name, each in found.items() if each["verdict"] == "ok"] == ["server", "storage", "API key"]
    assert {each["cause"] for each in found.values() if each["verdict"] == "unknown"} == {
        "its settings are not known here, and no recent sync got far enough to tell",
        "no sync has succeeded yet",
    }
