"""Binds waiting pods to the test node when they fit, and says on the pod why when they do not.

Called by kubelet.py with every pod; scheduling.py decides.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx

from estimatesync_cluster.test_kubelet.container_states import format_time
from estimatesync_cluster.test_kubelet.kubernetes_client import CONFLICT, NOT_FOUND, ApiError, KubernetesClient
from estimatesync_cluster.test_kubelet.manifests import Node, Pod
from estimatesync_cluster.test_kubelet.scheduling import decide_misfit, decide_schedulable

logger = logging.getLogger(__name__)

# A node changes without telling the pods that wait for it.
RETRY_SECONDS = 2.0


class Scheduler:
    """The pods that wait for a node."""

    def __init__(self, client: KubernetesClient, node_name: str) -> None:
        """Begin with no pod."""
        self._client = client
        self._node_name = node_name
        self._waiting: dict[str, Pod] = {}
        self._wake = asyncio.Event()

    def observe(self, pod: Pod) -> None:
        """Take note of a new or changed pod."""
        if decide_schedulable(pod):
            self._waiting[pod.metadata.uid] = pod
            self._wake.set()
        else:
            self.forget(pod.metadata.uid)

    def forget(self, uid: str) -> None:
        """Take note that a pod is gone or needs no node."""
        self._waiting.pop(uid, None)

    def keep_only(self, uids: set[str]) -> None:
        """Forget every pod that is not among these."""
        self._waiting = {uid: pod for uid, pod in self._waiting.items() if uid in uids}

    async def run(self) -> None:
        """Schedule for ever."""
        while True:
            # While nobody waits, only a new pod is a reason to look.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), RETRY_SECONDS if self._waiting else None)
            self._wake.clear()
            try:
                await self._place_all()
            except (ApiError, httpx.TransportError) as error:
                logger.warning("scheduling: %r, trying again", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _place_all(self) -> None:
        waiting = list(self._waiting.values())
        if waiting:
            node = await self._client.fetch_node(self._node_name)
            for pod in waiting:
                await self._place(pod, node)

    async def _place(self, pod: Pod, node: Node) -> None:
        misfit = decide_misfit(pod, node)
        try:
            if misfit is None:
                await self._client.send_binding(pod.metadata, self._node_name)
                self.forget(pod.metadata.uid)
            elif misfit not in {each.get("message") for each in pod.status.conditions}:
                # The resource version keeps this from a pod that another scheduler has bound meanwhile.
                version = pod.metadata.resource_version
                status = build_unschedulable_status(misfit, datetime.now(UTC))
                await self._client.write_pod_status(pod.metadata, status, resource_version=version)
        except ApiError as error:
            # Bound, changed or gone: the watch brings what it is now.
            if error.status not in {NOT_FOUND, CONFLICT}:
                raise


def build_unschedulable_status(message: str, now: datetime) -> dict[str, Any]:
    """Build the condition that says why a pod waits, as kube-scheduler writes it."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"conditions": [{**condition, "lastTransitionTime": format_time(now)}]}
