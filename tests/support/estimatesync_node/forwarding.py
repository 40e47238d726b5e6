"""An address of this machine under which the API answers: `kubectl port-forward`, renewed whenever its pod goes.

Called by the supervisor (background process of `make node`), which therefore is the one process to end.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.guarded_process import guarded

from estimatesync_node.release import NAMESPACE, RELEASE

LOOPBACK: Final = "127.0.0.1"
LOOK_SECONDS: Final = 0.5
_PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
_SELECTOR: Final = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=api"


def keep_forwarding(
    cluster: Cluster, client: httpx.Client, *, port: int, log: Path, is_wanted: Callable[[], bool]
) -> None:
    """Forward the port to a replica that is ready, and to another one when it is not any more, while it is wanted."""
    while is_wanted():
        if pod := next(iter(fetch_ready_pods(client)), None):
            _forward(cluster, client, pod=pod, port=port, log=log, is_wanted=is_wanted)
        time.sleep(LOOK_SECONDS)


def _forward(
    cluster: Cluster, client: httpx.Client, *, pod: str, port: int, log: Path, is_wanted: Callable[[], bool]
) -> None:
    command = [str(cluster.kubectl_program), f"--kubeconfig={cluster.kubeconfig}", f"--namespace={NAMESPACE}"]
    command += ["port-forward", f"--address={LOOPBACK}", f"pod/{pod}", f"{port}:http"]
    with guarded("port-forward", command, log=log) as forward:
        while is_wanted() and not forward.has_ended() and pod in fetch_ready_pods(client):
            time.sleep(LOOK_SECONDS)


def fetch_ready_pods(client: httpx.Client) -> list[str]:
    """Ask which replicas of the API take requests; none when the cluster does not answer."""
    try:
        answer = client.get(_PODS, params={"labelSelector": _SELECTOR})
    except httpx.TransportError:
        return []
    pods = answer.json()["items"] if answer.is_success else []
    return [pod["metadata"]["name"] for pod in pods if is_taking_requests(pod)]


def is_taking_requests(pod: Mapping[str, Any]) -> bool:
    """Tell whether a Service would send requests to this pod."""
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    return "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"
