"""Which pods fit the test node."""

from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_cluster.test_kubelet.manifests import Node, Pod
from estimatesync_cluster.test_kubelet.scheduling import decide_misfit, decide_schedulable, parse_quantity

BuildPod = Callable[..., Pod]
BuildNode = Callable[..., Node]
SELECTOR = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}


def require(*expressions: tuple[str, ...], field: str = "matchExpressions") -> dict[str, Any]:
    terms = [{"key": key, "operator": operator, "values": values} for key, operator, *values in expressions]
    required = {"nodeSelectorTerms": [{field: terms}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


@pytest.mark.parametrize(
    ("spec", "misfit"),
    [
        pytest.param({}, None, id="no wish"),
        pytest.param({"nodeSelector": {"zone": "a"}}, None, id="selector"),
        pytest.param({"nodeSelector": {"zone": "a", "gpu": "yes"}}, SELECTOR, id="selector, one label missing"),
        pytest.param({"affinity": {}}, None, id="empty affinity"),
        pytest.param({"affinity": require(("zone", "In", "b", "a"))}, None, id="In"),
        pytest.param({"affinity": require(("zone", "In", "b"))}, SELECTOR, id="not In"),
        pytest.param({"affinity": require(("zone", "NotIn", "a"))}, SELECTOR, id="not NotIn"),
        pytest.param({"affinity": require(("gpu", "NotIn", "a"))}, None, id="NotIn, label missing"),
        pytest.param({"affinity": require(("zone", "Exists"))}, None, id="Exists"),
        pytest.param({"affinity": require(("zone", "DoesNotExist"))}, SELECTOR, id="not DoesNotExist"),
        pytest.param({"affinity": require(("generation", "Gt", "6"))}, None, id="Gt"),
        pytest.param({"affinity": require(("generation", "Lt", "7"))}, SELECTOR, id="not Lt"),
        pytest.param({"affinity": require(("zone", "Gt", "6"))}, SELECTOR, id="Gt, no number"),
        pytest.param({"affinity": require(("zone", "Exists"), ("gpu", "Exists"))}, SELECTOR, id="one of two"),
        pytest.param({"affinity": require()}, SELECTOR, id="empty term"),
        pytest.param(
            {"affinity": require(("metadata.name", "In", "test-node"), field="matchFields")}, None, id="by name"
        ),
        pytest.param(
            {"affinity": require(("metadata.name", "In", "b"), field="matchFields")}, SELECTOR, id="other name"
        ),
    ],
)
def test_selector_and_affinity(
    build_pod: BuildPod, build_node: BuildNode, spec: dict[str, Any], misfit: str | None
) -> None:
    decided = decide_misfit(build_pod(**spec), build_node())

    assert decided == misfit


@pytest.mark.parametrize(
    ("node", "tolerations", "reason"),
    [
        pytest.param({"unschedulable": True}, [], "were unschedulable", id="cordoned"),
        pytest.param({"unschedulable": True}, [{"operator": "Exists"}], None, id="cordoned, all tolerated"),
        pytest.param({"taints": [TAINT]}, [], "had untolerated taint {dedicated: db}", id="taint"),
        pytest.param({"taints": [{**TAINT, "effect": "PreferNoSchedule"}]}, [], None, id="preference"),
        pytest.param({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}, [], None, id="own"),
        pytest.param({"taints": [TAINT]}, [{"key": "dedicated", "value": "db"}], None, id="tolerated"),
        pytest.param({"taints": [TAINT]}, [{"key": "dedicated", "value": "x"}], "untolerated", id="other value"),
        pytest.param({"taints": [TAINT]}, [{"key": "dedicated", "operator": "Exists"}], None, id="any value"),
        pytest.param(
            {"taints": [TAINT]},
            [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}],
            "untolerated",
            id="other effect",
        ),
    ],
)
def test_cordon_and_taints(
    build_pod: BuildPod,
    build_node: BuildNode,
    node: dict[str, Any],
    tolerations: list[dict[str, str]],
    reason: str | None,
) -> None:
    decided = decide_misfit(build_pod(tolerations=tolerations), build_node(**node))

    assert (decided is None) is (reason is None)
    assert (reason or "") in (decided or "")


@pytest.mark.parametrize(
    ("requests", "misfit"),
    [
        pytest.param({"cpu": "2", "memory": "4Gi"}, None, id="all of it"),
        pytest.param({"cpu": "2001m"}, "0/1 nodes are available: 1 Insufficient cpu.", id="cpu"),
        pytest.param({"memory": "5G"}, "0/1 nodes are available: 1 Insufficient memory.", id="memory"),
    ],
)
def test_size(build_pod: BuildPod, build_node: BuildNode, requests: dict[str, str], misfit: str | None) -> None:
    pod = build_pod(container={"resources": {"requests": requests}})

    decided = decide_misfit(pod, build_node())

    assert decided == misfit


@pytest.mark.parametrize(
    ("spec", "metadata", "schedulable"),
    [
        pytest.param({}, {}, True, id="waits"),
        pytest.param({"nodeName": "elsewhere"}, {}, False, id="bound"),
        pytest.param({"schedulerName": "mine"}, {}, False, id="another scheduler's"),
        pytest.param({"schedulingGates": [{"name": "g"}]}, {}, False, id="gated"),
        pytest.param({}, {"deletionTimestamp": "2025-10-16T14:09:00Z"}, False, id="being deleted"),
    ],
)
def test_who_waits_for_us(
    build_pod: BuildPod, spec: dict[str, Any], metadata: dict[str, Any], *, schedulable: bool
) -> None:
    decided = decide_schedulable(build_pod(metadata=metadata, **spec))

    assert decided is schedulable


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param("250m", 0.25, id="milli"),
        pytest.param("1.5", 1.5, id="fraction"),
        pytest.param("64Mi", 64 * 2**20, id="binary"),
        pytest.param("1k", 1000, id="decimal"),
        pytest.param("1e3", 1000, id="exponent"),
    ],
)
def test_quantities(text: str, number: float) -> None:
    parsed = parse_quantity(text)

    assert parsed == number


def test_what_is_no_quantity_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a quantity: much"):
        parse_quantity("much")
