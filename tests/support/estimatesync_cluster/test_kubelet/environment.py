"""Computes a container's environment, command line and mounts as the kubelet does. Pure: objects are fetched before.

The rules: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/ for
`$(NAME)`, and for the order `envFrom` before `env`, later before earlier. The wording of errors is the kubelet's.

A container has no filesystem of its own: the files of a mounted Secret or ConfigMap are written into the pod's
directory, once, at the container's start, and a variable that names the place of a mount gets that directory instead.
Each pod has an address of its own in 127.0.0.0/8, so that two of them can listen on one port; off Linux only 127.0.0.1
is this machine, and pods share it and its ports.
"""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from estimatesync_cluster.test_kubelet.manifests import Container, EnvSource, EnvVar, KeyReference, Pod, ValueSource

# A Secret's or ConfigMap's data by (kind, name), decoded; an object that does not exist is absent.
Objects = Mapping[tuple[str, str], Mapping[str, str]]
SECRET = "Secret"  # noqa: S105  the kind, not a password
CONFIG_MAP = "ConfigMap"
VARIABLE = re.compile(r"\$\$|\$\(([^)]*)\)")
LABEL_OR_ANNOTATION = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")

LOOPBACK = "127.0.0.1"


class ConfigMissingError(Exception):
    """The container names a Secret, ConfigMap or key that is not there; the message is the kubelet's."""


def compute_references(container: Container) -> frozenset[tuple[str, str]]:
    """Compute which objects, by (kind, name), the container's environment is made from."""
    sources = [(each.secret_ref, each.config_map_ref) for each in container.env_from]
    sources += [(v.secret_key_ref, v.config_map_key_ref) for each in container.env if (v := each.value_from)]
    secrets = {(SECRET, secret.name) for secret, _ in sources if secret}
    return frozenset(secrets | {(CONFIG_MAP, config.name) for _, config in sources if config})


def decide_token_wanted(pod: Pod) -> bool:
    """Decide whether the API server gave the pod a volume with its service account's token, as it does by default."""
    sources = [each for volume in pod.spec.volumes for each in volume.get("projected", {}).get("sources", [])]
    return any("serviceAccountToken" in each for each in sources)


def build_environment(container: Container, pod: Pod, *, base: Mapping[str, str], objects: Objects) -> dict[str, str]:
    """Build the environment, starting from what the node gives every container.

    Raises:
        ConfigMissingError: a reference that is not optional leads nowhere.
    """
    environment = dict(base)
    for source in container.env_from:
        environment.update(_iterate_source(source, objects))
    for variable in container.env:
        value = _resolve(variable, pod, objects, environment)
        if value is not None:
            environment[variable.name] = value
    return environment


def build_command_line(container: Container, environment: Mapping[str, str]) -> list[str]:
    """Build command and arguments with `$(NAME)` replaced."""
    return [expand_variables(each, environment) for each in (*container.command, *container.args)]


def expand_variables(text: str, environment: Mapping[str, str]) -> str:
    """Replace `$(NAME)` where NAME is set; `$$` stands for one `$`, and everything else stays as it is."""
    return VARIABLE.sub(lambda match: "$" if match[0] == "$$" else environment.get(match[1], match[0]), text)


def _iterate_source(source: EnvSource, objects: Objects) -> Iterator[tuple[str, str]]:
    for kind, reference in ((CONFIG_MAP, source.config_map_ref), (SECRET, source.secret_ref)):
        if reference:
            for key, value in (_find_object(kind, reference, objects) or {}).items():
                yield source.prefix + key, value


def _resolve(variable: EnvVar, pod: Pod, objects: Objects, environment: Mapping[str, str]) -> str | None:
    source = variable.value_from
    if source is None:
        return expand_variables(variable.value, environment)
    if source.field_ref:
        return format_field(pod, source.field_ref.field_path)
    return _find_key(source, pod, objects)


def _find_key(source: ValueSource, pod: Pod, objects: Objects) -> str | None:
    for kind, reference in ((SECRET, source.secret_key_ref), (CONFIG_MAP, source.config_map_key_ref)):
        if reference is None:
            continue
        found = _find_object(kind, reference, objects)
        if found is None:
            return None
        if reference.key not in found and not reference.optional:
            place = f"{kind} {pod.metadata.namespace}/{reference.name}"
            raise ConfigMissingError(f"couldn't find key {reference.key} in {place}")
        return found.get(reference.key)
    raise ConfigMissingError("the test kubelet resolves secretKeyRef, configMapKeyRef and fieldRef only")


def _find_object(kind: str, reference: KeyReference, objects: Objects) -> Mapping[str, str] | None:
    found = objects.get((kind, reference.name))
    if found is None and not reference.optional:
        raise ConfigMissingError(f'{kind.lower()} "{reference.name}" not found')
    return found


def format_field(pod: Pod, path: str) -> str:
    """Represent one field of the pod for the downward API.

    Raises:
        ConfigMissingError: the field is not one of those that the downward API offers.
    """
    mapped = LABEL_OR_ANNOTATION.fullmatch(path)
    if mapped:
        mapping = pod.metadata.labels if mapped[1] == "labels" else pod.metadata.annotations
        return mapping.get(mapped[2], "")
    fields = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        **dict.fromkeys(("status.podIP", "status.podIPs"), compute_pod_address(pod.metadata.uid)),
        **dict.fromkeys(("status.hostIP", "status.hostIPs"), LOOPBACK),
    }
    if path not in fields:
        raise ConfigMissingError(f"unsupported fieldPath: {path}")
    return fields[path]


def compute_pod_address(uid: str, *, platform: str = sys.platform) -> str:
    """Compute a pod's address from its uid; never 127.0.x.x or 127.1.x.x, where other programs of this machine are."""
    if platform != "linux":
        return LOOPBACK
    first, second, third = hashlib.sha256(uid.encode()).digest()[:3]
    return f"127.{2 + first % 253}.{second}.{1 + third % 254}"


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
