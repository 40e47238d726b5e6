"""Mounts of Secrets and ConfigMaps for containers without a filesystem of their own. Pure; container_runner.py writes.

The files are written into the pod's directory, once, at the container's start. A variable that names the place of a
mount is told that directory instead.
"""

from collections.abc import Mapping
from pathlib import Path

from estimatesync_cluster.test_kubelet.environment import CONFIG_MAP, SECRET
from estimatesync_cluster.test_kubelet.manifests import Container, Pod


def compute_mounts(container: Container, pod: Pod) -> dict[str, tuple[str, str]]:
    """Compute which object, by (kind, name), is mounted at which path."""
    volumes = {volume["name"]: volume for volume in pod.spec.volumes}
    mounts: dict[str, tuple[str, str]] = {}
    for mount in container.volume_mounts:
        volume = volumes.get(mount.name, {})
        if "secret" in volume:
            mounts[mount.mount_path] = (SECRET, volume["secret"]["secretName"])
        if "configMap" in volume:
            mounts[mount.mount_path] = (CONFIG_MAP, volume["configMap"]["name"])
    return mounts


def redirect_paths(environment: Mapping[str, str], places: Mapping[str, Path]) -> dict[str, str]:
    """Replace the path of each mount, where a variable begins with it, by where its files are."""
    return {name: _redirect(value, places) for name, value in environment.items()}


def _redirect(value: str, places: Mapping[str, Path]) -> str:
    for path, place in places.items():
        if value == path or value.startswith(f"{path}/"):
            return f"{place}{value.removeprefix(path)}"
    return value
