from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from estimatesync_contract.settings import SettingsError, SettingsReader
from estimatesync_contract.spec import Options, SecretKeyRef
from estimatesync_operator.core.plan import ReconcilerSettings
from estimatesync_operator.settings import OperatorSettings, read_operator_settings

REQUIRED = {"NAMESPACE": "botzilla", "SYNC_IMAGE": "registry.test/estimatesync:1"}


def _read(**environ: str) -> OperatorSettings:
    reader = SettingsReader({**REQUIRED, **environ})
    settings = read_operator_settings(reader)
    reader.raise_faults()
    return settings


def test_two_settings_are_enough() -> None:
    settings = _read()

    assert settings.namespace == "botzilla"
    assert settings.reconciler == ReconcilerSettings(
        max_active_syncs=1,
        time_zone=ZoneInfo("UTC"),
        environment="production",
        progress_interval=timedelta(seconds=2),
        stuck_limit=timedelta(minutes=10),
        max_evictions=5,
        default_ttl=timedelta(days=7),
        stale_after=timedelta(hours=26),
    )
    assert (settings.job.image, settings.job.image_pull_policy) == ("registry.test/estimatesync:1", "IfNotPresent")
    assert settings.job.environment == {
        "ATTIC_TECH_URL": "https://www.attic-tech.com",
        "DATABASE_SCHEMA": "botzilla",
        "LOG_FORMAT": "text",
        "SYNC_MAX_SKIPPED_PERCENT": "1",
        "SYNC_MAX_UNSHOWN_PERCENT": "20",
        "SYNC_MIN_ESTIMATES": "0",
        "SYNC_DELETIONS": "off",
        "SYNC_MAX_DELETED_PERCENT": "5",
        "SYNC_MAX_PAGE_MEGABYTES": "100",
        "SYNC_SELECT_FIELDS": "false",
        "SYNC_LOGIN_RETRY": "",
        "DATABASE_WAIT_SECONDS": "45",
        "SYNC_TIME_ZONE": "UTC",
    }


@pytest.mark.parametrize(
    ("given", "address"),
    [
        pytest.param("", "0.0.0.0", id="every address of IPv4"),  # noqa: S104 - nothing listens here
        pytest.param("[::]", "::", id="every address of IPv6, as a URL has it"),
        pytest.param("10.0.0.7", "10.0.0.7", id="the pod's own"),
    ],
)
def test_the_metrics_are_answered_where_the_probe_is(given: str, address: str) -> None:
    assert _read(BIND_ADDRESS=given).metrics_address == address


def test_the_reconciler_is_set_from_the_environment() -> None:
    settings = _read(
        MAX_ACTIVE_SYNCS="3",
        TIME_ZONE="America/New_York",
        ENVIRONMENT="staging",
        PROGRESS_SECONDS="10",
        STUCK_SECONDS="90",
        SUSPENDED_SECONDS="0",
        MAX_EVICTIONS="2",
        TTL_SECONDS_AFTER_FINISHED="86400",
        STALE_AFTER_HOURS="0",
        SYNC_PAGE_SIZE="50",
        SYNC_CONCURRENCY="2",
        SYNC_TIMEOUT_SECONDS="7200",
        SYNC_MAX_RETRIES="0",
    )

    assert settings.reconciler == ReconcilerSettings(
        max_active_syncs=3,
        time_zone=ZoneInfo("America/New_York"),
        environment="staging",
        progress_interval=timedelta(seconds=10),
        stuck_limit=timedelta(seconds=90),
        suspended_limit=timedelta(0),
        max_evictions=2,
        default_ttl=timedelta(days=1),
        stale_after=None,
        default_options=Options(page_size=50, concurrency=2, timeout_seconds=7200, max_retries=0),
    )
    assert settings.job.environment["SYNC_TIME_ZONE"] == "America/New_York"


def test_sync_pods_are_set_from_the_environment() -> None:
    job = _read(
        SYNC_IMAGE_PULL_POLICY="Never",
        SYNC_CREDENTIALS_SECRET="attic-tech",
        SYNC_SECRET_KEYS="DATABASE_URL=cluster-app/uri",
        DATABASE_PARAMETERS="sslmode=verify-full",
        SYNC_NODE_SELECTOR="pool=batch, example.com/zone=a",
        SYNC_MEMORY_LIMIT="1Gi",
        SYNC_LOG_FORMAT="json",
    ).job

    assert job.node_selector == {"pool": "batch", "example.com/zone": "a"}
    assert job.image_pull_policy == "Never"
    assert job.secrets == {
        **{name: SecretKeyRef(name="attic-tech", key=name) for name in ("ATTIC_TECH_EMAIL", "ATTIC_TECH_PASSWORD")},
        "DATABASE_URL": SecretKeyRef(name="cluster-app", key="uri"),
    }
    assert job.environment["DATABASE_PARAMETERS"] == "sslmode=verify-full"
    assert job.resources == {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
    assert job.environment["LOG_FORMAT"] == "json"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param("NAMESPACE", " ", "NAMESPACE is not set", id="no namespace"),
        pytest.param("SYNC_IMAGE", "", "SYNC_IMAGE is not set", id="no image"),
        pytest.param("MAX_ACTIVE_SYNCS", "0", "from 1 to 10000", id="no sync could run"),
        pytest.param("TTL_SECONDS_AFTER_FINISHED", "3600", "from 86400", id="a key is known for a day"),
        pytest.param("SUSPENDED_SECONDS", "never", "whole number from 0 to", id="no number"),
        pytest.param("PROGRESS_SECONDS", "0.5", "whole number", id="fraction"),
        pytest.param("TIME_ZONE", "Mars/Olympus", "IANA time zone", id="unknown zone"),
        pytest.param("ENVIRONMENT", "e" * 65, "at most 64 characters", id="longer than the status takes"),
        pytest.param("SYNC_IMAGE_PULL_POLICY", "Sometimes", "Always, IfNotPresent, Never", id="unknown policy"),
        pytest.param("SYNC_LOG_FORMAT", "xml", "json, text", id="unknown format"),
        pytest.param("SYNC_NODE_SELECTOR", "pool", "key=value", id="half a label"),
        pytest.param(
            "SYNC_SECRET_KEYS", "DATABASE_URI=a/b", "must begin each entry with one of ATTIC_TECH", id="no name"
        ),
        pytest.param(
            "SYNC_SECRET_KEYS", "DATABASE_URL=a", "must name a Secret and its key for DATABASE_URL", id="no key"
        ),
        pytest.param("DATABASE_PARAMETERS", "sslmode=strict", "sslmode must be one of", id="no mode"),
        pytest.param("SYNC_JOB_TEMPLATE", "{", "must be a Job in JSON, such as", id="no JSON"),
        pytest.param("SYNC_JOB_TEMPLATE", '{"spec": 1}', "Expected `object`, got `int` - at `$.spec`", id="no Job"),
        pytest.param(
            "SYNC_JOB_TEMPLATE",
            '{"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}',
            "unknown field `restartPolicy` - at `$.spec.template.spec`",
            id="a field of our own",
        ),
        pytest.param(
            "SYNC_JOB_TEMPLATE",
            '{"spec": {"template": {"spec": {"containers": [{"name": "sync", "command": ["sh"]}]}}}}',
            "unknown field `command` - at `$.spec.template.spec.containers[0]`",
            id="another program",
        ),
        pytest.param(
            "SYNC_JOB_TEMPLATE",
            '{"spec": {"template": {"spec": {"containers": [{"name": "proxy"}]}}}}',
            "Invalid enum value 'proxy'",
            id="another container",
        ),
        pytest.param(
            "SYNC_JOB_TEMPLATE",
            '{"spec": {"template": {"spec": {"securityContext": {"runAsNonRoot": false}}}}}',
            "unknown field `runAsNonRoot`",
            id="fewer restrictions",
        ),
        pytest.param(
            "SYNC_JOB_TEMPLATE",
            '{"spec": {"template": {"spec": {"securityContext": {"runAsUser": 0}}}}}',
            "Expected `int` >= 1",
            id="root",
        ),
        pytest.param(
            "SYNC_JOB_TEMPLATE",
            '{"metadata": {"labels": {"botzilla.io/sync": "x"}}}',
            "must not set the label botzilla.io/sync",
            id="a label by which jobs are found",
        ),
        pytest.param(
            "SYNC_JOB_TEMPLATE",
            '{"spec": {"template": {"spec": {"initContainers": [{"name": "sync"}]}}}}',
            "must not name an init container sync",
            id="two of a name",
        ),
        pytest.param(
            "SYNC_JOB_TEMPLATE",
            '{"spec": {"template": {"spec": {"containers": [{"name": "sync", "env": [{"name": "DATABASE_URL"}]}]}}}}',
            "must not set the variable DATABASE_URL",
            id="a variable of our own",
        ),
        pytest.param(
            "SYNC_JOB_TEMPLATE",
            '{"spec": {"template": {"spec": {"volumes": [{"name": "tmp"}]}}}}',
            "must not set the volume tmp",
            id="a volume of our own",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_it_takes(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _read(**{name: value})

    (fault,) = caught.value.faults
    assert name in fault
    assert words in fault


def test_all_faults_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        _read(NAMESPACE="", SYNC_IMAGE="", MAX_ACTIVE_SYNCS="many")

    assert len(caught.value.faults) == 3


def test_where_sync_pods_run_and_how_they_get_out_is_read() -> None:
    job = _read(
        SYNC_IMAGE_PULL_SECRETS="one, two",
        SYNC_TOLERATIONS='[{"key": "batch", "operator": "Exists", "tolerationSeconds": 5}]',
        SYNC_PRIORITY_CLASS="background",
        SYNC_CA_CONFIG_MAP="company-ca",
        SYNC_HTTPS_PROXY="http://proxy.test:3128",
        SYNC_NO_PROXY="<local>,169.254/16",
    ).job

    assert (job.image_pull_secrets, job.priority_class, job.authorities) == (
        ("one", "two"),
        "background",
        "company-ca",
    )
    assert job.tolerations == [{"key": "batch", "operator": "Exists", "tolerationSeconds": 5}]
    assert job.environment["HTTPS_PROXY"] == "http://proxy.test:3128"
    # As other programs write it: the sync program skips what it cannot read, and says so.
    assert job.environment["NO_PROXY"] == "<local>,169.254/16"
    assert "HTTP_PROXY" not in job.environment


def test_tolerations_that_are_not_a_list_are_a_fault() -> None:
    reader = SettingsReader({**REQUIRED, "SYNC_TOLERATIONS": "batch=true"})

    read_operator_settings(reader)

    (fault,) = reader.faults
    assert fault.startswith("SYNC_TOLERATIONS must be a JSON list")


@pytest.mark.parametrize(("given", "marks"), [("mark", True), ("off", False), ("", False)])
def test_callbacks_count_deletions_where_the_program_marks_them(given: str, *, marks: bool) -> None:
    settings = _read(SYNC_DELETIONS=given)

    assert settings.reconciler.marks_deletions is marks
    assert settings.job.environment["SYNC_DELETIONS"] == ("mark" if marks else "off")
