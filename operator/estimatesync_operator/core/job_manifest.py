"""The Job of a sync: everything about how it runs comes from the deployment, nothing from the request.

https://kubernetes.io/docs/concepts/workloads/controllers/job/
https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from collections.abc import Iterable
from datetime import date
from posixpath import normpath
from typing import Any, Final

import msgspec
from estimatesync_contract import job_environment as env
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.names import (
    API_VERSION,
    KIND,
    LABEL_COMPONENT,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    LABEL_SYNC,
    MANAGED_BY,
    SYNC_CONTAINER,
    build_job_name,
)
from estimatesync_contract.result import ExitCode
from estimatesync_contract.spec import DateRange, EstimateSyncSpec, Mode, SecretKeyRef
from estimatesync_tracing.settings import HEADERS

from estimatesync_operator.core.job_template import AddedMetadata, JobTemplate

_UNPRIVILEGED_USER: Final = 65532
_GRACE_SECONDS: Final = 10
_COMMAND: Final = ["python", "-m", "estimatesync_job"]
_AUTHORITIES: Final = "authorities"
_AUTHORITIES_PATH: Final = "/etc/estimatesync/authorities"
_AUTHORITIES_FILE: Final = f"{_AUTHORITIES_PATH}/ca.crt"
_AUTHORITY_VARIABLES: Final = ("SSL_CERT_FILE", "PGSSLROOTCERT")
"""What httpx and libpq read; the second counts for `sslmode=verify-full` when DATABASE_URL names no sslrootcert."""

_POD_SECURITY: Final = {
    "runAsNonRoot": True,
    "runAsUser": _UNPRIVILEGED_USER,
    "runAsGroup": _UNPRIVILEGED_USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_POD_FAILURE_POLICY: Final = {
    "rules": [
        {
            "action": "FailJob",
            "onExitCodes": {
                "containerName": SYNC_CONTAINER,
                "operator": "In",
                "values": [int(ExitCode.PERMANENT)],
            },
        },
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
}
"""A permanent failure ends the job at once; a drained node is not a failure of the sync. Else maxRetries decides."""


class JobSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How sync pods run. The credentials are named here, never held."""

    image: str
    image_pull_policy: str
    service_account: str
    secrets: dict[str, SecretKeyRef]
    """Where the value of each variable of `env.SECRET_VARIABLES` is."""
    image_pull_secrets: tuple[str, ...]
    node_selector: dict[str, str]
    tolerations: list[dict[str, Any]]
    """As in a pod's spec."""
    priority_class: str
    """Empty: the cluster's default."""
    authorities: str
    """Name of the ConfigMap whose ca.crt holds the certificate authorities to trust; empty: the usual ones."""
    resources: dict[str, Any]
    """As in a container, where the template says nothing about them."""
    template: JobTemplate = JobTemplate()
    """What the deployment adds."""
    environment: dict[str, str]
    """Deployment settings of the sync program: source URL, database schema, log format, time zone, traces."""
    trace_headers_secret: str
    """Name of the Secret with OTEL_EXPORTER_OTLP_HEADERS for the collector; empty: the collector requires none."""


def build_job_manifest(
    sync: EstimateSync, date_range: DateRange, settings: JobSettings, *, traceparent: str | None = None
) -> dict[str, Any]:
    """Build the Job as the Kubernetes API takes it (JSON builtins); `traceparent` is its place in a trace."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": build_job_name(sync.uid),
            "namespace": sync.metadata.namespace,
            **_build_metadata(sync, settings.template.metadata),
            "ownerReferences": [_build_owner(sync)],
        },
        "spec": {
            "backoffLimit": sync.options.max_retries,
            "activeDeadlineSeconds": sync.options.timeout_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": _POD_FAILURE_POLICY,
            "template": {
                "metadata": _build_metadata(sync, settings.template.pod.metadata),
                "spec": _build_pod_spec(settings, env.build_job_environment(sync, date_range, traceparent=traceparent)),
            },
        },
    }


def build_sample_manifest(settings: JobSettings, namespace: str) -> dict[str, Any]:
    """Build the Job of a sync that there is not, with every variable that one may have: to be judged, never stored."""
    metadata = Metadata(name="sample", namespace=namespace, uid="00000000-0000-0000-0000-000000000000")
    days = DateRange(start=date(2025, 1, 1), end=date(2025, 1, 1))
    sync = EstimateSync(metadata=metadata, spec=EstimateSyncSpec(date_range=days, mode=Mode.WHOLE, page_size=100))
    return build_job_manifest(sync, days, settings, traceparent="00-0-0-00")


def find_conflicts(settings: JobSettings) -> list[str]:
    """Find what the template names twice, or as the operator does, for any sync; each completes `NAME …`."""
    own = build_sample_manifest(msgspec.structs.replace(settings, template=JobTemplate()), "")
    pod, added = own["spec"]["template"]["spec"], settings.template.pod.spec
    (container,) = pod["containers"]
    variables = [*env.PROGRAM_VARIABLES, *_list_texts(container["env"], "name")]
    kinds: tuple[tuple[str, list[str], list[str]], ...] = (
        ("variable", variables, _list_texts(added.container.env, "name")),
        ("volume", _list_texts(pod["volumes"], "name"), _list_texts(added.volumes, "name")),
        ("mount path", _list_paths(container["volumeMounts"]), _list_paths(added.container.volume_mounts)),
        ("init container", [], _list_texts(added.init_containers, "name")),
    )
    return [
        f"must not set the {kind} {name}, which is set already"
        for kind, taken, names in kinds
        for name in _list_repeated(taken, names)
    ]


def _list_texts(items: Iterable[dict[str, Any]], field: str) -> list[str]:
    """What is no text, the API server refuses."""
    return [text for item in items if isinstance(text := item.get(field), str)]


def _list_paths(mounts: Iterable[dict[str, Any]]) -> list[str]:
    """A kubelet takes `tmp`, `/tmp/` and `//tmp` for `/tmp`."""
    return [normpath(f"/{path.lstrip('/')}") for path in _list_texts(mounts, "mountPath")]


def _list_repeated(taken: list[str], names: list[str]) -> list[str]:
    return list(dict.fromkeys(name for place, name in enumerate(names) if name in {*taken, *names[:place]}))


def _build_metadata(sync: EstimateSync, added: AddedMetadata) -> dict[str, Any]:
    own = {
        LABEL_NAME: MANAGED_BY,
        LABEL_COMPONENT: "sync",
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_SYNC: sync.name,
    }
    annotations = {"annotations": added.annotations} if added.annotations else {}
    return {"labels": {**added.labels, **own}, **annotations}


def _build_owner(sync: EstimateSync) -> dict[str, Any]:
    """Deleting the sync deletes its job. blockOwnerDeletion stays off: it would need rights on finalizers."""
    return {"apiVersion": API_VERSION, "kind": KIND, "name": sync.name, "uid": sync.uid, "controller": True}


def _build_pod_spec(settings: JobSettings, own: dict[str, str]) -> dict[str, Any]:
    added = settings.template.pod.spec
    return {
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "nodeSelector": settings.node_selector,
        **_build_placement(settings),
        "securityContext": added.security_context.merge_into(_POD_SECURITY),
        "containers": [_build_container(settings, own)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *_build_authority_volumes(settings), *added.volumes],
    }


def _build_placement(settings: JobSettings) -> dict[str, Any]:
    """Only what a deployment chose: an empty priority class is refused, an empty list is noise."""
    added = settings.template.pod.spec
    choices = {
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "tolerations": settings.tolerations,
        "priorityClassName": settings.priority_class,
        "affinity": added.affinity,
        "topologySpreadConstraints": list(added.topology_spread_constraints),
        "runtimeClassName": added.runtime_class_name,
        "initContainers": [_complete_init_container(each) for each in added.init_containers],
    }
    return {field: choice for field, choice in choices.items() if choice}


def _complete_init_container(container: dict[str, Any]) -> dict[str, Any]:
    """Restrict it like the sync's own, except for what it says itself; Pod Security has the last word."""
    return {**container, "securityContext": {**_CONTAINER_SECURITY, **(container.get("securityContext") or {})}}


def _build_authority_volumes(settings: JobSettings) -> list[dict[str, Any]]:
    name = settings.authorities
    return [{"name": _AUTHORITIES, "configMap": {"name": name}}] if name else []


def _build_container(settings: JobSettings, own: dict[str, str]) -> dict[str, Any]:
    trust = dict.fromkeys(_AUTHORITY_VARIABLES, _AUTHORITIES_FILE) if settings.authorities else {}
    variables = {**settings.environment, **trust, **own}
    mounts = [{"name": _AUTHORITIES, "mountPath": _AUTHORITIES_PATH, "readOnly": True}] if settings.authorities else []
    added = settings.template.pod.spec.container
    return {
        "name": SYNC_CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": _COMMAND,
        "env": [
            *({"name": name, "value": value} for name, value in sorted(variables.items())),
            *(_build_secret_variable(name, settings.secrets[name]) for name in env.SECRET_VARIABLES),
            *_build_trace_headers(settings),
            *added.env,
        ],
        "resources": settings.resources if added.resources is None else added.resources,
        "securityContext": _CONTAINER_SECURITY,
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
            *mounts,
            *added.volume_mounts,
        ],
    }


def _build_trace_headers(settings: JobSettings) -> list[dict[str, Any]]:
    """A Secret that is not there costs the spans, which the collector refuses, and not the sync."""
    secret = settings.trace_headers_secret
    reference = {"name": secret, "key": HEADERS.name, "optional": True}
    return [{"name": HEADERS.name, "valueFrom": {"secretKeyRef": reference}}] if secret else []


def _build_secret_variable(name: str, reference: SecretKeyRef) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": reference.name, "key": reference.key}}}
