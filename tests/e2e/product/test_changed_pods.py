"""Pods that something in the cluster changes on their way, as queues and meshes do.

A MutatingAdmissionPolicy of the test's own stands for the webhook that adds a sidecar or a gate. Kubernetes has them
since 1.36: these tests cannot be among those of `make test-oldest`.
https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from estimatesync_cluster.cluster import Cluster

WAIT_SECONDS = 90.0
POLL_SECONDS = 0.05
SIDECAR = {
    "patchType": "JSONPatch",
    "jsonPatch": {
        "expression": """[JSONPatch{op: "add", path: "/spec/containers/0", value: Object.spec.containers{
  name: "mesh-proxy",
  image: object.spec.containers[0].image,
  imagePullPolicy: object.spec.containers[0].imagePullPolicy,
  command: ["sleep", "600"],
  securityContext: Object.spec.containers.securityContext{
    allowPrivilegeEscalation: false,
    capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]}}}}]"""
    },
}
GATE = {
    "patchType": "ApplyConfiguration",
    "applyConfiguration": {
        "expression": """Object{spec: Object.spec{
  schedulingGates: [Object.spec.schedulingGates{name: "example.com/held"}]}}"""
    },
}
PROBE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe"},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "c",
                "image": "i",
                "imagePullPolicy": "Never",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    },
}


@pytest.fixture
def changing_pods(cluster: Cluster, namespace: str) -> Callable[[dict[str, Any]], Any]:
    """Have every new pod of the namespace changed, from when the context begins."""

    @contextmanager
    def change(mutation: dict[str, Any]) -> Iterator[None]:
        for each in build_policy(namespace, mutation):
            cluster.api.create(each)
        try:
            wait_until_changed(cluster, namespace)
            yield
        finally:
            for kind in ("MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"):
                cluster.api.delete(kind, namespace)

    return change


def build_policy(namespace: str, mutation: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    version, metadata = "admissionregistration.k8s.io/v1", {"name": namespace}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [mutation],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": namespace, "matchResources": here}
    return (
        {"apiVersion": version, "kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": policy},
        {"apiVersion": version, "kind": "MutatingAdmissionPolicyBinding", "metadata": metadata, "spec": binding},
    )


def wait_until_changed(cluster: Cluster, namespace: str) -> None:
    """The API server learns of a policy within seconds."""
    deadline = time.monotonic() + WAIT_SECONDS

    def is_changed() -> bool:
        made = cluster.api.create(PROBE, namespace=namespace, dryRun="All")["spec"]
        return len(made["containers"]) > 1 or "schedulingGates" in made

    while not is_changed():
        assert time.monotonic() < deadline, "the policy never took effect"
        time.sleep(POLL_SECONDS)


def list_sync_pods(scenario: Any) -> list[dict[str, Any]]:
    return [pod for pod in scenario.find_all("Pod") if pod["metadata"]["labels"].get("botzilla.io/sync")]


def test_a_success_is_told_at_once_though_a_sidecar_goes_on_and_its_log_outlives_the_pod(
    run_scenario: Any, changing_pods: Callable[[dict[str, Any]], Any]
) -> None:
    with run_scenario() as scenario, changing_pods(SIDECAR):
        scenario.apply("meshed")

        scenario.wait_until("its pod", lambda: len(list_sync_pods(scenario)) == 1)
        (pod,) = list_sync_pods(scenario)
        assert [each["name"] for each in pod["spec"]["containers"]] == ["mesh-proxy", "sync"]
        status = scenario.wait_finished("meshed")["status"]
        assert (status["phase"], status["results"]["newEstimates"]) == ("Succeeded", 230)
        assert scenario.wait_callback("meshed")["status"] == "success"

        scenario.wait_until("no pod", lambda: not list_sync_pods(scenario))
        scenario.wait_until("no job", lambda: scenario.count_jobs() == 0)
        kept = scenario.get_sync("meshed")["status"]
        assert (kept["phase"], kept["callback"]["attempts"]) == ("Succeeded", 1)
        assert any("Background synchronization finished. New: 230" in line for line in kept["log"])
        address = f"{scenario.product.api_url}/api/automations/estimates/syncs/meshed/logs"
        shown = httpx.get(address, headers={"X-API-KEY": scenario.secrets[2]}, trust_env=False, timeout=30).text
        assert shown.splitlines() == kept["log"]


def point_database_at(scenario: Any, url: str) -> None:
    scenario.patch("Secret", "estimatesync-credentials", {"stringData": {"DATABASE_URL": url}})


def test_a_failure_beside_a_sidecar_that_goes_on_is_tried_again_in_another_pod(
    run_scenario: Any, changing_pods: Callable[[dict[str, Any]], Any]
) -> None:
    """The pod that is deleted counts against the job's limit, as one that ended by itself does."""
    with run_scenario(with_api=False, DATABASE_WAIT_SECONDS="0") as scenario, changing_pods(SIDECAR):
        point_database_at(scenario, "postgresql://nobody@127.0.0.1:9/none")

        scenario.apply("meshed", maxRetries=1)

        status = scenario.wait_finished("meshed")["status"]
        assert (status["phase"], status["reason"], status["runs"]) == ("Failed", "DatabaseUnavailable", 2)
        assert status["message"].endswith("(gave up after 2 runs)")
        assert status["log"]
        scenario.wait_until("neither pod nor job", lambda: not list_sync_pods(scenario) and scenario.count_jobs() == 0)


def test_a_permanent_failure_beside_a_sidecar_that_goes_on_is_told_at_once(
    run_scenario: Any, changing_pods: Callable[[dict[str, Any]], Any]
) -> None:
    with run_scenario(with_api=False) as scenario, changing_pods(SIDECAR):
        point_database_at(scenario, "mysql://nobody@127.0.0.1:9/none")

        scenario.apply("meshed")

        status = scenario.wait_finished("meshed")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "ConfigurationInvalid")
        assert status["log"]
        scenario.wait_until("neither pod nor job", lambda: not list_sync_pods(scenario) and scenario.count_jobs() == 0)


def test_a_gated_pod_shows_gives_its_slot_back_and_goes_on_once_the_gate_is_gone(
    run_scenario: Any, changing_pods: Callable[[dict[str, Any]], Any]
) -> None:
    with run_scenario(with_api=False, STUCK_SECONDS="3") as scenario:
        with changing_pods(GATE):
            scenario.apply("gated")
            status = scenario.wait_reason("gated", "SchedulingGated")["status"]
        assert status["phase"] == "Running"
        assert status["message"].endswith(": example.com/held")

        scenario.apply("next")
        assert scenario.wait_finished("next")["status"]["phase"] == "Succeeded"
        (pod,) = (each["metadata"]["name"] for each in list_sync_pods(scenario) if each["spec"].get("schedulingGates"))
        scenario.patch("Pod", pod, {"spec": {"schedulingGates": []}})

        assert scenario.wait_finished("gated")["status"]["phase"] == "Succeeded"
