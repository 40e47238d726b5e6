"""The Job of a sync: everything about how it runs comes from the deployment, nothing from the request.

https://kubernetes.io/docs/concepts/workloads/controllers/job/
https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from typing import Any, Final

import msgspec
from estimatesync_contract import job_environment as env
from estimatesync_contract.estimate_sync import EstimateSync
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
from estimatesync_contract.spec import DateRange
from estimatesync_tracing.settings import HEADERS

_UNPRIVILEGED_USER: Final = 65532
_GRACE_SECONDS: Final = 10
_COMMAND: Final = ["python", "-m", "estimatesync_job"]
_AUTHORITIES: Final = "authorities"
_AUTHORITIES_PATH: Final = "/etc/estimatesync/authorities"
_AUTHORITIES_FILE: Final = f"{_AUTHORITIES_PATH}/ca.crt"
_AUTHORITY_VARIABLES: Final = ("SSL_CERT_FILE", "PGSSLROOTCERT")
"""What httpx and libpq read; the second counts for `sslmode=verify-full` when DATABASE_URL names no sslrootcert."""

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
    credentials_secret: str
    image_pull_secrets: tuple[str, ...]
    node_selector: dict[str, str]
    tolerations: list[dict[str, Any]]
    """As in a pod's spec."""
    priority_class: str
    """Empty: the cluster's default."""
    authorities: str
    """Name of the ConfigMap whose ca.crt holds the certificate authorities to trust; empty: the usual ones."""
    cpu_request: str
    memory_request: str
    memory_limit: str
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
            "labels": _build_labels(sync),
            "ownerReferences": [_build_owner(sync)],
        },
        "spec": {
            "backoffLimit": sync.spec.max_retries,
            "activeDeadlineSeconds": sync.spec.timeout_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": _POD_FAILURE_POLICY,
            "template": {
                "metadata": {"labels": _build_labels(sync)},
                "spec": _build_pod_spec(settings, env.build_job_environment(sync, date_range, traceparent=traceparent)),
            },
        },
    }


def _build_labels(sync: EstimateSync) -> dict[str, str]:
    return {
        LABEL_NAME: MANAGED_BY,
        LABEL_COMPONENT: "sync",
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_SYNC: sync.name,
    }


def _build_owner(sync: EstimateSync) -> dict[str, Any]:
    """Deleting the sync deletes its job. blockOwnerDeletion stays off: it would need rights on finalizers."""
    return {"apiVersion": API_VERSION, "kind": KIND, "name": sync.name, "uid": sync.uid, "controller": True}


def _build_pod_spec(settings: JobSettings, own: dict[str, str]) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "nodeSelector": settings.node_selector,
        **_build_placement(settings),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UNPRIVILEGED_USER,
            "runAsGroup": _UNPRIVILEGED_USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_build_container(settings, own)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *_build_authority_volumes(settings)],
    }


def _build_placement(settings: JobSettings) -> dict[str, Any]:
    """Only what a deployment chose: an empty priority class is refused, an empty list is noise."""
    choices = {
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "tolerations": settings.tolerations,
        "priorityClassName": settings.priority_class,
    }
    return {field: choice for field, choice in choices.items() if choice}


def _build_authority_volumes(settings: JobSettings) -> list[dict[str, Any]]:
    name = settings.authorities
    return [{"name": _AUTHORITIES, "configMap": {"name": name}}] if name else []


def _build_container(settings: JobSettings, own: dict[str, str]) -> dict[str, Any]:
    trust = dict.fromkeys(_AUTHORITY_VARIABLES, _AUTHORITIES_FILE) if settings.authorities else {}
    variables = {**settings.environment, **trust, **own}
    mounts = [{"name": _AUTHORITIES, "mountPath": _AUTHORITIES_PATH, "readOnly": True}] if settings.authorities else []
    return {
        "name": SYNC_CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": _COMMAND,
        "env": [
            *({"name": name, "value": value} for name, value in sorted(variables.items())),
            *(_build_secret_variable(name, settings.credentials_secret) for name in env.SECRET_VARIABLES),
            *_build_trace_headers(settings),
        ],
        "resources": {
            "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
            "limits": {"memory": settings.memory_limit},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],  # noqa: S108 - the pod's own emptyDir
    }


def _build_trace_headers(settings: JobSettings) -> list[dict[str, Any]]:
    """A Secret that is not there costs the spans, which the collector refuses, and not the sync."""
    secret = settings.trace_headers_secret
    reference = {"name": secret, "key": HEADERS.name, "optional": True}
    return [{"name": HEADERS.name, "valueFrom": {"secretKeyRef": reference}}] if secret else []


def _build_secret_variable(name: str, secret: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
