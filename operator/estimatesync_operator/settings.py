"""The operator's settings, read once at start."""

from datetime import timedelta
from typing import Final

import msgspec
from estimatesync_contract import job_environment as env
from estimatesync_contract.environment_reader import EnvironmentReader
from estimatesync_contract.spec import DEFAULT_TTL_SECONDS, MAX_TTL_SECONDS, SHORTEST_DEFAULT_TTL_SECONDS
from estimatesync_tracing.settings import TracingSettings, read_tracing_settings

from estimatesync_operator.core.job_manifest import JobSettings
from estimatesync_operator.reconciler import ReconcilerSettings

_ENVIRONMENT_MAX_LENGTH: Final = 64
"""As long as the status may carry; with a longer one no sync could ever be recorded as finished."""


class OperatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the callback's settings, which hold secrets and live with the callback."""

    namespace: str
    reporting_instance: str
    metrics_address: str
    metrics_port: int
    """0: no metrics are served."""
    reconciler: ReconcilerSettings
    job: JobSettings
    tracing: TracingSettings


def read_operator_settings(reader: EnvironmentReader) -> OperatorSettings:
    """Read all settings; faults are left in the reader."""
    tracing = read_tracing_settings(reader)
    return OperatorSettings(
        namespace=reader.read_required("NAMESPACE", "name the namespace whose EstimateSyncs this operator serves"),
        reporting_instance=reader.read_text("POD_NAME", "estimatesync-operator"),
        # As a URL has it, for that is where the liveness probe's address is from.
        metrics_address=reader.read_text("BIND_ADDRESS", "0.0.0.0").strip("[]"),  # noqa: S104 - nothing in it is secret
        metrics_port=reader.read_integer("METRICS_PORT", 8081, low=0, high=65_535),
        reconciler=msgspec.structs.replace(
            read_reconciler_settings(reader),
            stuck_limit=timedelta(seconds=reader.read_integer("STUCK_SECONDS", 600, low=1, high=604_800)),
            max_evictions=reader.read_integer("MAX_EVICTIONS", 5, low=0, high=1000),
        ),
        job=_read_job_settings(reader, tracing),
        tracing=tracing,
    )


def read_reconciler_settings(reader: EnvironmentReader) -> ReconcilerSettings:
    """Read what a cluster and one machine have in common; faults are left in the reader."""
    return ReconcilerSettings(
        max_active_syncs=reader.read_integer("MAX_ACTIVE_SYNCS", 1, low=1, high=10_000),
        time_zone=reader.read_time_zone("TIME_ZONE", env.DEFAULT_TIME_ZONE),
        environment=_read_environment_name(reader),
        progress_interval=timedelta(seconds=reader.read_integer("PROGRESS_SECONDS", 2, low=1, high=3600)),
        default_ttl=_read_default_ttl(reader),
    )


def _read_default_ttl(reader: EnvironmentReader) -> timedelta:
    seconds = reader.read_integer(
        "TTL_SECONDS_AFTER_FINISHED", DEFAULT_TTL_SECONDS, low=SHORTEST_DEFAULT_TTL_SECONDS, high=MAX_TTL_SECONDS
    )
    return timedelta(seconds=seconds)


def _read_environment_name(reader: EnvironmentReader) -> str:
    name = reader.read_text("ENVIRONMENT", "production")
    if len(name) > _ENVIRONMENT_MAX_LENGTH:
        reader.faults.append(f"ENVIRONMENT must be at most {_ENVIRONMENT_MAX_LENGTH} characters long")
    return name


def _read_job_settings(reader: EnvironmentReader, tracing: TracingSettings) -> JobSettings:
    return JobSettings(
        image=reader.read_required("SYNC_IMAGE", "name the image that sync pods run"),
        image_pull_policy=reader.read_choice(
            "SYNC_IMAGE_PULL_POLICY", "IfNotPresent", {"Always", "IfNotPresent", "Never"}
        ),
        service_account=reader.read_text("SYNC_SERVICE_ACCOUNT", "estimatesync-sync"),
        credentials_secret=reader.read_text("SYNC_CREDENTIALS_SECRET", "estimatesync-credentials"),
        image_pull_secrets=_read_names(reader, "SYNC_IMAGE_PULL_SECRETS"),
        node_selector=_read_labels(reader, "SYNC_NODE_SELECTOR"),
        tolerations=_read_tolerations(reader, "SYNC_TOLERATIONS"),
        priority_class=reader.read_text("SYNC_PRIORITY_CLASS", ""),
        authorities=reader.read_text("SYNC_CA_CONFIG_MAP", ""),
        cpu_request=reader.read_text("SYNC_CPU_REQUEST", "100m"),
        memory_request=reader.read_text("SYNC_MEMORY_REQUEST", "128Mi"),
        memory_limit=reader.read_text("SYNC_MEMORY_LIMIT", "512Mi"),
        environment={**_read_proxies(reader), **read_program_environment(reader), **tracing.public_variables},
        trace_headers_secret=reader.read_text("SYNC_TRACE_HEADERS_SECRET", ""),
    )


def _read_proxies(reader: EnvironmentReader) -> dict[str, str]:
    """Read the sync program's way out, under names of their own: else the operator would take it to the API server."""
    values = {name: reader.read_text(f"SYNC_{name}", "") for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")}
    return {name: value for name, value in values.items() if value}


def read_program_environment(reader: EnvironmentReader) -> dict[str, str]:
    """Read what is passed on to the sync program, on a cluster and on one machine alike."""
    skipped, wait = env.DEFAULT_MAX_SKIPPED_PERCENT, env.DEFAULT_DATABASE_WAIT_SECONDS
    return {
        env.ATTIC_TECH_URL: reader.read_text(env.ATTIC_TECH_URL, env.DEFAULT_ATTIC_TECH_URL),
        env.DATABASE_SCHEMA: reader.read_text(env.DATABASE_SCHEMA, env.DEFAULT_DATABASE_SCHEMA),
        env.LOG_FORMAT: reader.read_choice("SYNC_LOG_FORMAT", env.DEFAULT_LOG_FORMAT, {"text", "json"}),
        env.SYNC_TIME_ZONE: reader.read_text("TIME_ZONE", env.DEFAULT_TIME_ZONE),
        env.SYNC_MAX_SKIPPED_PERCENT: str(reader.read_integer(env.SYNC_MAX_SKIPPED_PERCENT, skipped, low=0, high=100)),
        env.DATABASE_WAIT_SECONDS: str(reader.read_integer(env.DATABASE_WAIT_SECONDS, wait, low=0, high=3600)),
    }


def _read_labels(reader: EnvironmentReader, name: str) -> dict[str, str]:
    """Read `key=value,key=value`."""
    pairs = [part.strip() for part in reader.read_text(name, "").split(",") if part.strip()]
    if any("=" not in pair for pair in pairs):
        reader.faults.append(f"{name} must look like key=value,key=value")
        return {}
    return dict(pair.split("=", 1) for pair in pairs)


def _read_names(reader: EnvironmentReader, name: str) -> tuple[str, ...]:
    """Read names separated by commas."""
    return tuple(part.strip() for part in reader.read_text(name, "").split(",") if part.strip())


def _read_tolerations(reader: EnvironmentReader, name: str) -> list[dict[str, str | int]]:
    """Read a JSON list, as in a pod's spec."""
    try:
        return msgspec.json.decode(reader.read_text(name, "[]"), type=list[dict[str, str | int]])
    except msgspec.MsgspecError:
        example = '[{"key": "batch", "operator": "Exists"}]'
        reader.faults.append(f"{name} must be a JSON list of tolerations such as {example}")
        return []
