"""What people may do with kubectl and Helm by the cluster's own roles, and that it is on record who did what."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from estimatesync_cluster.cluster import Cluster

CHART = Path(__file__).parents[3] / "charts" / "estimatesync"
ROLES = ("view", "edit", "admin")
RIGHTS = [
    ("get", "estimatesyncs", {"view", "edit", "admin"}),
    ("watch", "estimatesyncs", {"view", "edit", "admin"}),
    ("create", "estimatesyncs", {"edit", "admin"}),
    ("patch", "estimatesyncs", {"edit", "admin"}),
    ("delete", "estimatesyncs", {"edit", "admin"}),
    ("update", "estimatesyncs/status", {"admin"}),
    ("create", "customresourcedefinitions", set()),
]
POLICY = "mutatingadmissionpolicies"
BY = "botzilla.io/{}-by"


@pytest.fixture(scope="module")
def installed(shared_release: Any) -> Any:
    """A release as it is by default."""
    shared_release.deploy("install")
    return shared_release


class Team:
    """A namespace in which each of the cluster's own roles is bound to one account of its name."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.namespace = namespace
        self._cluster = cluster
        for role in ROLES:
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": role}}
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": role, "namespace": namespace}],
            }
            for each in (account, binding):
                cluster.api.create(each, namespace=namespace)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        answer = self._cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin, check=check)
        return answer.stdout + ("" if check else answer.stderr)

    def may(self, role: str, verb: str, resource: str) -> bool:
        name, _, part = resource.partition("/")
        group = "apiextensions.k8s.io" if name == "customresourcedefinitions" else "botzilla.io"
        asked = {"namespace": self.namespace, "verb": verb, "group": group, "resource": name, "subresource": part}
        user = f"system:serviceaccount:{self.namespace}:{role}"
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        # The API server finds these by itself only for who calls.
        accounts = "system:serviceaccounts"
        groups = [accounts, f"{accounts}:{self.namespace}", "system:authenticated"]
        spec = {"user": user, "groups": groups, "resourceAttributes": asked}
        answer = self._cluster.api.create({**review, "spec": spec})
        return bool(answer["status"]["allowed"])


@pytest.fixture
def team(cluster: Cluster, make_namespace: Callable[..., str]) -> Team:
    return Team(cluster, make_namespace({"pod-security.kubernetes.io/enforce": "restricted"}))


def test_who_administers_a_namespace_alone_installs_a_second_release_there(
    installed: Any, team: Team, tmp_path: Path
) -> None:
    release = installed
    # The roles of the cluster are put together anew within a moment.
    release.wait_until("the rights of an admin", lambda: team.may("admin", "update", "estimatesyncs/status"))
    own = release.cluster.create_service_account_kubeconfig(
        tmp_path / "admin.kubeconfig", namespace=team.namespace, name="admin"
    )
    values = tmp_path / "second.json"
    values.write_text(json.dumps({**release.values, "crd": {"enabled": False}}))
    place = (f"--kubeconfig={own}", f"--namespace={team.namespace}")

    release.helm("install", "second", str(CHART), f"--values={values}", "--wait", "--timeout=90s", *place)

    sync = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": "theirs"}}
    team.kubectl(f"--kubeconfig={own}", "create", "--filename=-", stdin=json.dumps(sync))
    team.kubectl(f"--kubeconfig={own}", "wait", "esync/theirs", "--for=condition=Complete", "--timeout=90s")
    held = [(verb, what, {role for role in ROLES if team.may(role, verb, what)}) for verb, what, _ in RIGHTS]
    assert held == RIGHTS
    release.helm("uninstall", "second", "--wait", "--timeout=60s", *place)


@pytest.fixture(scope="module")
def recording(installed: Any) -> Any:
    """A release whose policy is at work; a moment after it is stored, the API server has read it."""
    release = installed
    if POLICY not in release.kubectl("api-resources", "--api-group=admissionregistration.k8s.io", "--output=name"):
        pytest.skip("this version of Kubernetes has no such policies")

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
