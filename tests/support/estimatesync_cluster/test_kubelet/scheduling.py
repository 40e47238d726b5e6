"""Decides whether a pod fits the test node, and says why not in the scheduler's words.

Node selector, required node affinity, taints, cordon and the size of the node count. What other pods use does not:
processes on one machine share it anyway.
"""

import re
from collections.abc import Iterator

from estimatesync_cluster.test_kubelet.manifests import (
    Container,
    Node,
    NodeSelector,
    NodeSelectorTerm,
    Pod,
    SelectorTerm,
    Taint,
    Toleration,
)

SCHEDULER_NAME = "default-scheduler"
KEEPS_AWAY = ("NoSchedule", "NoExecute")
# Kubernetes' own taints follow the node's conditions; cordon is read where it is set, and a test node just registered
# must not wait for the node controller.
CONDITION_TAINTS = "node.kubernetes.io/"
QUANTITY = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
DECIMAL: dict[str, float] = {"m": 10**-3, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
BINARY: dict[str, float] = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)}
MULTIPLIERS = {**DECIMAL, **BINARY}


def decide_schedulable(pod: Pod) -> bool:
    """Decide whether the pod waits for a scheduler like ours."""
    waits = not pod.spec.node_name and not pod.spec.scheduling_gates and pod.metadata.deletion_timestamp is None
    return waits and pod.spec.scheduler_name == SCHEDULER_NAME and pod.status.phase == "Pending"


def decide_misfit(pod: Pod, node: Node) -> str | None:
    """Decide whether the pod fits the node: None, or the scheduler's sentence on why it does not."""
    reason = next(_iterate_misfits(pod, node), None)
    return f"0/1 nodes are available: {reason}." if reason else None


def _iterate_misfits(pod: Pod, node: Node) -> Iterator[str]:
    if node.spec.unschedulable and not _tolerates(
        pod, Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
    ):
        yield "1 node(s) were unschedulable"
    for taint in node.spec.taints:
        own = taint.effect in KEEPS_AWAY and not taint.key.startswith(CONDITION_TAINTS)
        if own and not _tolerates(pod, taint):
            yield f"1 node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
    if not _is_selected(pod, node):
        yield "1 node(s) didn't match Pod's node affinity/selector"
    for resource in ("cpu", "memory"):
        if compute_request(pod, resource) > parse_quantity(node.status.allocatable.get(resource, "0")):
            yield f"1 Insufficient {resource}"


def _tolerates(pod: Pod, taint: Taint) -> bool:
    return any(_matches_taint(toleration, taint) for toleration in pod.spec.tolerations)


def _matches_taint(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect not in {"", taint.effect}:
        return False
    if toleration.operator == "Exists":
        return toleration.key in {"", taint.key}
    return (toleration.key, toleration.value) == (taint.key, taint.value)


def _is_selected(pod: Pod, node: Node) -> bool:
    if not pod.spec.node_selector.items() <= node.metadata.labels.items():
        return False
    affinity = pod.spec.affinity.node_affinity if pod.spec.affinity else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
    return required is None or _selects(required, node)


def _selects(selector: NodeSelector, node: Node) -> bool:
    return any(_holds(term, node) for term in selector.node_selector_terms)


def _holds(term: NodeSelectorTerm, node: Node) -> bool:
    # A term without expressions selects nothing, says the API reference.
    fields = {"metadata.name": node.metadata.name}
    checks = [_meets(each, node.metadata.labels) for each in term.match_expressions]
    checks += [_meets(each, fields) for each in term.match_fields]
    return bool(checks) and all(checks)


def _meets(requirement: SelectorTerm, labels: dict[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(requirement, value)
    return False


def _compares(requirement: SelectorTerm, value: str | None) -> bool:
    try:
        difference = int(value or "") - int(requirement.values[0])
    except (ValueError, IndexError):
        return False
    return difference > 0 if requirement.operator == "Gt" else difference < 0


def compute_request(pod: Pod, resource: str) -> float:
    """Compute how much of a resource (cores, bytes) the pod's containers ask for together."""
    return sum(_request(container, resource) for container in pod.spec.containers)


def _request(container: Container, resource: str) -> float:
    return parse_quantity(container.resources.requests.get(resource, "0"))


def parse_quantity(text: str) -> float:
    """Parse a Kubernetes quantity such as `250m`, `1.5` or `64Mi`; ValueError when it is none."""
    match = QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"not a quantity: {text}")
    return float(match[1]) * MULTIPLIERS.get(match[2], 1)
