"""The API's promises about Kubernetes, on a real API server."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

URL = "/api/automations/estimates/sync-external"
RACERS = 8

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: "NAMESPACE"}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "NAMESPACE"}}
    resourceRules:
      - {apiGroups: [botzilla.io], apiVersions: [v1], operations: [CREATE], resources: [estimatesyncs]}
  validations: [{expression: "false", message: no syncs on Mondays}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: "NAMESPACE"}
spec: {policyName: "NAMESPACE", validationActions: [Deny]}
"""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(RACERS) as threads:
        yield threads


@pytest.fixture
def no_syncs_on_mondays(api: Any) -> Iterator[None]:
    """The cluster refuses every sync of this namespace."""
    policy = POLICY.replace("NAMESPACE", api.namespace)
    api.cluster.kubectl("apply", "--filename=-", stdin=policy)
    yield
    api.cluster.kubectl("delete", "--filename=-", stdin=policy)


def test_202_means_that_kubernetes_has_the_sync(api: Any) -> None:
    answer = api.ask("POST", URL, body='{"startDate":"2025-09-01","endDate":"2025-10-16"}')

    (sync,) = api.stored()
    assert answer.status == 202
    assert answer.body["sync_id"] == sync["metadata"]["name"]
    assert sync["spec"]["dateRange"] == {"start": "2025-09-01", "end": "2025-10-16"}
    assert sync["spec"].keys() == {"dateRange", "callback", "cancel", "suspend"}
    assert sync["spec"]["callback"] == {"enabled": True}


def test_the_sync_is_shown_as_the_operator_left_it(api: Any) -> None:
    answer = api.ask("POST", URL)
    name = answer.body["sync_id"]
    progress = {"page": 9, "totalPages": 17, "fetched": 900, "percent": 52, "text": "9/17"}
    api.write_status(name, {"phase": "Running", "startTime": "2025-10-16T14:09:00Z", "progress": progress})

    shown = api.ask("GET", answer.headers["Location"])

    assert shown.status == 200
    assert (shown.body["status"], shown.body["started_at"]) == ("running", "2025-10-16T14:09:00.000Z")
    assert shown.body["progress"] == {"page": 9, "total_pages": 17, "fetched": 900, "percent": 52, "text": "9/17"}
    assert shown.body["created_at"]
    assert api.namespace not in json.dumps(shown.body)
    assert api.ask("GET", f"{answer.headers['Location']}x").body["code"] == "sync_not_found"


def test_callers_who_race_with_one_idempotency_key_get_one_sync(api: Any, pool: ThreadPoolExecutor) -> None:
    answers = list(pool.map(lambda _: api.ask("POST", URL, key="run-17"), range(RACERS)))
    other = api.ask("POST", URL, key="run-17", body='{"startDate":"2025-09-01","endDate":"2025-09-02"}')

    (sync,) = api.stored()
    assert {answer.status for answer in answers} == {202}
    assert {answer.body["sync_id"] for answer in answers} == {sync["metadata"]["name"]}
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")


def test_a_caller_who_waits_gets_the_outcome_and_what_every_run_printed(api: Any, pool: ThreadPoolExecutor) -> None:
    waiting = pool.submit(api.ask, "POST", f"{URL}?background=false")
    (sync,) = api.wait_until("the sync", api.stored)
    name, uid = sync["metadata"]["name"], sync["metadata"]["uid"]
    for run in ("z-first", "a-second"):
        api.run_pod(build_pod(run, job_name=f"estimatesync-{uid}"))
        # Kubernetes gives the age of pods in whole seconds, and a job's retries are ten or more apart.
        second = int(time.time())
        api.wait_until("the next second", lambda second=second: int(time.time()) > second)
    results = {"newEstimates": 45, "updatedEstimates": 1564, "totalFetched": 1609, "totalProcessed": 1609}

    api.write_status(name, {"phase": "Succeeded", "results": results})

    answer = waiting.result(timeout=90)
    assert (answer.status, answer.body["new"], answer.body["updated"]) == (200, 45, 1564)
    assert answer.body["log"] == ["✅ z-first", "✅ a-second"]


def test_a_missing_right_makes_the_api_unready_and_nothing_is_lost(api: Any) -> None:
    api.delete("RoleBinding", "estimatesync-api")
    api.wait_until("the right to be gone", lambda: api.ask("GET", "/readyz").status == 503)

    answer = api.ask("POST", URL)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
    assert api.namespace not in json.dumps(answer.body)
    assert "cannot create resource" in api.log.read_text()
    assert api.stored() == []


def test_a_sync_that_the_cluster_refuses_is_422_with_the_cause(api: Any, no_syncs_on_mondays: None) -> None:  # noqa: ARG001 - it acts on the cluster
    api.wait_until("the policy", lambda: api.ask("POST", URL).status == 422)

    answer = api.ask("POST", URL)

    assert (answer.status, answer.body["code"]) == (422, "sync_refused")
    assert answer.body["message"] == "The sync was refused: no syncs on Mondays"
    api.wait_until("the API to be unready", lambda: api.ask("GET", "/readyz").status == 503)


def test_the_service_account_may_do_what_the_api_does_and_no_more(api: Any) -> None:
    own = list_rights(api, "estimatesync-api")

    assert own - list_rights(api, "default") == {
        ("estimatesyncs.botzilla.io", "[create get list watch patch]"),
        ("pods", "[list]"),
        ("pods/log", "[get]"),
    }


def list_rights(api: Any, account: str) -> set[tuple[str, str]]:
    """Resource and verbs of each rule; the columns between them are empty in all of ours."""
    user = f"--as=system:serviceaccount:{api.namespace}:{account}"
    lines = api.kubectl("auth", "can-i", "--list", "--no-headers", user).splitlines()
    return {(line.split()[0], line[line.rindex("[") :]) for line in lines}


def build_pod(name: str, *, job_name: str) -> dict[str, Any]:
    """A pod such as a job makes: found by the job's label, printing from a container named sync."""
    container = {"name": "sync", "image": "estimatesync-sync:test", "command": ["sh", "-c", f"echo '✅ {name}'"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"batch.kubernetes.io/job-name": job_name}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
