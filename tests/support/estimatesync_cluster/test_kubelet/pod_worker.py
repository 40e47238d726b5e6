"""Runs one pod of the test node, from its binding to its removal from the API server.

Called by kubelet.py with every version of the pod that the watch brings. Processes never wait for the API server: their
records change at once, and one reporting task writes the newest status until it is accepted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from estimatesync_cluster.test_kubelet.container_process import NodeRuntime, PodFiles, remove_files
from estimatesync_cluster.test_kubelet.container_runner import ContainerRunner, StopSignal
from estimatesync_cluster.test_kubelet.kubernetes_client import CONFLICT, NOT_FOUND, ApiError, may_try_again
from estimatesync_cluster.test_kubelet.manifests import Container, Pod
from estimatesync_cluster.test_kubelet.pod_status import (
    DEADLINE_EXCEEDED,
    ContainerRecord,
    PodFailure,
    Situation,
    parse_record,
    to_status_object,
)
from estimatesync_cluster.test_kubelet.refusals import UNSUPPORTED, decide_unsupported

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
TERMINAL = ("Succeeded", "Failed")


class PodWorker:
    """One pod and its processes."""

    def __init__(self, pod: Pod, node: NodeRuntime) -> None:
        """Begin where an earlier kubelet of this node ended, if there was one."""
        self._pod = pod
        self._node = node
        self._files = PodFiles(root=node.root / pod.metadata.uid)
        self._stop = StopSignal()
        # Not the same as being asked to stop: a pod past its deadline stops, too, and stays to be looked at.
        self._deleted = asyncio.Event()
        self._removed = asyncio.Event()
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written: dict[str, Any] = {"conditions": list(pod.status.conditions)}
        earlier = {each["name"]: each for each in pod.status.container_statuses}
        self._situation = Situation(
            records={each.name: parse_record(earlier.get(each.name)) for each in pod.spec.containers},
            start_time=pod.status.start_time or datetime.now(UTC),
        )
        self.observe(pod)

    @property
    def pod(self) -> Pod:
        """The newest version of the pod."""
        return self._pod

    @property
    def files(self) -> PodFiles:
        """Where the pod's files are."""
        return self._files

    def get_record(self, container: str) -> ContainerRecord | None:
        """Give a container's record; None when the pod has no such container."""
        return self._situation.records.get(container)

    def observe(self, pod: Pod) -> None:
        """Take note of a newer version of the pod."""
        self._pod = pod
        if pod.metadata.deletion_timestamp is not None:
            grace = pod.metadata.deletion_grace_period_seconds
            self._deleted.set()
            self._ask_to_stop(pod.spec.termination_grace_period_seconds if grace is None else grace)

    def forget(self) -> None:
        """Take note that the API server has the pod no longer: its processes end at once."""
        self._removed.set()
        self._deleted.set()
        self._ask_to_stop(0)

    async def run(self) -> None:
        """Run the pod until it is gone from the API server; returns with no process and no file left."""
        reporting = asyncio.create_task(self._report_changes())
        try:
            if self._pod.status.phase not in TERMINAL:
                await self._run_containers()
                self._end()
                await self._report()
            await self._deleted.wait()
            await self._try_until_done(lambda: self._node.client.delete_pod(self._pod.metadata))
            await self._removed.wait()
        finally:
            reporting.cancel()
            remove_files(self._files)

    async def _run_containers(self) -> None:
        unsupported = decide_unsupported(self._pod)
        if unsupported:
            self._set(replace(self._situation, failure=PodFailure(reason=UNSUPPORTED, message=unsupported)))
            return
        self._changed.set()
        deadline = asyncio.create_task(self._enforce_deadline())
        async with asyncio.TaskGroup() as containers:
            for container in self._pod.spec.containers:
                containers.create_task(self._create_runner(container).run())
        deadline.cancel()

    def _create_runner(self, container: Container) -> ContainerRunner:
        def publish(record: ContainerRecord) -> None:
            self._set(replace(self._situation, records={**self._situation.records, container.name: record}))

        return ContainerRunner(
            container,
            self._pod,
            node=self._node,
            files=self._files,
            stop=self._stop,
            record=self._situation.records[container.name],
            publish=publish,
        )

    async def _enforce_deadline(self) -> None:
        seconds = self._pod.spec.active_deadline_seconds
        if seconds is not None:
            passed = datetime.now(UTC) - self._situation.start_time
            await asyncio.sleep(max(0.0, seconds - passed.total_seconds()))
            self._set(replace(self._situation, failure=DEADLINE_EXCEEDED))
            self._ask_to_stop(self._pod.spec.termination_grace_period_seconds)

    def _ask_to_stop(self, grace: float) -> None:
        self._stop.ask(grace=grace)
        self._set(replace(self._situation, stopping=True))

    def _end(self) -> None:
        self._set(replace(self._situation, ended=True))

    def _set(self, situation: Situation) -> None:
        if situation != self._situation:
            self._situation = situation
            self._changed.set()

    async def _report_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._report()

    async def _report(self) -> None:
        async with self._writing:
            await self._try_until_done(self._write_status)

    async def _write_status(self) -> None:
        # Built again for each try: what changed while the API server did not answer is in the next one.
        previous = self._written["conditions"]
        status = to_status_object(self._pod, self._situation, previous=previous, now=datetime.now(UTC))
        if status != self._written:
            await self._node.client.write_pod_status(self._pod.metadata, status)
            self._written = status

    def _give_up(self, error: Exception) -> None:
        # Not found, or a conflict with another uid: the pod is gone, and the watch is about to say so.
        if not isinstance(error, ApiError) or error.status not in {NOT_FOUND, CONFLICT}:
            logger.error("pod %s: the API server refused: %r", self._pod.metadata.name, error)

    async def _try_until_done(self, call: Callable[[], Awaitable[None]]) -> None:
        while not self._removed.is_set():
            try:
                return await call()
            except (ApiError, httpx.TransportError) as error:
                if not may_try_again(error):
                    return self._give_up(error)
                logger.warning("pod %s: %r, trying again", self._pod.metadata.name, error)
            await asyncio.sleep(RETRY_SECONDS)
        return None
