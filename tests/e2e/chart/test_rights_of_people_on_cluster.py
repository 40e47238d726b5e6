"""What people with the cluster's own roles in one namespace may do: read, start, and install a release of their own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    release: Any, team: Team, tmp_path: Path
) -> None:
    release.deploy("install")
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
