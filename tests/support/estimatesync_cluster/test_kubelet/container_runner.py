"""Runs one container of a pod: waits for what it needs, starts it, watches it end, starts it again if it should.

Called by pod_worker.py, which turns the records published here into the pod's status.
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, SIGTERM

import httpx

from estimatesync_cluster.test_kubelet.addresses import compute_pod_address
from estimatesync_cluster.test_kubelet.container_process import (
    ContainerProcess,
    Invocation,
    find_obstacle,
    start_container,
)
from estimatesync_cluster.test_kubelet.container_setup import ContainerSetup
from estimatesync_cluster.test_kubelet.container_states import (
    EXIT_START_ERROR,
    ContainerRecord,
    Running,
    State,
    Terminated,
    Waiting,
    build_back_off,
    build_terminated,
    decide_restart,
    next_back_off_seconds,
)
from estimatesync_cluster.test_kubelet.environment import (
    ConfigMissingError,
)
from estimatesync_cluster.test_kubelet.images import build_pull_refusals, decide_image_known
from estimatesync_cluster.test_kubelet.kubernetes_client import ApiError
from estimatesync_cluster.test_kubelet.log_lines import compute_message_from_logs
from estimatesync_cluster.test_kubelet.manifests import Container, Pod
from estimatesync_cluster.test_kubelet.memory import wait_until_over_limit
from estimatesync_cluster.test_kubelet.node_runtime import NodeRuntime
from estimatesync_cluster.test_kubelet.pod_files import (
    MESSAGE_VARIABLE,
    PodFiles,
    read_message,
)
from estimatesync_cluster.test_kubelet.readiness import follow_readiness
from estimatesync_cluster.test_kubelet.stop_signal import StopSignal

PULL_REPORT_SECONDS = 1.0
CONFIG_RETRY_SECONDS = 1.0
NO_COMMAND = Waiting(
    reason="CreateContainerError",
    message="no command specified: the test kubelet starts local processes and reads no image, so that the container "
    "must name its command",
)


class ContainerRunner:
    """One container, from the pod's binding to its end."""

    def __init__(
        self,
        container: Container,
        pod: Pod,
        *,
        node: NodeRuntime,
        files: PodFiles,
        stop: StopSignal,
        record: ContainerRecord,
        publish: Callable[[ContainerRecord], None],
    ) -> None:
        """Begin with the record of an earlier kubelet, or a fresh one; `publish` is told of each change."""
        self._container = container
        self._pod = pod
        self._node = node
        self._setup = ContainerSetup(container, pod, node=node, files=files)
        self._stop = stop
        self._record = record
        self._publish = publish

    async def run(self) -> None:
        """Run the container until it has ended for good; returns with no process left."""
        while not isinstance(self._record.state, Terminated):
            invocation = await self._prepare()
            if invocation is None:
                return
            self._set_state(await self._execute(invocation))
            await self._await_restart()

    async def _await_restart(self) -> None:
        ended = self._record.state
        policy = self._pod.spec.restart_policy
        if self._stop.is_asked or not isinstance(ended, Terminated) or not decide_restart(policy, ended.exit_code):
            return
        restarts = self._record.restarts
        self._set(build_back_off(self._container, self._record, ended))
        if await self._stop.wait_until_asked(next_back_off_seconds(restarts)):
            self._set(replace(self._record, state=ended))
        else:
            self._set(replace(self._record, restarts=restarts + 1))

    async def _prepare(self) -> Invocation | None:
        """Wait until the container can start; None when it must stop before it could."""
        if not decide_image_known(self._container.image, self._node.known_images):
            await self._refuse_image()
            return None
        if not self._container.command:
            self._set_state(NO_COMMAND)
            await self._stop.wait_until_asked()
        while not self._stop.is_asked:
            try:
                return await self._setup.create_invocation(restarts=self._record.restarts)
            except ConfigMissingError as error:
                self._set_state(Waiting(reason="CreateContainerConfigError", message=str(error)))
            except (ApiError, httpx.TransportError) as error:
                self._set_state(Waiting(reason="CreateContainerConfigError", message=f"cannot ask for it: {error!r}"))
            await self._stop.wait_until_asked(CONFIG_RETRY_SECONDS)
        return None

    async def _refuse_image(self) -> None:
        for refusal in build_pull_refusals(self._container):
            self._set_state(Waiting(reason=refusal.reason, message=refusal.message))
            await self._stop.wait_until_asked(PULL_REPORT_SECONDS)
        await self._stop.wait_until_asked()

    async def _execute(self, invocation: Invocation) -> Terminated:
        obstacle = find_obstacle(invocation)
        if obstacle:
            return Terminated(exit_code=EXIT_START_ERROR, reason="StartError", message=obstacle)
        running = Running(
            started_at=datetime.now(UTC),
            container_id=f"process://{uuid.uuid4().hex}",
            ready=self._container.readiness_probe is None,
        )
        process = await start_container(invocation)
        self._set_state(running)
        asking = asyncio.create_task(self._follow_readiness(running))
        stopping = asyncio.create_task(self._end_when_asked(process))
        limiting = asyncio.create_task(self._end_when_over_limit(process))
        try:
            exit_code = await process.wait()
        finally:
            stopping.cancel()
            asking.cancel()
            was_over_limit = limiting.done()
            limiting.cancel()
            process.send_signal(SIGKILL)
        message = self._read_message(invocation, exit_code)
        return build_terminated(
            running, exit_code=exit_code, message=message, now=datetime.now(UTC), was_over_limit=was_over_limit
        )

    async def _follow_readiness(self, running: Running) -> None:
        address = compute_pod_address(self._pod.metadata.uid)
        await follow_readiness(
            self._container, address=address, tell=lambda ready: self._set_state(replace(running, ready=ready))
        )

    async def _end_when_over_limit(self, process: ContainerProcess) -> None:
        await wait_until_over_limit(self._container, leash=process.pid)
        process.send_signal(SIGKILL)

    async def _end_when_asked(self, process: ContainerProcess) -> None:
        await self._stop.wait_until_asked()
        process.send_signal(SIGTERM)
        await self._stop.wait_until_patience_ends()
        process.send_signal(SIGKILL)

    def _read_message(self, invocation: Invocation, exit_code: int) -> str:
        message = read_message(Path(invocation.environment[MESSAGE_VARIABLE]))
        wants_logs = self._container.termination_message_policy == "FallbackToLogsOnError"
        if message or not exit_code or not wants_logs:
            return message
        return compute_message_from_logs(invocation.log.read_bytes())

    def _set_state(self, state: State) -> None:
        self._set(replace(self._record, state=state))

    def _set(self, record: ContainerRecord) -> None:
        self._record = record
        self._publish(record)
