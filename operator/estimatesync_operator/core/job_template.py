"""What a deployment adds to the Job of every sync: a Job in Kubernetes' own shape, with the few fields that are open.

What is not a field here is the operator's own (command, restart policy, owner, security context, names and labels by
which things are found), so it cannot be overridden: it is refused by name.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from estimatesync_contract.names import LABEL_COMPONENT, LABEL_MANAGED_BY, LABEL_NAME, LABEL_SYNC, SYNC_CONTAINER

Raw = dict[str, Any]

_OWN_LABELS: Final = frozenset({LABEL_NAME, LABEL_COMPONENT, LABEL_MANAGED_BY, LABEL_SYNC})

_Id = Annotated[int, msgspec.Meta(ge=1)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A typing error is a fault, and never a field that is silently left out."""


class AddedMetadata(_Part, frozen=True):
    """Labels and annotations to add."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class SyncContainer(_Part, frozen=True):
    """What the sync program's container has in addition; `resources` takes the place of the operator's defaults."""

    name: Literal["sync"]
    resources: Raw | None = None
    env: tuple[Raw, ...] = ()
    volume_mounts: tuple[Raw, ...] = ()


class PodSecurity(_Part, frozen=True):
    """Under which user a pod runs; null leaves it to the cluster, as OpenShift wants it. Never root."""

    run_as_user: _Id | msgspec.UnsetType | None = msgspec.UNSET
    run_as_group: _Id | msgspec.UnsetType | None = msgspec.UNSET
    fs_group: _Id | msgspec.UnsetType | None = msgspec.UNSET
    fs_group_change_policy: str | msgspec.UnsetType | None = msgspec.UNSET
    supplemental_groups: tuple[_Id, ...] | msgspec.UnsetType = msgspec.UNSET

    def merge_into(self, own: Raw) -> Raw:
        """Build a pod's security context from the operator's own and this one."""
        merged = {**own, **msgspec.to_builtins(self)}
        return {field: value for field, value in merged.items() if value is not None}


class PodSpec(_Part, frozen=True):
    """Where and beside what a sync pod runs, in the words of a pod's spec."""

    affinity: Raw = {}
    topology_spread_constraints: tuple[Raw, ...] = ()
    runtime_class_name: str = ""
    security_context: PodSecurity = PodSecurity()
    init_containers: tuple[Raw, ...] = ()
    """Native sidecars, with `restartPolicy: Always`, and what has to be done before a sync."""
    volumes: tuple[Raw, ...] = ()
    containers: Annotated[tuple[SyncContainer, ...], msgspec.Meta(max_length=1)] = ()

    @property
    def container(self) -> SyncContainer:
        """What the sync program's container has in addition."""
        return self.containers[0] if self.containers else SyncContainer(name=SYNC_CONTAINER)


class PodTemplate(_Part, frozen=True):
    """The pod of a Job."""

    metadata: AddedMetadata = AddedMetadata()
    spec: PodSpec = PodSpec()


class _JobSpec(_Part, frozen=True):
    template: PodTemplate = PodTemplate()


class JobTemplate(_Part, frozen=True):
    """A Job, as far as a deployment may say how it is."""

    metadata: AddedMetadata = AddedMetadata()
    spec: _JobSpec = _JobSpec()

    @property
    def pod(self) -> PodTemplate:
        """The template of its pod."""
        return self.spec.template


def parse_job_template(text: str) -> JobTemplate:
    """Parse JSON.

    Raises:
        ValueError: It has a field that does not exist or is not open; the message completes `NAME …`.
    """
    try:
        template = msgspec.json.decode(text, type=JobTemplate)
    except msgspec.ValidationError as error:
        raise ValueError(f"must be a Job with fields that a deployment may set: {error}") from None
    except msgspec.DecodeError:
        raise ValueError('must be a Job in JSON, such as {"metadata": {"labels": {"team": "crm"}}}') from None
    taken = sorted(_OWN_LABELS & {*template.metadata.labels, *template.pod.metadata.labels})
    if taken:
        raise ValueError(f"must not set the label {taken[0]}, by which jobs are found")
    if any(each.get("name") == SYNC_CONTAINER for each in template.pod.spec.init_containers):
        raise ValueError(f"must not name an init container {SYNC_CONTAINER}, as the sync program's own is called")
    return template
