"""What the operator does with objects that a looser definition lets in, on a cluster that no other test uses."""

import json
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster


@pytest.fixture(scope="module")
def cluster(own_cluster: Cluster) -> Cluster:
    return own_cluster


def test_an_object_that_cannot_be_read_is_reported_once_and_does_not_affect_others(scenario: Any) -> None:
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/maxRetries"
    loosen = [{"op": "replace", "path": path, "value": {"x-kubernetes-preserve-unknown-fields": True}}]
    crd = "customresourcedefinition/estimatesyncs.botzilla.io"
    scenario.product.kubectl("patch", crd, "--type=json", f"--patch={json.dumps(loosen)}")
    scenario.wait_until("the looser definition", lambda: scenario.try_apply("odd", maxRetries="many"))

    scenario.wait_reason("odd", "Malformed")

    scenario.apply("good")
    assert scenario.wait_finished("good")["status"]["phase"] == "Succeeded"
    status = scenario.get_sync("odd")["status"]
    assert "$.spec.maxRetries" in status["message"]
    log = scenario.product.operator_log.read_text()
    assert log.count("EstimateSync odd is passed over") <= 2
    assert "Traceback" not in log
