"""The operator's settings: the table by which they are read when it starts, and the values they become."""

import re
from datetime import timedelta
from typing import Any, Final

import msgspec
from estimatesync_contract import job_environment as env
from estimatesync_contract.proxies import parse_proxy_url
from estimatesync_contract.settings import (
    ATTIC_TECH_URL,
    DATABASE_PARAMETERS,
    DATABASE_SCHEMA,
    DATABASE_WAIT_SECONDS,
    LOG_FORMATS,
    MARK,
    PUBLIC_URL,
    STALE_AFTER_HOURS,
    SYNC_DELETIONS,
    SYNC_LOGIN_RETRY,
    SYNC_MAX_DELETED_PERCENT,
    SYNC_MAX_PAGE_MEGABYTES,
    SYNC_MAX_SKIPPED_PERCENT,
    SYNC_MAX_UNSHOWN_PERCENT,
    SYNC_METADATA,
    SYNC_MIN_ESTIMATES,
    SYNC_SELECT_FIELDS,
    TIME_ZONE,
    ChoiceSetting,
    IntegerSetting,
    ParsedSetting,
    SettingsReader,
    TextSetting,
    parse_whole_number,
    split_list,
)
from estimatesync_contract.spec import (
    DATA_KEY_PATTERN,
    DEFAULT_CONCURRENCY,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT_SECONDS,
    DEFAULT_TTL_SECONDS,
    DNS_SUBDOMAIN_PATTERN,
    MAX_CONCURRENCY,
    MAX_MAX_RETRIES,
    MAX_PAGE_SIZE,
    MAX_TIMEOUT_SECONDS,
    MAX_TTL_SECONDS,
    SHORTEST_DEFAULT_TTL_SECONDS,
    Options,
    SecretKeyRef,
)
from estimatesync_tracing.settings import TRACING_SETTINGS, TracingSettings, read_tracing_settings

from estimatesync_operator.callback.settings import CALLBACK_FILES, CALLBACK_SETTINGS
from estimatesync_operator.core.job_manifest import JobSettings, find_conflicts
from estimatesync_operator.core.job_template import JobTemplate, parse_job_template
from estimatesync_operator.core.plan import ReconcilerSettings

MAX_SUSPENDED_SECONDS: Final = 31_536_000


def _parse_names(text: str) -> tuple[str, ...]:
    return tuple(split_list(text))


def _parse_labels(text: str) -> dict[str, str]:
    pairs = split_list(text)
    if any("=" not in pair for pair in pairs):
        raise ValueError("must look like key=value,key=value")
    return dict(pair.split("=", 1) for pair in pairs)


def _parse_secret_keys(text: str) -> dict[str, SecretKeyRef]:
    references = {}
    for entry in split_list(text):
        variable, _, place = entry.partition("=")
        secret, _, key = place.partition("/")
        if variable not in env.SECRET_VARIABLES:
            raise ValueError(f"must begin each entry with one of {', '.join(env.SECRET_VARIABLES)}, and a =")
        if not (re.fullmatch(DNS_SUBDOMAIN_PATTERN, secret) and re.fullmatch(DATA_KEY_PATTERN, key)):
            raise ValueError(f"must name a Secret and its key for {variable}: {variable}=secret/key")
        references[variable] = SecretKeyRef(name=secret, key=key)
    return references


def _parse_suspended(text: str) -> timedelta | None:
    return timedelta(seconds=parse_whole_number(text, minimum=0, maximum=MAX_SUSPENDED_SECONDS)) if text else None


def _parse_tolerations(text: str) -> list[dict[str, str | int]]:
    """Parse a JSON list, as in a pod's spec."""
    try:
        return msgspec.json.decode(text, type=list[dict[str, str | int]])
    except msgspec.MsgspecError:
        example = '[{"key": "batch", "operator": "Exists"}]'
        raise ValueError(f"must be a JSON list of tolerations such as {example}") from None


ENVIRONMENT: Final = TextSetting(
    name="ENVIRONMENT",
    meaning="Sent along with each callback, at most 64 characters",
    default="production",
    # As long as the status may carry; with a longer one no sync could ever be recorded as finished.
    max_length=64,
)
MAX_ACTIVE_SYNCS: Final = IntegerSetting(
    name="MAX_ACTIVE_SYNCS",
    meaning="Syncs that run at once; the others wait, the oldest first",
    default="1",
    minimum=1,
    maximum=10_000,
)
TTL_SECONDS_AFTER_FINISHED: Final = IntegerSetting(
    name="TTL_SECONDS_AFTER_FINISHED",
    meaning="How long a finished sync is kept, and its job with it, unless its spec says otherwise;"
    " at least a day, because an Idempotency-Key must be remembered that long. The newest that has succeeded stays"
    " until a newer one has",
    default=str(DEFAULT_TTL_SECONDS),
    unit="seconds",
    minimum=SHORTEST_DEFAULT_TTL_SECONDS,
    maximum=MAX_TTL_SECONDS,
)
PROGRESS_SECONDS: Final = IntegerSetting(
    name="PROGRESS_SECONDS",
    meaning="Time between two readings of a running sync's progress",
    default="2",
    unit="seconds",
    minimum=1,
    maximum=3600,
)
SYNC_PAGE_SIZE: Final = IntegerSetting(
    name=env.SYNC_PAGE_SIZE,
    meaning="Records that a sync asks for in one request, unless its spec says otherwise; by default 100, or what suits"
    " the records",
    minimum=1,
    maximum=MAX_PAGE_SIZE,
)
SYNC_CONCURRENCY: Final = IntegerSetting(
    name=env.SYNC_CONCURRENCY,
    meaning="Pages in flight at most, unless a sync's spec says otherwise",
    default=str(DEFAULT_CONCURRENCY),
    minimum=1,
    maximum=MAX_CONCURRENCY,
)
SYNC_TIMEOUT_SECONDS: Final = IntegerSetting(
    name=env.SYNC_TIMEOUT_SECONDS,
    meaning="How long a sync may take, retries included, unless its spec says otherwise",
    default=str(DEFAULT_TIMEOUT_SECONDS),
    unit="seconds",
    minimum=1,
    maximum=MAX_TIMEOUT_SECONDS,
)
SYNC_MAX_RETRIES: Final = IntegerSetting(
    name="SYNC_MAX_RETRIES",
    meaning="How many times a sync that fails is tried again, unless its spec says otherwise",
    default=str(DEFAULT_MAX_RETRIES),
    minimum=0,
    maximum=MAX_MAX_RETRIES,
)
_OPTIONS: Final = (SYNC_PAGE_SIZE, SYNC_CONCURRENCY, SYNC_TIMEOUT_SECONDS, SYNC_MAX_RETRIES)
RECONCILER_SETTINGS: Final = (
    TIME_ZONE,
    ENVIRONMENT,
    SYNC_METADATA,
    MAX_ACTIVE_SYNCS,
    *_OPTIONS,
    TTL_SECONDS_AFTER_FINISHED,
    PROGRESS_SECONDS,
)
"""What a cluster and one machine have in common."""

NAMESPACE: Final = TextSetting(
    name="NAMESPACE",
    meaning="The namespace whose EstimateSyncs are served",
    cure="name the namespace whose EstimateSyncs this operator serves",
    is_required=True,
)
STUCK_SECONDS: Final = IntegerSetting(
    name="STUCK_SECONDS",
    meaning="How long a sync may be blocked (by an image, a Secret, a quota) before it fails",
    default="600",
    unit="seconds",
    minimum=1,
    maximum=604_800,
)
SUSPENDED_SECONDS: Final = ParsedSetting[timedelta | None](
    name="SUSPENDED_SECONDS",
    meaning="How long a sync may be held back by a suspended job or a scheduling gate before it fails; 0: for ever,"
    " for who queues jobs with Kueue. Without it, as long as the sync's own `timeoutSeconds`",
    unit="seconds",
    parser=_parse_suspended,
)
MAX_EVICTIONS: Final = IntegerSetting(
    name="MAX_EVICTIONS",
    meaning="How many times the cluster may take a sync off its node; each time it starts again elsewhere",
    default="5",
    minimum=0,
    maximum=1000,
)
BIND_ADDRESS: Final = TextSetting(
    name="BIND_ADDRESS",
    meaning="Address that serves the metrics and, in the chart, the liveness probe; `[::]` is all IPv6 addresses",
    default="0.0.0.0",  # noqa: S104 - what is served there is not secret
)
METRICS_PORT: Final = IntegerSetting(
    name="METRICS_PORT",
    meaning="Port that serves `GET /metrics`; 0: none",
    default="8081",
    minimum=0,
    maximum=65_535,
)
POD_NAME: Final = TextSetting(
    name="POD_NAME",
    meaning="Name under which events are reported and the Lease is held; each of several operators needs its own",
    default="estimatesync-operator",
)
RELEASE_NAME: Final = TextSetting(
    name="RELEASE_NAME",
    meaning="The installation that this operator belongs to; a second one in the namespace is refused",
    default="estimatesync",
)
CLUSTER_SETTINGS: Final = (
    NAMESPACE,
    STUCK_SECONDS,
    SUSPENDED_SECONDS,
    MAX_EVICTIONS,
    BIND_ADDRESS,
    METRICS_PORT,
    POD_NAME,
    RELEASE_NAME,
)

SYNC_LOG_FORMAT: Final = ChoiceSetting(
    name="SYNC_LOG_FORMAT",
    meaning="Log of each sync: `text` for people, `json` for machines",
    default="text",
    choices=LOG_FORMATS,
)
PROGRAM_SETTINGS: Final = (
    ATTIC_TECH_URL,
    DATABASE_SCHEMA,
    DATABASE_WAIT_SECONDS,
    SYNC_MAX_SKIPPED_PERCENT,
    SYNC_MAX_UNSHOWN_PERCENT,
    SYNC_MIN_ESTIMATES,
    SYNC_DELETIONS,
    SYNC_MAX_DELETED_PERCENT,
    SYNC_MAX_PAGE_MEGABYTES,
    SYNC_SELECT_FIELDS,
    SYNC_LOGIN_RETRY,
    SYNC_LOG_FORMAT,
)
"""What is passed on to the sync program, on a cluster and on one machine."""

SYNC_IMAGE: Final = TextSetting(
    name="SYNC_IMAGE",
    meaning="The image that sync pods run",
    cure="name the image that sync pods run",
    is_required=True,
)
SYNC_IMAGE_PULL_POLICY: Final = ChoiceSetting(
    name="SYNC_IMAGE_PULL_POLICY",
    meaning="When it is pulled",
    default="IfNotPresent",
    choices=("Always", "IfNotPresent", "Never"),
)
SYNC_IMAGE_PULL_SECRETS: Final = ParsedSetting[tuple[str, ...]](
    name="SYNC_IMAGE_PULL_SECRETS",
    meaning="Names of the Secrets it is pulled with, separated by commas",
    parser=_parse_names,
)
SYNC_SERVICE_ACCOUNT: Final = TextSetting(
    name="SYNC_SERVICE_ACCOUNT", meaning="Service account of sync pods", default="estimatesync-sync"
)
SYNC_CREDENTIALS_SECRET: Final = TextSetting(
    name="SYNC_CREDENTIALS_SECRET",
    meaning="Name of the Secret with `ATTIC_TECH_EMAIL`, `ATTIC_TECH_PASSWORD` and `DATABASE_URL`",
    default="estimatesync-credentials",
)
SYNC_SECRET_KEYS: Final = ParsedSetting[dict[str, SecretKeyRef]](
    name="SYNC_SECRET_KEYS",
    meaning="Which of these three are elsewhere, with the Secret and its key: `DATABASE_URL=cluster-app/uri`, separated"
    " by commas",
    parser=_parse_secret_keys,
)
SYNC_CA_CONFIG_MAP: Final = TextSetting(
    name="SYNC_CA_CONFIG_MAP", meaning="Name of a ConfigMap whose `ca.crt` sync pods check certificates against"
)
SYNC_TRACE_HEADERS_SECRET: Final = TextSetting(
    name="SYNC_TRACE_HEADERS_SECRET",
    meaning="Name of a Secret whose `OTEL_EXPORTER_OTLP_HEADERS` sync pods send to the collector",
)
SYNC_JOB_TEMPLATE: Final = ParsedSetting[JobTemplate](
    name="SYNC_JOB_TEMPLATE",
    meaning="What the job of a sync has in addition, as a Job in JSON: labels and annotations of the job and its pod;"
    " of the pod `affinity`, `topologySpreadConstraints`, `runtimeClassName`, `initContainers` (native sidecars, too),"
    " `volumes` and the users of `securityContext`; of the container `sync` its `resources`, `env` and `volumeMounts`",
    default="{}",
    parser=parse_job_template,
)
SYNC_CPU_REQUEST: Final = TextSetting(
    name="SYNC_CPU_REQUEST", meaning="CPU request of a sync pod, unless the template has `resources`", default="100m"
)
SYNC_MEMORY_REQUEST: Final = TextSetting(
    name="SYNC_MEMORY_REQUEST", meaning="The same for its memory request", default="128Mi"
)
SYNC_MEMORY_LIMIT: Final = TextSetting(
    name="SYNC_MEMORY_LIMIT", meaning="The same for its memory limit", default="512Mi"
)
SYNC_NODE_SELECTOR: Final = ParsedSetting[dict[str, str]](
    name="SYNC_NODE_SELECTOR",
    meaning="Labels that its node must have, `key=value,key=value`",
    parser=_parse_labels,
)
SYNC_TOLERATIONS: Final = ParsedSetting[list[dict[str, Any]]](
    name="SYNC_TOLERATIONS",
    meaning="Its tolerations, as a JSON list",
    default="[]",
    parser=_parse_tolerations,
)
SYNC_PRIORITY_CLASS: Final = TextSetting(name="SYNC_PRIORITY_CLASS", meaning="Its priority class")
# Under names of their own: with the usual ones the operator would take the proxy to the API server.
SYNC_HTTPS_PROXY: Final = ParsedSetting[str](
    name="SYNC_HTTPS_PROXY",
    meaning="Proxy of the sync program for https, such as `http://proxy.example.com:3128`; callbacks take none",
    parser=lambda text: text and parse_proxy_url(text),
)
SYNC_HTTP_PROXY: Final = ParsedSetting[str](
    name="SYNC_HTTP_PROXY", meaning="The same for http", parser=lambda text: text and parse_proxy_url(text)
)
SYNC_NO_PROXY: Final = TextSetting(
    name="SYNC_NO_PROXY",
    meaning="Host names, addresses and networks that are reached without a proxy, separated by commas",
)
_PROXIES: Final = (SYNC_HTTPS_PROXY, SYNC_HTTP_PROXY, SYNC_NO_PROXY)
JOB_SETTINGS: Final = (
    *(SYNC_IMAGE, SYNC_IMAGE_PULL_POLICY, SYNC_IMAGE_PULL_SECRETS, SYNC_SERVICE_ACCOUNT),
    *(SYNC_CREDENTIALS_SECRET, SYNC_SECRET_KEYS),
    *(SYNC_CA_CONFIG_MAP, SYNC_TRACE_HEADERS_SECRET, SYNC_JOB_TEMPLATE),
    *(SYNC_CPU_REQUEST, SYNC_MEMORY_REQUEST, SYNC_MEMORY_LIMIT, DATABASE_PARAMETERS),
    *(SYNC_NODE_SELECTOR, SYNC_TOLERATIONS, SYNC_PRIORITY_CLASS, *_PROXIES),
)
"""What only a cluster's jobs have."""

OPERATOR_SETTINGS: Final = (
    *(*CLUSTER_SETTINGS, *RECONCILER_SETTINGS, *CALLBACK_SETTINGS, *CALLBACK_FILES, *JOB_SETTINGS, *PROGRAM_SETTINGS),
    *(STALE_AFTER_HOURS, PUBLIC_URL, *TRACING_SETTINGS),
)


class OperatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the callback's settings, which hold secrets and live with the callback."""

    namespace: str
    reporting_instance: str
    release: str
    metrics_address: str
    metrics_port: int
    """0: no metrics are served."""
    reconciler: ReconcilerSettings
    job: JobSettings
    tracing: TracingSettings


def read_operator_settings(reader: SettingsReader) -> OperatorSettings:
    """Read all settings but the callback's; faults are left in the reader."""
    tracing = read_tracing_settings(reader)
    return OperatorSettings(
        namespace=reader.read(NAMESPACE),
        reporting_instance=reader.read(POD_NAME),
        release=reader.read(RELEASE_NAME),
        # As a URL has it, for that is where the liveness probe's address is from.
        metrics_address=reader.read(BIND_ADDRESS).strip("[]"),
        metrics_port=reader.read(METRICS_PORT),
        reconciler=read_reconciler_settings(reader),
        job=_read_job_settings(reader, tracing),
        tracing=tracing,
    )


def read_reconciler_settings(reader: SettingsReader) -> ReconcilerSettings:
    """Read what governs a reconcile pass; faults are left in the reader.

    The reader of one machine passes over what only a cluster has: there the defaults apply.
    """
    return ReconcilerSettings(
        max_active_syncs=reader.read(MAX_ACTIVE_SYNCS),
        time_zone=reader.read(TIME_ZONE),
        environment=reader.read(ENVIRONMENT),
        public_url=reader.read(PUBLIC_URL),
        has_metadata=reader.read(SYNC_METADATA),
        marks_deletions=reader.read(SYNC_DELETIONS) == MARK,
        progress_interval=timedelta(seconds=reader.read(PROGRESS_SECONDS)),
        stuck_limit=timedelta(seconds=reader.read(STUCK_SECONDS)),
        suspended_limit=reader.read(SUSPENDED_SECONDS),
        max_evictions=reader.read(MAX_EVICTIONS),
        default_ttl=timedelta(seconds=reader.read(TTL_SECONDS_AFTER_FINISHED)),
        stale_after=timedelta(hours=hours) if (hours := reader.read(STALE_AFTER_HOURS)) else None,
        default_options=Options(
            page_size=reader.read(SYNC_PAGE_SIZE) or None,
            concurrency=reader.read(SYNC_CONCURRENCY),
            timeout_seconds=reader.read(SYNC_TIMEOUT_SECONDS),
            max_retries=reader.read(SYNC_MAX_RETRIES),
        ),
    )


def _read_job_settings(reader: SettingsReader, tracing: TracingSettings) -> JobSettings:
    settings = JobSettings(
        image=reader.read(SYNC_IMAGE),
        image_pull_policy=reader.read(SYNC_IMAGE_PULL_POLICY),
        service_account=reader.read(SYNC_SERVICE_ACCOUNT),
        secrets=_read_secrets(reader),
        image_pull_secrets=reader.read(SYNC_IMAGE_PULL_SECRETS),
        node_selector=reader.read(SYNC_NODE_SELECTOR),
        tolerations=reader.read(SYNC_TOLERATIONS),
        priority_class=reader.read(SYNC_PRIORITY_CLASS),
        authorities=reader.read(SYNC_CA_CONFIG_MAP),
        resources={
            "requests": {"cpu": reader.read(SYNC_CPU_REQUEST), "memory": reader.read(SYNC_MEMORY_REQUEST)},
            "limits": {"memory": reader.read(SYNC_MEMORY_LIMIT)},
        },
        template=reader.read(SYNC_JOB_TEMPLATE),
        environment={
            **_read_parameters(reader),
            **_read_proxies(reader),
            **read_program_environment(reader),
            **tracing.public_variables,
        },
        trace_headers_secret=reader.read(SYNC_TRACE_HEADERS_SECRET),
    )
    reader.faults += [f"{SYNC_JOB_TEMPLATE.name} {conflict}" for conflict in find_conflicts(settings)]
    return settings


def _read_secrets(reader: SettingsReader) -> dict[str, SecretKeyRef]:
    secret = reader.read(SYNC_CREDENTIALS_SECRET)
    own = {name: SecretKeyRef(name=secret, key=name) for name in env.SECRET_VARIABLES}
    return {**own, **reader.read(SYNC_SECRET_KEYS)}


def _read_parameters(reader: SettingsReader) -> dict[str, str]:
    parameters = reader.read(DATABASE_PARAMETERS)
    return {DATABASE_PARAMETERS.name: parameters} if parameters else {}


def _read_proxies(reader: SettingsReader) -> dict[str, str]:
    return {each.name.removeprefix("SYNC_"): value for each in _PROXIES if (value := reader.read(each))}


def read_program_environment(reader: SettingsReader) -> dict[str, str]:
    """Read what is passed on to the sync program, on a cluster and on one machine alike."""
    return {
        env.ATTIC_TECH_URL: reader.read(ATTIC_TECH_URL),
        env.DATABASE_SCHEMA: reader.read(DATABASE_SCHEMA),
        env.LOG_FORMAT: reader.read(SYNC_LOG_FORMAT),
        env.SYNC_TIME_ZONE: reader.read(TIME_ZONE).key,
        env.SYNC_MAX_SKIPPED_PERCENT: str(reader.read(SYNC_MAX_SKIPPED_PERCENT)),
        env.SYNC_MAX_UNSHOWN_PERCENT: str(reader.read(SYNC_MAX_UNSHOWN_PERCENT)),
        env.SYNC_MIN_ESTIMATES: str(reader.read(SYNC_MIN_ESTIMATES)),
        env.SYNC_DELETIONS: reader.read(SYNC_DELETIONS),
        env.SYNC_MAX_DELETED_PERCENT: str(reader.read(SYNC_MAX_DELETED_PERCENT)),
        env.SYNC_MAX_PAGE_MEGABYTES: str(reader.read(SYNC_MAX_PAGE_MEGABYTES)),
        env.SYNC_SELECT_FIELDS: str(reader.read(SYNC_SELECT_FIELDS)).lower(),
        env.SYNC_LOGIN_RETRY: reader.read(SYNC_LOGIN_RETRY),
        env.DATABASE_WAIT_SECONDS: str(reader.read(DATABASE_WAIT_SECONDS)),
    }
