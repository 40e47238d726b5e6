"""Prepares what a container starts with: its files, its mounts, its identity, its environment.

Called by container_runner.py before each start, until everything that the container refers to is there.
"""

from collections.abc import Mapping
from pathlib import Path

from estimatesync_cluster.layout import write_private
from estimatesync_cluster.test_kubelet.container_process import Invocation
from estimatesync_cluster.test_kubelet.environment import (
    ConfigMissingError,
    build_command_line,
    build_environment,
    compute_references,
    decide_token_wanted,
)
from estimatesync_cluster.test_kubelet.manifests import Container, Pod
from estimatesync_cluster.test_kubelet.mounts import compute_mounts, redirect_paths
from estimatesync_cluster.test_kubelet.node_runtime import NodeRuntime
from estimatesync_cluster.test_kubelet.pod_files import MESSAGE_VARIABLE, PodFiles, create_container_files


class ContainerSetup:
    """What one container of a pod starts with."""

    def __init__(self, container: Container, pod: Pod, *, node: NodeRuntime, files: PodFiles) -> None:
        """Nothing is fetched or written yet."""
        self._container = container
        self._pod = pod
        self._node = node
        self._files = files

    async def create_invocation(self, *, restarts: int) -> Invocation:
        """Fetch and write all that the container needs.

        Raises:
            ConfigMissingError: something it refers to is not there.
            ApiError, httpx.TransportError: the API server could not be asked.
        """
        name = self._container.name
        create_container_files(self._files, name)
        home = self._files.home(name)
        environment = build_environment(
            self._container,
            self._pod,
            base={**self._build_base(home, restarts), **await self._create_identity()},
            objects=await self._fetch_objects(),
        )
        environment = redirect_paths(environment, await self._create_mounts())
        return Invocation(
            command=build_command_line(self._container, environment),
            environment=environment,
            directory=Path(self._container.working_dir or home),
            log=self._files.log(name, restarts),
        )

    async def _create_mounts(self) -> dict[str, Path]:
        places = {}
        for path, (kind, name) in compute_mounts(self._container, self._pod).items():
            data = await self._node.client.fetch_data(self._pod.metadata.namespace, kind, name)
            if data is None:
                raise ConfigMissingError(f'{kind.lower()} "{name}" not found')
            place = places[path] = self._files.volume(kind, name)
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            for key, value in data.items():
                write_private(place / key, value.encode())
        return places

    async def _create_identity(self) -> dict[str, str]:
        """Stands for the mounted token, whose path every client has built in."""
        if not decide_token_wanted(self._pod):
            return {}
        path = self._files.kubeconfig()
        write_private(path, await self._node.client.create_kubeconfig(self._pod))
        return {"KUBECONFIG": str(path)}

    def _build_base(self, home: Path, restarts: int) -> dict[str, str]:
        message = self._files.message(self._container.name, restarts)
        return {"PATH": self._node.search_path, "HOME": str(home), "TMPDIR": str(home), MESSAGE_VARIABLE: str(message)}

    async def _fetch_objects(self) -> dict[tuple[str, str], Mapping[str, str]]:
        objects: dict[tuple[str, str], Mapping[str, str]] = {}
        for kind, name in compute_references(self._container):
            data = await self._node.client.fetch_data(self._pod.metadata.namespace, kind, name)
            if data is not None:
                objects[kind, name] = data
        return objects
