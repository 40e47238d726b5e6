"""The test kubelet as a whole: follows the pods, gives each of this node's a worker, and answers for their logs.

Called by main.py. Pods arrive by a list and a watch, and by another list when the watch is lost. It holds no decision
of its own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Protocol

import httpx

from estimatesync_cluster.test_kubelet.container_process import NodeRuntime, PodFiles, remove_files
from estimatesync_cluster.test_kubelet.kubernetes_client import GONE, ApiError, may_try_again
from estimatesync_cluster.test_kubelet.logs import LogRefusedError, LogSource
from estimatesync_cluster.test_kubelet.manifests import Pod, PodList
from estimatesync_cluster.test_kubelet.node import NodeFacts, keep_node_alive
from estimatesync_cluster.test_kubelet.pod_status import ContainerRecord, Running, Terminated, Waiting
from estimatesync_cluster.test_kubelet.pod_worker import PodWorker

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.5

WAITING_FOR_IMAGE = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


class PodSource(Protocol):
    """Where pods come from: KubernetesClient."""

    async def fetch_pods(self) -> PodList:
        """List every pod."""

    def watch_pods(self, resource_version: str) -> AsyncIterator[tuple[str, Pod]]:
        """Yield changes since a resource version, until the connection ends."""


class PodListener(Protocol):
    """What is notified about pods: the Kubelet."""

    def on_listed(self, pods: Sequence[Pod]) -> None:
        """Take the whole truth: a pod that is not in it does not exist."""

    def on_changed(self, pod: Pod) -> None:
        """Take a new or changed pod."""

    def on_deleted(self, pod: Pod) -> None:
        """Take note that a pod is gone."""


async def follow_pods(source: PodSource, listener: PodListener, *, pause: float = RECONNECT_SECONDS) -> None:
    """Follow without end; an interrupted watch goes on where it ended, or begins with a new list if it cannot."""
    resource_version = ""
    while True:
        try:
            if not resource_version:
                resource_version = await _list(source, listener)
            async for kind, pod in source.watch_pods(resource_version):
                resource_version = pod.metadata.resource_version
                _notify(listener, kind, pod)
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


def _notify(listener: PodListener, kind: str, pod: Pod) -> None:
    if kind == "DELETED":
        listener.on_deleted(pod)
    elif kind != "BOOKMARK":
        listener.on_changed(pod)


class Kubelet:
    """One node."""

    def __init__(self, node_name: str, runtime: NodeRuntime) -> None:
        self._node_name = node_name
        self._runtime = runtime
        self._workers: dict[str, PodWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, facts: NodeFacts) -> None:
        """Be the node until cancelled."""
        async with asyncio.TaskGroup() as duties:
            duties.create_task(keep_node_alive(self._runtime.client, facts))
            duties.create_task(follow_pods(self._runtime.client, self))

    def on_listed(self, pods: Sequence[Pod]) -> None:
        """Take the whole truth (PodListener)."""
        uids = {pod.metadata.uid for pod in pods}
        for uid in self._workers.keys() - uids:
            self._workers[uid].forget()
        self._remove_leftovers(uids)
        for pod in pods:
            self.on_changed(pod)

    def on_changed(self, pod: Pod) -> None:
        """Take a new or changed pod (PodListener)."""
        worker = self._workers.get(pod.metadata.uid)
        if worker:
            worker.observe(pod)
        elif pod.spec.node_name == self._node_name:
            self._start_worker(pod)

    def on_deleted(self, pod: Pod) -> None:
        """Take note that a pod is gone (PodListener)."""
        if worker := self._workers.get(pod.metadata.uid):
            worker.forget()

    def find_log(self, *, namespace: str, pod: str, container: str, previous: bool) -> LogSource:
        """Find a container's log (LogCatalog); called from the log server's threads."""
        worker = self._find_worker(namespace, pod)
        record = worker.get_record(container) if worker else None
        if worker is None or record is None:
            raise LogRefusedError(HTTPStatus.NOT_FOUND, f'container "{container}" not found in pod "{pod}"')
        run = choose_run(record, container=container, pod=pod, previous=previous)
        path = worker.files.log(container, run)

        def is_live() -> bool:
            now = worker.get_record(container)
            return now is not None and now.restarts == run and isinstance(now.state, Running)

        return LogSource(path=path, is_live=is_live)

    def _find_worker(self, namespace: str, name: str) -> PodWorker | None:
        for worker in tuple(self._workers.values()):
            metadata = worker.pod.metadata
            if (metadata.namespace, metadata.name) == (namespace, name):
                return worker
        return None

    def _start_worker(self, pod: Pod) -> None:
        worker = PodWorker(pod, self._runtime)
        self._workers[pod.metadata.uid] = worker
        task = asyncio.create_task(worker.run(), name=f"{pod.metadata.namespace}/{pod.metadata.name}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end_worker(pod.metadata.uid, done))

    def _end_worker(self, uid: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._workers.pop(uid, None)
        if not task.cancelled() and (error := task.exception()):
            logger.error("pod %s: worker failed", task.get_name(), exc_info=error)

    def _remove_leftovers(self, uids: set[str]) -> None:
        for directory in self._runtime.root.iterdir():
            if directory.name not in uids:
                remove_files(PodFiles(root=directory))


def choose_run(record: ContainerRecord, *, container: str, pod: str, previous: bool) -> int:
    """Choose which run's log is meant, by its number.

    Raises:
        LogRefusedError: the container has not run, in the kubelet's words.
    """
    named = f'container "{container}" in pod "{pod}"'
    if previous:
        if record.restarts == 0:
            raise LogRefusedError(HTTPStatus.BAD_REQUEST, f"previous terminated {named} not found")
        return record.restarts - 1
    state = record.state
    if isinstance(state, Waiting) and record.last is None:
        reason = WAITING_FOR_IMAGE.get(state.reason, state.reason)
        raise LogRefusedError(HTTPStatus.BAD_REQUEST, f"{named} is waiting to start: {reason}")
    if isinstance(state, Terminated) and state.started_at is None:
        raise LogRefusedError(HTTPStatus.BAD_REQUEST, f"{named} is terminated")
    return record.restarts
