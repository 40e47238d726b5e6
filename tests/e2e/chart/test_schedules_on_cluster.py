"""Schedules on a real API server: Kubernetes takes their CronJobs, and a job of one starts a sync once."""

import base64
import json
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

NAME = "sync-estimatesync-nightly"


def start_job(release: Any, name: str) -> None:
    """Make a job as the CronJob controller does, from the CronJob's template."""
    arguments = ("create", "job", name, f"--from=cronjob/{NAME}", "--dry-run=client", "--output=json")
    job = json.loads(release.kubectl(*arguments))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    for variable in container["env"]:
        if variable["name"] == "ESTIMATESYNC_URL":
            # A Service has a name and an address only where nodes have a network.
            variable["value"] = release.find_pod_urls()[0]
    release.kubectl("create", "--filename=-", stdin=json.dumps(job))
    release.kubectl("wait", "--for=condition=complete", f"job/{name}", "--timeout=60s")


def list_syncs(release: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(release.kubectl("get", "esync", "--output=json"))["items"]
    return found


def test_a_schedule_starts_a_sync_of_its_days_once_for_each_time(release: Any) -> None:
    schedule = {"name": "nightly", "cron": "0 3 * * *", "timeZone": "America/Chicago", "days": 7, "suspend": True}
    release.values["schedules"] = [schedule]
    release.deploy("install")
    minutes = int(time.time()) // 60

    start_job(release, f"{NAME}-{minutes}")
    (sync,) = list_syncs(release)
    # Whoever made the job of that minute anew, such as a controller that did not see that there was one.
    release.kubectl("delete", "job", f"{NAME}-{minutes}")
    start_job(release, f"{NAME}-{minutes}")
    again = [each["metadata"]["name"] for each in list_syncs(release)]
    start_job(release, f"{NAME}-{minutes + 1}")

    days = sync["spec"]["dateRange"]
    release.wait_status(sync["metadata"]["name"], "succeeded")
    assert again == [sync["metadata"]["name"]]
    assert len(list_syncs(release)) == 2
    assert date.fromisoformat(days["end"]) - date.fromisoformat(days["start"]) == timedelta(days=7)


def test_the_command_line_finds_api_and_key_by_the_variables_of_an_api_pod(release: Any, tmp_path: Path) -> None:
    release.deploy("install")
    (pod, *_) = json.loads(release.kubectl("get", "pods", "--selector=app.kubernetes.io/component=api", "-o", "json"))[
        "items"
    ]
    values = {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0]["env"]}
    mounted = tmp_path / "API_KEYS"
    secret = json.loads(release.kubectl("get", "secret", "sync-estimatesync-api-keys", "--output=json"))["data"]
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
    assert [name for name, each in found.items() if each["verdict"] == "ok"] == ["server", "API key", "cluster"]
    assert {each["cause"] for each in found.values() if each["verdict"] == "unknown"} == {
        "its settings are not known here, and no recent sync got far enough to tell"
    }
