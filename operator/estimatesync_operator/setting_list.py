"""The operator's settings as people are told of them; `settings` and `callback_settings` read them."""

from typing import Final

from estimatesync_contract import job_environment as env
from estimatesync_contract.setting import (
    ATTIC_TECH_URL,
    DATABASE_SCHEMA,
    DATABASE_WAIT_SECONDS,
    FLAG,
    SYNC_MAX_SKIPPED_PERCENT,
    TIME_ZONE,
    Setting,
)
from estimatesync_contract.spec import DEFAULT_TTL_SECONDS, MAX_TTL_SECONDS, SHORTEST_DEFAULT_TTL_SECONDS

from estimatesync_operator import callback_settings

RECONCILER_SETTINGS: Final = (
    TIME_ZONE,
    Setting(name="ENVIRONMENT", meaning="Sent along with each callback, at most 64 characters", default="production"),
    Setting(
        name="MAX_ACTIVE_SYNCS",
        meaning="Syncs that run at once; the others wait, the oldest first",
        default="1",
        low=1,
        high=10_000,
    ),
    Setting(
        name="TTL_SECONDS_AFTER_FINISHED",
        meaning="How long a finished sync is kept, and its job with it, unless its spec says otherwise;"
        " at least a day, because an Idempotency-Key is known as long",
        default=str(DEFAULT_TTL_SECONDS),
        unit="seconds",
        low=SHORTEST_DEFAULT_TTL_SECONDS,
        high=MAX_TTL_SECONDS,
    ),
    Setting(
        name="PROGRESS_SECONDS",
        meaning="Time between two looks at the progress of a running sync",
        default="2",
        unit="seconds",
        low=1,
        high=3600,
    ),
)
"""What a cluster and one machine have in common."""

CLUSTER_SETTINGS: Final = (
    Setting(name="NAMESPACE", meaning="The namespace whose EstimateSyncs are served", is_required=True),
    Setting(
        name="STUCK_SECONDS",
        meaning="How long an obstacle (an image, a Secret, a quota) may stand before the sync fails",
        default="600",
        unit="seconds",
        low=1,
        high=604_800,
    ),
    Setting(
        name="MAX_EVICTIONS",
        meaning="How often the cluster may take a sync off its node, and it begins anew elsewhere",
        default="5",
        low=0,
        high=1000,
    ),
    Setting(
        name="BIND_ADDRESS",
        meaning="Where the metrics are answered, and by the chart the liveness probe; `[::]` is all addresses of IPv6",
        default="0.0.0.0",  # noqa: S104 - what is answered there is not secret
    ),
    Setting(
        name="METRICS_PORT",
        meaning="Where `GET /metrics` is answered; 0: nowhere",
        default="8081",
        low=0,
        high=65_535,
    ),
    Setting(name="POD_NAME", meaning="Who reports the events", default="estimatesync-operator"),
)

CALLBACK_SETTINGS: Final = (
    Setting(
        name=callback_settings.WEBHOOK_URL,
        meaning="Make.com's custom webhook, which is told how each sync ended; nobody is told without it",
        is_secret=True,
    ),
    Setting(
        name=callback_settings.SIGNING_SECRETS,
        meaning="Sign callbacks by Standard Webhooks: `whsec_…` secrets separated by commas, several while one "
        "replaces another",
        is_secret=True,
    ),
    Setting(
        name=callback_settings.MAKE_API_KEY,
        meaning="Sent as `x-make-apikey`, for a webhook that has API keys",
        is_secret=True,
    ),
    Setting(name=callback_settings.ALLOW_HTTP, meaning="Accept a webhook without TLS", default="false", choices=FLAG),
    Setting(
        name=callback_settings.ALLOW_PRIVATE_TARGETS,
        meaning="Accept a webhook on this machine or in a private network",
        default="false",
        choices=FLAG,
    ),
    Setting(
        name=callback_settings.ALLOWED_SECRETS,
        meaning="Names of the Secrets that a sync may take its own URL from (`spec.callback.urlSecretRef`), "
        "separated by commas",
    ),
)

PROGRAM_SETTINGS: Final = (
    ATTIC_TECH_URL,
    DATABASE_SCHEMA,
    DATABASE_WAIT_SECONDS,
    SYNC_MAX_SKIPPED_PERCENT,
    Setting(
        name="SYNC_LOG_FORMAT",
        meaning="Log of each sync: `text` for people, `json` for machines",
        default=env.DEFAULT_LOG_FORMAT,
        choices=("json", "text"),
    ),
)
"""What is passed on to the sync program, on a cluster and on one machine alike."""

JOB_SETTINGS: Final = (
    Setting(name="SYNC_IMAGE", meaning="The image that sync pods run", is_required=True),
    Setting(
        name="SYNC_IMAGE_PULL_POLICY",
        meaning="When it is pulled",
        default="IfNotPresent",
        choices=("Always", "IfNotPresent", "Never"),
    ),
    Setting(name="SYNC_IMAGE_PULL_SECRETS", meaning="Names of the Secrets it is pulled with, separated by commas"),
    Setting(name="SYNC_SERVICE_ACCOUNT", meaning="Service account of sync pods", default="estimatesync-sync"),
    Setting(
        name="SYNC_CREDENTIALS_SECRET",
        meaning="Name of the Secret with `ATTIC_TECH_EMAIL`, `ATTIC_TECH_PASSWORD` and `DATABASE_URL`",
        default="estimatesync-credentials",
    ),
    Setting(
        name="SYNC_CA_CONFIG_MAP", meaning="Name of a ConfigMap whose `ca.crt` sync pods check certificates against"
    ),
    Setting(
        name="SYNC_TRACE_HEADERS_SECRET",
        meaning="Name of a Secret whose `OTEL_EXPORTER_OTLP_HEADERS` lets the spans of sync pods in at the collector",
    ),
    Setting(name="SYNC_CPU_REQUEST", meaning="CPU request of a sync pod", default="100m"),
    Setting(name="SYNC_MEMORY_REQUEST", meaning="Memory request of a sync pod", default="128Mi"),
    Setting(name="SYNC_MEMORY_LIMIT", meaning="Memory limit of a sync pod", default="512Mi"),
    Setting(name="SYNC_NODE_SELECTOR", meaning="Labels that its node must have, `key=value,key=value`"),
    Setting(name="SYNC_TOLERATIONS", meaning="Its tolerations, as a JSON list", default="[]"),
    Setting(name="SYNC_PRIORITY_CLASS", meaning="Its priority class"),
    Setting(name="SYNC_HTTPS_PROXY", meaning="Proxy of the sync program for https; callbacks take none"),
    Setting(name="SYNC_HTTP_PROXY", meaning="The same for http"),
    Setting(name="SYNC_NO_PROXY", meaning="Hosts that are reached without it"),
)
"""What only a cluster's jobs have."""
