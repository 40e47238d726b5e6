"""What a value of the chart may be where its default does not say it, and the values.schema.json that follows. Pure.

The schema has the types of the defaults, no other names, and these rules. Bounds and choices are those of the parts'
settings: `helm install` refuses a wrong value before a pod does.
"""

from collections.abc import Iterable
from typing import Any, Final

from estimatesync_api import settings as api
from estimatesync_api.core.representation import MAX_DAYS, MODES
from estimatesync_contract import settings as shared
from estimatesync_contract.database_url import LIBPQ_PARAMETERS, ONLY_IN_THE_URL
from estimatesync_contract.schedules import CRON_PATTERN, SCHEDULE_NAME_MAX_LENGTH, SCHEDULE_NAME_PATTERN
from estimatesync_contract.settings import IntegerSetting, Setting
from estimatesync_contract.spec import DATA_KEY_PATTERN, DEFAULT_TARGET, TARGET_NAME_PATTERN
from estimatesync_operator import settings as operator
from estimatesync_tracing import settings as tracing

from estimatesync_chart.values_file import ChartValue

Schema = dict[str, Any]

PARTS: Final = ("api", "operator", "sync")

TEXT: Final[Schema] = {"type": "string"}
TEXTS: Final[Schema] = {"type": "object", "additionalProperties": TEXT}
_OBJECTS: Final[Schema] = {"type": "array", "items": {"type": "object"}}
_NAMES: Final[Schema] = {"type": "array", "items": {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}}
_NAME: Final[Schema] = {"type": "string", "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"}
_HOST: Final[Schema] = {"type": "string", "pattern": r"^((\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"}
# As the programs take it, but for letters beyond ASCII, of which they know more: a label of DNS, or an address.
_ORIGIN: Final = (
    r"https?://(\[[0-9A-Fa-f:.]+\]|([A-Za-z0-9_-]|[^\x00-\x7f\s]){1,63}(\.([A-Za-z0-9_-]|[^\x00-\x7f\s]){1,63})*\.?)"
    r"(:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
)
_LABEL: Final[Schema] = {"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"}
_LABELS: Final[Schema] = {"type": "object", "additionalProperties": _LABEL}
# By the chart's own labels Deployments, Services and policies find their pods, and the operator its jobs.
_OWN_LABELS: Final = (
    *(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "version", "managed-by")),
    "helm.sh/chart",
)
_MORE_LABELS: Final[Schema] = {**_LABELS, "properties": dict.fromkeys(_OWN_LABELS, False)}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_POSITIVE: Final[Schema] = {"type": "integer", "minimum": 1}
# Those of sync pods, the API server would take with any misspelt field, and drop it.
_TOLERATIONS: Final[Schema] = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "properties": {**dict.fromkeys(("key", "operator", "value", "effect"), TEXT), "tolerationSeconds": _COUNT},
    },
}
_VARIABLES: Final[Schema] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name"],
        "additionalProperties": False,
        "properties": {"name": {"type": "string", "minLength": 1}, "value": TEXT, "valueFrom": {"type": "object"}},
    },
}
_PORTS: Final[Schema] = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}}
_NETWORKS: Final[Schema] = {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-fA-F.:]+(/[0-9]+)?$"}}
_DURATION: Final[Schema] = {"type": "string", "pattern": "^([0-9]+(ms|[smhdwy]))+$"}
_DIGEST: Final[Schema] = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
_REGISTRY: Final[Schema] = {
    "type": "string",
    "pattern": r"^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*/?)?$",
}
_REPOSITORY: Final[Schema] = {
    "type": "string",
    "pattern": r"^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+/[a-z0-9][a-z0-9._-]*)?(/[a-z0-9][a-z0-9._-]*)*)?$",
}
_TAG: Final[Schema] = {"type": "string", "pattern": r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"}
_NAMES_OR_OBJECTS: Final[Schema] = {
    "type": "array",
    "items": {
        "anyOf": [
            _NAMES["items"],
            {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {"name": _NAMES["items"]},
            },
        ]
    },
}
_LABEL_NAME: Final[Schema] = {"type": "string", "pattern": "^([a-z]([-a-z0-9]{0,28}[a-z0-9])?)?$"}
_USER: Final[Schema] = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}
_PROBE: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"), _POSITIVE),
        "initialDelaySeconds": _COUNT,
    },
}
_QUANTITY: Final[Schema] = {"type": "string", "pattern": r"^[0-9.]+(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"}
# A number is read as its text.
_AMOUNTS: Final[Schema] = {"type": "object", "additionalProperties": {"anyOf": [_QUANTITY, {"type": "number"}]}}
_RESOURCES: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "requests": _AMOUNTS,
        "limits": _AMOUNTS,
        "claims": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    },
}
_NAMED: Final[Schema] = {
    "type": "array",
    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}},
}
_CONTAINERS: Final[Schema] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "image"],
        "properties": {"name": {"type": "string", "minLength": 1}, "image": {"type": "string", "minLength": 1}},
    },
}
_MOUNTS: Final[Schema] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "mountPath"],
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(
                ("name", "mountPath", "subPath", "subPathExpr", "mountPropagation", "recursiveReadOnly"), TEXT
            ),
            "readOnly": {"type": "boolean"},
        },
    },
}
_NO_QUANTITY: Final[Schema] = {"anyOf": [{"enum": [""]}, _QUANTITY]}
_PERCENT_OR_COUNT: Final[Schema] = {"anyOf": [_COUNT, {"type": "string", "pattern": "^[0-9]+%$"}]}
# A pattern quotes what it refuses: those of secrets are in the chart's templates/_checks.tpl, which does not.
_KEYS: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "patternProperties": {"^[A-Za-z][A-Za-z0-9_-]{0,31}$": {"type": "string", "minLength": 16}},
}
_SECRET_KEY: Final[Schema] = {"type": "string", "pattern": DATA_KEY_PATTERN}
_SECRET_KEYS: Final = (
    *("apiKeys.secretKeys.keys", "apiKeys.secretKeys.readOnlyKeys", "database.existingSecret.key"),
    *(f"credentials.secretKeys.{name}" for name in ("email", "password", "databaseUrl")),
    *(f"callback.secretKeys.{name}" for name in ("url", "signingSecrets", "makeApiKey", "alertUrl")),
)
_TEXT_OR_NUMBER: Final[Schema] = {"anyOf": [TEXT, {"type": "integer"}]}
_SCHEDULES: Final[Schema] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "cron"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "maxLength": SCHEDULE_NAME_MAX_LENGTH, "pattern": SCHEDULE_NAME_PATTERN},
            "cron": {"type": "string", "pattern": CRON_PATTERN},
            "timeZone": TEXT,
            "days": {"type": "integer", "minimum": 0, "maximum": MAX_DAYS},
            "mode": {"enum": list(MODES)},
            "suspend": {"type": "boolean"},
        },
    },
}
# Not by propertyNames, whose faults Helm reports at another path.
_TARGETS: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {DEFAULT_TARGET: False},
    "patternProperties": {
        TARGET_NAME_PATTERN: {
            "type": "object",
            "required": ["name", "key"],
            "additionalProperties": False,
            "properties": {"name": _NAMES["items"], "key": {"type": "string", "pattern": DATA_KEY_PATTERN}},
        }
    },
}
_ADDRESS: Final[Schema] = {"type": "string", "pattern": "^(https?://.+)?$"}


def _between(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _bounds(setting: IntegerSetting) -> Schema:
    return _between(setting.minimum, setting.maximum)


def _choices(setting: Setting[object]) -> Schema:
    return {"enum": list(setting.choices)}


_PORT: Final = _between(1, 65535)
ALERTS: Final = (
    *("EstimateSyncOperatorAbsent", "EstimateSyncDefect", "EstimateSyncQueueStuck", "EstimateSyncFailed"),
    *("EstimateSyncCallbackFailed", "EstimateSyncCallbacksPending", "EstimateSyncSkippedEstimates"),
    *("EstimateSyncApiKeysFaulty", "EstimateSyncStale", "EstimateSyncEmpty", "EstimateSyncCallbacksGivenUp"),
    *("EstimateSyncApiAbsent", "EstimateSyncApiFailing", "EstimateSyncKeysRefused"),
)
"""A test compares them with the chart's file."""
_ALERT: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "enabled": {"type": "boolean"},
        "for": _DURATION,
        "severity": TEXT,
        "threshold": {"type": "number", "minimum": 0},
    },
}
RULES: Final[dict[str, Schema]] = {
    "fullnameOverride": {"type": "string", "pattern": "^([a-z]([-a-z0-9]{0,38}[a-z0-9])?)?$"},
    "commonLabels": _MORE_LABELS,
    "images.registry": _REGISTRY,
    "images.tag": _TAG,
    "images.apiDigest": _DIGEST,
    "images.operatorDigest": _DIGEST,
    "images.syncDigest": _DIGEST,
    "images.pullPolicy": _choices(operator.SYNC_IMAGE_PULL_POLICY),
    "images.pullSecrets": _NAMES_OR_OBJECTS,
    "global.imageRegistry": _REGISTRY,
    "global.imagePullSecrets": _NAMES_OR_OBJECTS,
    "nameOverride": _LABEL_NAME,
    "namespaceOverride": _NAME,
    "openshift": {"enum": ["auto", True, False]},
    **{f"{part}.image.repository": _REPOSITORY for part in PARTS},
    **{f"{part}.image.tag": _TAG for part in PARTS},
    **{f"{part}.image.digest": _DIGEST for part in PARTS},
    **{f"{part}.image.pullPolicy": {"enum": ["", *operator.SYNC_IMAGE_PULL_POLICY.choices]} for part in PARTS},
    **{
        f"{part}.{name}": rule
        for part in ("api", "operator")
        for name, rule in (
            ("revisionHistoryLimit", _COUNT),
            ("terminationGracePeriodSeconds", {"anyOf": [{"enum": [""]}, _between(1, 3600)]}),
            ("readinessProbe", _PROBE),
            ("livenessProbe", _PROBE),
            ("extraContainers", _CONTAINERS),
            ("initContainers", _CONTAINERS),
            ("extraVolumes", _NAMED),
            ("extraVolumeMounts", _MOUNTS),
        )
    },
    "sync.podSecurityContext": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), _USER),
            "fsGroupChangePolicy": {"enum": ["Always", "OnRootMismatch"]},
            "supplementalGroups": {"type": "array", "items": _USER},
        },
    },
    **{f"{part}.serviceAccount.name": _NAME for part in PARTS},
    "apiKeys.existingSecret": _NAME,
    "apiKeys.keys": _KEYS,
    "apiKeys.readOnlyKeys": _KEYS,
    "apiKeys.scheduleKey": {"type": "string", "pattern": "^([A-Za-z][A-Za-z0-9_-]{0,31})?$"},
    "schedules": _SCHEDULES,
    "api.requestsPerMinute": _bounds(api.REQUESTS_PER_MINUTE),
    "api.trustedProxies": _NETWORKS,
    "api.repeatedRequests": _choices(api.REPEATED_REQUESTS),
    "api.foregroundSeconds": _bounds(api.FOREGROUND_SECONDS),
    "api.statusPage.sessionHours": _bounds(api.STATUS_PAGE_SESSION_HOURS),
    "api.publicUrl": {"type": "string", "maxLength": shared.PUBLIC_URL.max_length, "pattern": rf"^({_ORIGIN}/?)?$"},
    "credentials.existingSecret": _NAME,
    "database.existingSecret.name": _NAME,
    **dict.fromkeys(_SECRET_KEYS, _SECRET_KEY),
    "database.parameters": {
        "type": "object",
        "additionalProperties": False,
        "properties": dict.fromkeys(sorted(LIBPQ_PARAMETERS - ONLY_IN_THE_URL), _TEXT_OR_NUMBER),
    },
    "callback.existingSecret": _NAME,
    "callback.signingSecrets": {"type": "array", "items": TEXT},
    "callback.targets": _TARGETS,
    "callback.allowedSecrets": _NAMES,
    "settings.environment": {"type": "string", "minLength": 1, "maxLength": operator.ENVIRONMENT.max_length},
    "settings.timeZone": {"type": "string", "minLength": 1},
    "settings.maxActiveSyncs": _bounds(operator.MAX_ACTIVE_SYNCS),
    "settings.stuckSeconds": _bounds(operator.STUCK_SECONDS),
    "settings.suspendedSeconds": {"anyOf": [_between(0, operator.MAX_SUSPENDED_SECONDS), {"enum": [""]}]},
    "settings.maxEvictions": _bounds(operator.MAX_EVICTIONS),
    "settings.ttlSecondsAfterFinished": _bounds(operator.TTL_SECONDS_AFTER_FINISHED),
    "settings.staleAfterHours": _bounds(shared.STALE_AFTER_HOURS),
    "settings.progressSeconds": _bounds(operator.PROGRESS_SECONDS),
    "api.replicas": _between(1, 100),
    "operator.replicas": _between(1, 10),
    "api.workers": _bounds(api.WEB_CONCURRENCY),
    "api.port": _PORT,
    "api.drainSeconds": _between(0, 120),
    "api.tolerations": _TOLERATIONS,
    "api.topologySpreadConstraints": _OBJECTS,
    "api.nodeSelector": _LABELS,
    "api.priorityClassName": _NAME,
    "api.podLabels": _MORE_LABELS,
    "api.extraEnv": _VARIABLES,
    "api.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "api.service.port": _PORT,
    "api.service.nodePort": _between(0, 65535),
    "api.service.externalTrafficPolicy": {"enum": ["", "Cluster", "Local"]},
    "api.service.ipFamilyPolicy": {"enum": ["", "SingleStack", "PreferDualStack", "RequireDualStack"]},
    "api.service.ipFamilies": {"type": "array", "items": {"enum": ["IPv4", "IPv6"]}, "maxItems": 2},
    "api.service.loadBalancerSourceRanges": _NETWORKS,
    "api.podDisruptionBudget.minAvailable": _PERCENT_OR_COUNT,
    "api.podDisruptionBudget.maxUnavailable": {"anyOf": [{"enum": [""]}, _PERCENT_OR_COUNT]},
    "api.autoscaling.targetCPU": _QUANTITY,
    "api.autoscaling.minReplicas": _between(1, 100),
    "api.autoscaling.maxReplicas": _between(1, 100),
    "api.autoscaling.targetCPUUtilizationPercentage": _between(0, 1000),
    "operator.port": _PORT,
    "operator.tolerations": _TOLERATIONS,
    "operator.nodeSelector": _LABELS,
    "operator.priorityClassName": _NAME,
    "operator.podLabels": _MORE_LABELS,
    "operator.extraEnv": _VARIABLES,
    "sync.atticTechUrl": {"type": "string", "pattern": "^https?://.+"},
    "sync.databaseSchema": {
        "type": "string",
        "pattern": "^[A-Za-z_][A-Za-z0-9_$]{0,62}$",
        "not": {"pattern": "^pg_"},
    },
    "sync.databaseWaitSeconds": _bounds(shared.DATABASE_WAIT_SECONDS),
    "sync.maxSkippedPercent": _bounds(shared.SYNC_MAX_SKIPPED_PERCENT),
    "sync.maxUnshownPercent": _bounds(shared.SYNC_MAX_UNSHOWN_PERCENT),
    "sync.minEstimates": _bounds(shared.SYNC_MIN_ESTIMATES),
    "sync.deletions": _choices(shared.SYNC_DELETIONS),
    "sync.maxDeletedPercent": _bounds(shared.SYNC_MAX_DELETED_PERCENT),
    "sync.maxPageMegabytes": _bounds(shared.SYNC_MAX_PAGE_MEGABYTES),
    "sync.concurrency": _bounds(operator.SYNC_CONCURRENCY),
    "sync.pageSize": _between(0, operator.SYNC_PAGE_SIZE.maximum),
    "sync.timeoutSeconds": _bounds(operator.SYNC_TIMEOUT_SECONDS),
    "sync.maxRetries": _bounds(operator.SYNC_MAX_RETRIES),
    "sync.loginRetry": {"type": "string", "maxLength": 64},
    "sync.logFormat": _choices(operator.SYNC_LOG_FORMAT),
    "sync.resources": _RESOURCES,
    "sync.cpuRequest": _NO_QUANTITY,
    "sync.memoryRequest": _NO_QUANTITY,
    "sync.memoryLimit": _NO_QUANTITY,
    "sync.nodeSelector": _LABELS,
    "sync.priorityClassName": _NAME,
    "sync.runtimeClassName": _NAME,
    "sync.tolerations": _TOLERATIONS,
    "sync.topologySpreadConstraints": _OBJECTS,
    "sync.podLabels": _MORE_LABELS,
    "sync.jobLabels": _MORE_LABELS,
    "sync.extraEnv": _VARIABLES,
    "sync.extraVolumes": _NAMED,
    "sync.extraVolumeMounts": _MOUNTS,
    "sync.initContainers": _CONTAINERS,
    "network.caConfigMap": _NAME,
    "network.httpsProxy": _ADDRESS,
    "network.httpProxy": _ADDRESS,
    "ingress.className": _NAME,
    "ingress.host": _HOST,
    "ingress.tlsSecret": _NAME,
    "ingress.hosts": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["host"],
            "additionalProperties": False,
            "properties": {
                "host": {**_HOST, "minLength": 1},
                "paths": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["path"],
                        "additionalProperties": False,
                        "properties": {
                            "path": {"type": "string", "pattern": "^/"},
                            "pathType": {"enum": ["Prefix", "Exact", "ImplementationSpecific"]},
                        },
                    },
                },
            },
        },
    },
    "ingress.tls": _OBJECTS,
    "extraObjects": {"type": "array", "items": {"anyOf": [{"type": "object"}, TEXT]}},
    "httpRoute.parentRefs": _OBJECTS,
    "httpRoute.hostnames": {"type": "array", "items": {**_HOST, "minLength": 1}},
    "httpRoute.timeout": {"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"},
    "networkPolicy.apiFrom": _OBJECTS,
    "networkPolicy.metricsFrom": _OBJECTS,
    # No ports at all would be all ports, in a NetworkPolicy.
    "networkPolicy.dnsPorts": {**_PORTS, "minItems": 1},
    "networkPolicy.apiServerPorts": {**_PORTS, "minItems": 1},
    "networkPolicy.callbackPorts": _PORTS,
    "networkPolicy.syncPorts": {**_PORTS, "minItems": 1},
    "metrics.port": _bounds(operator.METRICS_PORT),
    "metrics.serviceMonitor.interval": _DURATION,
    "metrics.serviceMonitor.scrapeTimeout": {"anyOf": [{"enum": [""]}, _DURATION]},
    "metrics.serviceMonitor.relabelings": _OBJECTS,
    "metrics.serviceMonitor.metricRelabelings": _OBJECTS,
    "metrics.prometheusRule.ruleLabels": TEXTS,
    "metrics.prometheusRule.alerts": {
        "type": "object",
        "additionalProperties": False,
        "properties": dict.fromkeys(ALERTS, _ALERT),
    },
    "metrics.serviceMonitor.labels": _MORE_LABELS,
    "metrics.prometheusRule.labels": _MORE_LABELS,
    "metrics.dashboard.labels": _MORE_LABELS,
    "metrics.prometheusRule.runbookUrl": {"type": "string", "pattern": "^([A-Za-z0-9./][!-~]*)?$"},
    "tracing.endpoint": {"type": "string", "pattern": "^(https?://[^@/?#]+(/[^@?#]*)?)?$"},
    "tracing.headersSecret": _NAME,
    "tracing.sampler": _choices(tracing.SAMPLER),
    "tracing.samplerArgument": {"type": "number", "minimum": 0, "maximum": 1},
    "test.mode": {"enum": ["reach", "round-trip"]},
    "test.url": _ADDRESS,
    "test.seconds": _between(1, 86_400),
}
FREE: Final = frozenset({
    *("api.resources", "operator.resources", *(f"{part}.affinity" for part in PARTS)),
    *(f"{part}.{name}" for part in ("api", "operator") for name in ("podSecurityContext", "securityContext")),
})  # fmt: skip
"""Kubernetes' own structures: its API server checks them."""


def build_schema(values: Iterable[ChartValue]) -> Schema:
    """Build the JSON schema (draft 7) of all values."""
    root = _build_branch()
    for value in values:
        branch = root
        for key in value.path[:-1]:
            _require(branch, key)
            branch = branch["properties"].setdefault(key, _build_branch())
        branch["properties"][value.path[-1]] = {"description": value.description, **_build_rule(value)}
        if value.default not in ("", [], {}) and value.name not in FREE:
            _require(branch, value.path[-1])
    # The first holds what a chart of charts shares among its parts; the second is how it leaves one out (`condition`).
    root["properties"]["global"]["additionalProperties"] = True
    root["properties"]["enabled"] = {"type": "boolean"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the EstimateSync chart", **root}


def _build_branch() -> Schema:
    return {"type": "object", "additionalProperties": False, "required": [], "properties": {}}


def _require(branch: Schema, key: str) -> None:
    """Let a default be changed, but not be taken away: by a null, or by `--reuse-values` of an older chart."""
    if key not in branch["required"]:
        branch["required"].append(key)


def _build_rule(value: ChartValue) -> Schema:
    if value.name in RULES:
        return RULES[value.name]
    match value.default:
        case bool():
            return {"type": "boolean"}
        case str():
            return TEXT
        case dict():
            return {"type": "object"} if value.name in FREE else TEXTS
    raise ValueError(f"{value.name} needs a rule: its default does not say what it takes")
