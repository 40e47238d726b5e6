"""The part of Kubernetes' core/v1 objects that the test kubelet reads, as values; other fields are ignored.

Field names follow https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/.
"""

from datetime import datetime
from typing import Any

import msgspec


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all: frozen, camelCase as on the wire, absent means empty."""


class Metadata(Manifest, frozen=True):
    """ObjectMeta."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None


class KeyReference(Manifest, frozen=True):
    """SecretKeySelector or ConfigMapKeySelector; without `key`, a reference to the whole object."""

    name: str = ""
    key: str = ""
    optional: bool = False


class FieldReference(Manifest, frozen=True):
    """ObjectFieldSelector."""

    field_path: str


class ValueSource(Manifest, frozen=True):
    """EnvVarSource."""

    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None
    field_ref: FieldReference | None = None


class EnvVar(Manifest, frozen=True):
    """One variable, by value or by reference."""

    name: str
    value: str = ""
    value_from: ValueSource | None = None


class EnvSource(Manifest, frozen=True):
    """EnvFromSource: all keys of one Secret or ConfigMap."""

    prefix: str = ""
    secret_ref: KeyReference | None = None
    config_map_ref: KeyReference | None = None


class Resources(Manifest, frozen=True):
    """The limits of ResourceRequirements; quantities as written."""

    limits: dict[str, str] = {}


class ContainerPort(Manifest, frozen=True):
    """A port that a probe may name."""

    container_port: int
    name: str = ""


class HttpGet(Manifest, frozen=True):
    """HTTPGetAction; the port is a number or a port's name."""

    port: int | str
    path: str = "/"


class Probe(Manifest, frozen=True):
    """Only what a request over HTTP can find out; other probes count as passed."""

    http_get: HttpGet | None = None


class VolumeMount(Manifest, frozen=True):
    """Where a volume is in a container."""

    name: str
    mount_path: str


class Container(Manifest, frozen=True):
    """One container of a pod."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvSource, ...] = ()
    image_pull_policy: str = "IfNotPresent"
    termination_message_policy: str = "File"
    ports: tuple[ContainerPort, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    readiness_probe: Probe | None = None
    resources: Resources = Resources()


class PodSpec(Manifest, frozen=True):
    """What a pod asks for."""

    node_name: str = ""
    service_account_name: str = ""
    restart_policy: str = "Always"
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    init_containers: tuple[Container, ...] = ()
    containers: tuple[Container, ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()


class PodStatus(Manifest, frozen=True):
    """What an earlier kubelet of this node reported; kept raw, because it is only handed on."""

    phase: str = "Pending"
    start_time: datetime | None = None
    conditions: tuple[dict[str, Any], ...] = ()
    container_statuses: tuple[dict[str, Any], ...] = ()


class Pod(Manifest, frozen=True):
    """A pod."""

    metadata: Metadata
    spec: PodSpec
    status: PodStatus = PodStatus()


class PodList(Manifest, frozen=True):
    """A page that holds all pods."""

    metadata: Metadata
    items: tuple[Pod, ...] = ()
