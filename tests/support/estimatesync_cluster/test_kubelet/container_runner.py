"""Runs one container of a pod: waits for what it needs, starts it, watches it end, starts it again if it should.

Called by pod_worker.py, which turns the records published here into the pod's status. While the container runs, its
readiness probe is asked over HTTP, and its memory is held to its limit as well as a process's parent can: by polling. A
kernel's cgroup reacts at the very page; here a container may be over for a moment, and only on Linux, which has /proc.
"""

import asyncio
import math
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, SIGTERM

import httpx

from estimatesync_cluster.test_kubelet.container_process import (
    MESSAGE_VARIABLE,
    ContainerProcess,
    ContainerSetup,
    Invocation,
    NodeRuntime,
    PodFiles,
    find_start_error,
    read_message,
    start_container,
)
from estimatesync_cluster.test_kubelet.environment import (
    ConfigMissingError,
    compute_pod_address,
)
from estimatesync_cluster.test_kubelet.kubernetes_client import ApiError
from estimatesync_cluster.test_kubelet.logs import compute_message_from_logs
from estimatesync_cluster.test_kubelet.manifests import Container, HttpGet, Pod
from estimatesync_cluster.test_kubelet.pod_status import (
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
from estimatesync_cluster.test_kubelet.refusals import build_pull_refusals, decide_image_known

QUANTITY = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
DECIMAL: dict[str, float] = {"m": 10**-3, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
BINARY: dict[str, float] = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)}
MULTIPLIERS = {**DECIMAL, **BINARY}
MEMORY_POLL_SECONDS = 0.1
NEVER_SECONDS = 86400.0
PROCESSES = Path("/proc")

READINESS_POLL_SECONDS = 0.2
READY_POLL_SECONDS = 1.0
"""Nobody waits for what is ready to be asked again, and each answer costs its program, too."""
ANSWER_SECONDS = 5.0

PULL_REPORT_SECONDS = 1.0
CONFIG_RETRY_SECONDS = 1.0
NO_COMMAND = Waiting(
    reason="CreateContainerError",
    message="no command specified: the test kubelet starts local processes and reads no image, so that the container "
    "must name its command",
)


class StopSignal:
    """Shared by the containers of one pod; lives in one event loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._kill_at = float("inf")

    @property
    def is_asked(self) -> bool:
        """Whether the containers should end."""
        return self._asked.is_set()

    def ask(self, *, grace: float) -> None:
        """Ask the containers to end by themselves within `grace` seconds."""
        kill_at = asyncio.get_running_loop().time() + grace
        if kill_at < self._kill_at:
            self._kill_at = kill_at
            self._hurried.set()
        self._asked.set()

    async def wait_until_asked(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109  bounds a wait for others
        """Wait, at most `timeout` seconds; true when the containers should end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), timeout)
        return self.is_asked

    async def wait_until_patience_ends(self) -> None:
        """Wait, once asked, until the grace is over, be it shortened meanwhile."""
        loop = asyncio.get_running_loop()
        while (left := self._kill_at - loop.time()) > 0:
            self._hurried.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), left)


async def wait_until_over_limit(container: Container, *, guard: int) -> None:
    """Return once all descendants of the guard together have more in memory than the container may have."""
    text = container.resources.limits.get("memory")
    limit = parse_quantity(text) if text else math.inf
    while read_resident_bytes(guard) <= limit:  # noqa: ASYNC110  nothing reports when memory grows
        await asyncio.sleep(MEMORY_POLL_SECONDS if text else NEVER_SECONDS)


def parse_quantity(text: str) -> float:
    """Parse a Kubernetes quantity such as `250m`, `1.5` or `64Mi`; ValueError when it is none."""
    match = QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"not a quantity: {text}")
    return float(match[1]) * MULTIPLIERS.get(match[2], 1)


def read_resident_bytes(guard: int) -> int:
    """Read how much memory the descendants of the guard have; pages that they share count for each."""
    return sum(_read_resident(pid) for pid in _iterate_descendants(guard))


def _iterate_descendants(pid: int) -> Iterator[int]:
    try:
        children = (PROCESSES / str(pid) / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from _iterate_descendants(child)


def _read_resident(pid: int) -> int:
    try:
        lines = (PROCESSES / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def follow_readiness(container: Container, *, address: str, publish: Callable[[bool], None]) -> None:
    """Publish each change of readiness until cancelled; a container without such a probe is ready as it is."""
    probe = container.readiness_probe.http_get if container.readiness_probe else None
    if probe is None:
        return
    url = f"http://{address}:{find_port(container, probe)}{probe.path}"
    known = False
    # Without the certificates of authorities, which take longer to read than many answers.
    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS, verify=False) as client:  # noqa: S501 - it is plain HTTP
        while True:
            if (is_ready := await _answers(client, url)) != known:
                known = is_ready
                publish(known)
            await asyncio.sleep(READY_POLL_SECONDS if known else READINESS_POLL_SECONDS)


def find_port(container: Container, probe: HttpGet) -> int:
    """Find the number of a port that is named; ValueError when the container has no port of this name."""
    if isinstance(probe.port, int):
        return probe.port
    for port in container.ports:
        if port.name == probe.port:
            return port.container_port
    raise ValueError(f"container {container.name} has no port named {probe.port}")


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


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
        """Begin with the record of an earlier kubelet, or a fresh one; `publish` is called with each change."""
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
        start_error = find_start_error(invocation)
        if start_error:
            return Terminated(exit_code=EXIT_START_ERROR, reason="StartError", message=start_error)
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
            self._container, address=address, publish=lambda ready: self._set_state(replace(running, ready=ready))
        )

    async def _end_when_over_limit(self, process: ContainerProcess) -> None:
        await wait_until_over_limit(self._container, guard=process.pid)
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
