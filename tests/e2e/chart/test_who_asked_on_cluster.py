"""Who acts with kubectl is on the sync, and nobody can write another name there."""

import json
from typing import Any

import httpx
import pytest

POLICY = "mutatingadmissionpolicies"
BY = "botzilla.io/{}-by"


@pytest.fixture
def recording(release: Any) -> Any:
    """A release whose policy is at work; a moment after it is stored, the API server has read it."""
    if POLICY not in release.kubectl("api-resources", "--api-group=admissionregistration.k8s.io", "--output=name"):
        pytest.skip("this version of Kubernetes has no such policies")
    release.deploy("install")

    def is_recorded() -> bool:
        annotations = release.create(build_sync("probe"), dryRun="All")["metadata"].get("annotations", {})
        return BY.format("started") in annotations

    release.wait_until("the policy", is_recorded)
    return release


def build_sync(name: str, **annotations: str) -> dict[str, Any]:
    """A sync that waits for somebody to resume it."""
    metadata = {"name": name, "annotations": annotations} if annotations else {"name": name}
    return {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": metadata, "spec": {"suspend": True}}


def act(release: Any, user: str, *arguments: str, stdin: str | None = None) -> None:
    release.kubectl(f"--as={user}", "--as-group=system:masters", *arguments, stdin=stdin)


def read_own_part(release: Any, sync: str) -> tuple[Any, ...]:
    """What is not the operator's, and who is on record as having written it, when."""
    found = release.find("EstimateSync", sync)
    metadata = found["metadata"]
    writers = [each for each in metadata["managedFields"] if "subresource" not in each]
    return found["spec"], metadata["generation"], metadata["annotations"], writers


def read_names(release: Any, sync: str) -> dict[str, str]:
    annotations = release.find("EstimateSync", sync)["metadata"].get("annotations", {})
    return {
        what: annotations[BY.format(what)]
        for what in ("started", "cancelled", "redelivered", "suspended")
        if BY.format(what) in annotations
    }


def test_who_asked_is_on_the_sync_and_in_the_answers_of_the_api(recording: Any) -> None:
    act(recording, "jane@example.com", "create", "--filename=-", stdin=json.dumps(build_sync("by-hand")))
    assert read_names(recording, "by-hand") == dict.fromkeys(("started", "suspended"), "user jane@example.com")
    act(recording, "bob", "patch", "esync", "by-hand", "--type=merge", '--patch={"spec":{"cancel":true}}')
    recording.wait_status("by-hand", "cancelled")
    act(recording, "eve", "annotate", "esync", "by-hand", "botzilla.io/redeliver=once")
    act(recording, "zoe", "annotate", "esync", "by-hand", "note=nothing-of-ours")

    posted = recording.post().json()["sync_id"]
    recording.wait_status(posted, "succeeded")
    url = f"{recording.find_api_urls()[0]}/api/automations/estimates/syncs/{posted}/redeliver"
    key = recording.values["apiKeys"]["keys"]["make"]
    httpx.post(url, headers={"X-API-KEY": key}, trust_env=False, timeout=30).raise_for_status()

    names = {"started": "user jane@example.com", "cancelled": "user bob", "redelivered": "user eve"}
    assert read_names(recording, "by-hand") == {**names, "suspended": "user jane@example.com"}
    answer = recording.get("by-hand")
    assert {what: answer[f"{what}_by"] for what in names} == names
    assert read_names(recording, posted) == {"started": "make", "redelivered": "make"}


def test_nobody_writes_another_name_and_who_applies_the_same_again_changes_nothing(recording: Any) -> None:
    """The latter is what Flux and Argo CD do, who would see a difference for ever."""
    forged = json.dumps(build_sync("theirs", **{BY.format("started"): "make", BY.format("cancelled"): "make"}))
    act(recording, "mallory", "create", "--filename=-", stdin=forged)
    for change in ("started-by=make", "started-by-", "cancelled-by=make"):
        act(recording, "trudy", "annotate", "--overwrite", "esync", "theirs", f"botzilla.io/{change}")
        assert read_names(recording, "theirs") == dict.fromkeys(("started", "suspended"), "user mallory")
    for is_held, names in ((False, {}), (True, {"suspended": "user peggy"})):
        change = json.dumps({"spec": {"suspend": is_held}})
        act(recording, "peggy", "patch", "esync", "theirs", "--type=merge", f"--patch={change}")
        assert read_names(recording, "theirs") == {"started": "user mallory", **names}

    text = json.dumps(build_sync("from-git"))
    arguments = ("apply", "--server-side", "--field-manager=flux", "--filename=-")
    act(recording, "flux", *arguments, stdin=text)
    before = read_own_part(recording, "from-git")
    act(recording, "another", *arguments, stdin=text)

    assert read_own_part(recording, "from-git") == before
    assert read_names(recording, "from-git") == dict.fromkeys(("started", "suspended"), "user flux")
