"""What the operator does with objects that a looser definition lets in, on a cluster that no other test uses."""

from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster


@pytest.fixture(scope="module")
def cluster(own_cluster: Cluster) -> Cluster:
    return own_cluster


def test_an_object_that_cannot_be_read_is_reported_once_and_does_not_affect_others(scenario: Any) -> None:
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/suspend"
    loosen = [{"op": "replace", "path": path, "value": {"x-kubernetes-preserve-unknown-fields": True}}]
    change_definition(scenario, loosen)
    scenario.wait_until("the looser definition", lambda: scenario.try_apply("odd", suspend="later"))

    scenario.wait_reason("odd", "Malformed")

    scenario.apply("good")
    assert scenario.wait_finished("good")["status"]["phase"] == "Succeeded"
    status = scenario.get_sync("odd")["status"]
    assert "$.spec.suspend" in status["message"]
    log = scenario.product.operator_log.read_text()
    assert log.count("EstimateSync odd is passed over") <= 2
    assert "Traceback" not in log


def change_definition(scenario: Any, steps: list[dict[str, Any]]) -> None:
    scenario.product.cluster.api.patch("CustomResourceDefinition", "estimatesyncs.botzilla.io", steps)


def preview(scenario: Any) -> dict[str, Any]:
    """The spec that the API server would store for an empty one."""
    sync = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": "probe"}}
    return dict(scenario.create(sync, dryRun="All")["spec"])


def test_a_sync_that_was_stored_with_the_defaults_of_an_earlier_definition_goes_on(scenario: Any) -> None:
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
    defaults = {"concurrency": 8, "timeoutSeconds": 1800, "maxRetries": 1}
    patch = [{"op": "add", "path": f"{path}/{name}/default", "value": value} for name, value in defaults.items()]
    change_definition(scenario, patch)
    scenario.wait_until("a default", lambda: preview(scenario).keys() >= defaults.keys())
    scenario.apply("stored", suspend=True)
    patch = [{"op": "remove", "path": f"{path}/{name}/default"} for name in defaults]
    change_definition(scenario, patch)
    scenario.wait_until("no default", lambda: not preview(scenario).keys() & defaults.keys())

    scenario.apply("stored", suspend=False)

    ended = scenario.wait_finished("stored")
    assert ended["status"]["phase"] == "Succeeded"
    assert defaults.items() <= ended["spec"].items()
    assert ended["status"]["options"] == defaults
