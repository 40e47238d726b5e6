"""Keeps a listener informed about every pod of the cluster: list, watch, and list again when the watch is lost."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import httpx

from estimatesync_cluster.test_kubelet.kubernetes_client import GONE, ApiError, may_try_again
from estimatesync_cluster.test_kubelet.manifests import Pod, PodList

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.5


class PodSource(Protocol):
    """Where pods come from: KubernetesClient."""

    async def fetch_pods(self) -> PodList:
        """List every pod."""

    def watch_pods(self, resource_version: str) -> AsyncIterator[tuple[str, Pod]]:
        """Yield changes since a resource version, until the connection ends."""


class PodListener(Protocol):
    """Who wants to know about pods."""

    def on_listed(self, pods: Sequence[Pod]) -> None:
        """Take the whole truth: a pod that is not in it does not exist."""

    def on_changed(self, pod: Pod) -> None:
        """Take a new or changed pod."""

    def on_deleted(self, pod: Pod) -> None:
        """Take note that a pod is gone."""


async def follow_pods(source: PodSource, listener: PodListener, *, pause: float = RECONNECT_SECONDS) -> None:
    """Follow for ever; an interrupted connection is taken up again, and a lost place begins with a new list."""
    resource_version = ""
    while True:
        try:
            if not resource_version:
                resource_version = await _list(source, listener)
            async for kind, pod in source.watch_pods(resource_version):
                resource_version = pod.metadata.resource_version
                _tell(listener, kind, pod)
        except (ApiError, httpx.TransportError) as error:
            gone = isinstance(error, ApiError) and error.status == GONE
            if not gone and not may_try_again(error):
                raise
            resource_version = "" if gone else resource_version
            logger.info("pod watch: %r, connecting again", error)
        # Also after an orderly end: a server that ends every watch at once must not keep us busy.
        await asyncio.sleep(pause)


async def _list(source: PodSource, listener: PodListener) -> str:
    pods = await source.fetch_pods()
    listener.on_listed(pods.items)
    return pods.metadata.resource_version


def _tell(listener: PodListener, kind: str, pod: Pod) -> None:
    if kind == "DELETED":
        listener.on_deleted(pod)
    elif kind != "BOOKMARK":
        listener.on_changed(pod)
