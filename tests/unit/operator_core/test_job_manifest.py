import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import DateRange, EstimateSyncSpec, Mode, SecretKeyRef
from estimatesync_operator.core.job_manifest import JobSettings, build_job_manifest, find_conflicts
from estimatesync_operator.core.job_template import parse_job_template

RANGE = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
OTHER_DAYS = DateRange(start=date(2025, 10, 1), end=date(2025, 10, 16))
MakeSettings = Callable[..., JobSettings]

SECRETS = {name: SecretKeyRef(name="attic-tech", key=name) for name in ("ATTIC_TECH_EMAIL", "ATTIC_TECH_PASSWORD")}
SPEC = EstimateSyncSpec(mode=Mode.CHANGES, page_size=50, concurrency=2, timeout_seconds=900, max_retries=1)


@pytest.fixture
def settings(make_job_settings: MakeSettings) -> JobSettings:
    return make_job_settings(
        secrets={**SECRETS, "DATABASE_URL": SecretKeyRef(name="cluster-app", key="uri")},
        node_selector={"pool": "batch"},
        environment={"ATTIC_TECH_URL": "https://attic.test", "DATABASE_SCHEMA": "botzilla"},
    )


@pytest.fixture
def job(make_sync: Callable[..., EstimateSync], settings: JobSettings) -> dict[str, Any]:
    return build_job_manifest(make_sync("a", spec=SPEC), RANGE, settings)


@pytest.fixture
def pod(job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    assert isinstance(container, dict)
    return container


def test_it_is_a_job(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")


def test_the_job_is_named_by_uid_and_owned_by_its_sync(job: dict[str, Any]) -> None:
    assert (job["metadata"]["name"], job["metadata"]["namespace"]) == ("estimatesync-uid-a", "ns")
    assert job["metadata"]["ownerReferences"] == [
        {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "name": "a", "uid": "uid-a", "controller": True}
    ]


def test_the_bounds_of_the_sync_are_the_bounds_of_the_job(job: dict[str, Any]) -> None:
    spec = job["spec"]

    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["podReplacementPolicy"]) == (1, 900, "Failed")
    assert "ttlSecondsAfterFinished" not in spec


def test_a_permanent_failure_ends_the_job_and_a_drained_node_costs_no_retry(job: dict[str, Any]) -> None:
    assert job["spec"]["podFailurePolicy"]["rules"] == [
        {"action": "FailJob", "onExitCodes": {"containerName": "sync", "operator": "In", "values": [20]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]


def test_job_and_pod_carry_the_labels_by_which_they_are_found(
    make_sync: Callable[..., EstimateSync], settings: JobSettings
) -> None:
    job = build_job_manifest(make_sync("n" * 63), RANGE, settings)

    labels = job["metadata"]["labels"]
    assert labels == job["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "app.kubernetes.io/name": "estimatesync",
        "app.kubernetes.io/component": "sync",
        "app.kubernetes.io/managed-by": "estimatesync",
        "botzilla.io/sync": "n" * 63,
    }
    assert max(map(len, labels.values())) <= 63


def test_the_pod_passes_the_restricted_pod_security_standard(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [set(volume) - {"name"} for volume in pod["volumes"]] == [{"emptyDir"}]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)


def test_the_pod_has_no_rights_and_does_not_restart(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert (pod["restartPolicy"], pod["serviceAccountName"]) == ("Never", "estimatesync-sync")
    assert pod["nodeSelector"] == {"pool": "batch"}
    assert pod["terminationGracePeriodSeconds"] == 10


def test_the_program_runs_in_a_file_system_that_it_cannot_write_but_for_its_own_tmp(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    assert (container["name"], container["command"]) == ("sync", ["python", "-m", "estimatesync_job"])
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the pod's own


def test_image_and_requests_are_those_of_the_deployment(
    make_sync: Callable[..., EstimateSync], make_job_settings: MakeSettings
) -> None:
    settings = make_job_settings(
        image="registry.example/job:1",
        image_pull_policy="Always",
        resources={"limits": {"memory": "3Mi"}},
    )

    (container,) = build_job_manifest(make_sync("a"), RANGE, settings)["spec"]["template"]["spec"]["containers"]

    assert (container["image"], container["imagePullPolicy"]) == ("registry.example/job:1", "Always")
    assert container["resources"] == {"limits": {"memory": "3Mi"}}


def test_secrets_are_named_never_held(container: dict[str, Any]) -> None:
    secret = [variable for variable in container["env"] if "valueFrom" in variable]

    assert secret == [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": place, "key": key}}}
        for name, place, key in (
            ("ATTIC_TECH_EMAIL", "attic-tech", "ATTIC_TECH_EMAIL"),
            ("ATTIC_TECH_PASSWORD", "attic-tech", "ATTIC_TECH_PASSWORD"),
            ("DATABASE_URL", "cluster-app", "uri"),
        )
    ]
    assert all(set(variable) == {"name", "value"} for variable in container["env"] if variable not in secret)


def test_the_program_gets_its_input_from_the_sync_and_its_surroundings_from_the_deployment(
    container: dict[str, Any],
) -> None:
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}

    assert len(variables) == len(container["env"])
    assert (
        variables.items()
        >= {
            "SYNC_ID": "a",
            "SYNC_UID": "uid-a",
            "SYNC_START_DATE": "2025-09-01",
            "SYNC_END_DATE": "2025-10-16",
            "SYNC_MODE": "Changes",
            "SYNC_PAGE_SIZE": "50",
            "SYNC_CONCURRENCY": "2",
            "ATTIC_TECH_URL": "https://attic.test",
        }.items()
    )


def test_a_deployment_cannot_shadow_what_the_sync_says(
    make_sync: Callable[..., EstimateSync], make_job_settings: MakeSettings
) -> None:
    settings = make_job_settings(environment={"SYNC_UID": "another"})

    (container,) = build_job_manifest(make_sync("a"), RANGE, settings)["spec"]["template"]["spec"]["containers"]

    assert [v["value"] for v in container["env"] if v["name"] == "SYNC_UID"] == ["uid-a"]


@pytest.mark.parametrize(
    ("spec", "bound"),
    [
        pytest.param(EstimateSyncSpec(), "500", id="nobody has chosen the days"),
        pytest.param(EstimateSyncSpec(date_range=RANGE), "500", id="the default days, as the API writes them down"),
        pytest.param(EstimateSyncSpec(date_range=OTHER_DAYS), "0", id="chosen days"),
    ],
)
def test_only_the_default_days_must_have_a_number_of_estimates(
    make_sync: Callable[..., EstimateSync], make_job_settings: MakeSettings, spec: EstimateSyncSpec, bound: str
) -> None:
    sync = make_sync("a")
    metadata = msgspec.structs.replace(sync.metadata, creation_timestamp=datetime(2025, 10, 16, 14, tzinfo=UTC))
    sync = msgspec.structs.replace(sync, metadata=metadata, spec=spec)
    settings = make_job_settings(environment={"SYNC_MIN_ESTIMATES": "500"})

    job = build_job_manifest(sync, spec.date_range or RANGE, settings)

    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert [v["value"] for v in container["env"] if v["name"] == "SYNC_MIN_ESTIMATES"] == [bound]


def test_the_result_is_read_from_the_file_alone_and_memory_is_bounded(container: dict[str, Any]) -> None:
    assert container["terminationMessagePolicy"] == "File"
    assert container["resources"]["limits"] == {"memory": "512Mi"}
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_the_manifest_is_plain_json(job: dict[str, Any]) -> None:
    assert json.loads(json.dumps(job)) == job


def test_a_deployment_places_and_pulls_its_pods(
    make_sync: Callable[..., EstimateSync], make_job_settings: MakeSettings
) -> None:
    tolerations = [{"key": "batch", "operator": "Exists"}]
    settings = make_job_settings(image_pull_secrets=("registry",), tolerations=tolerations, priority_class="background")

    pod = build_job_manifest(make_sync("a"), RANGE, settings)["spec"]["template"]["spec"]

    assert (pod["imagePullSecrets"], pod["priorityClassName"]) == ([{"name": "registry"}], "background")
    assert pod["tolerations"] == tolerations


def test_certificate_authorities_are_mounted_and_trusted_by_source_and_database(
    make_sync: Callable[..., EstimateSync],
    make_job_settings: MakeSettings,
) -> None:
    settings = make_job_settings(authorities="company-ca")

    pod = build_job_manifest(make_sync("a"), RANGE, settings)["spec"]["template"]["spec"]

    (container,) = pod["containers"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert {"name": "authorities", "configMap": {"name": "company-ca"}} in pod["volumes"]
    assert container["volumeMounts"][1:] == [
        {"name": "authorities", "mountPath": "/etc/estimatesync/authorities", "readOnly": True}
    ]
    assert variables["SSL_CERT_FILE"] == variables["PGSSLROOTCERT"] == "/etc/estimatesync/authorities/ca.crt"


def test_a_traced_job_gets_its_traceparent_and_the_headers_of_the_collector(
    make_sync: Callable[..., EstimateSync],
    make_job_settings: MakeSettings,
) -> None:
    settings = make_job_settings(trace_headers_secret="collector")

    traced = build_job_manifest(make_sync("a"), RANGE, settings, traceparent="00-made-up")

    (container,) = traced["spec"]["template"]["spec"]["containers"]
    headers = {"secretKeyRef": {"name": "collector", "key": "OTEL_EXPORTER_OTLP_HEADERS", "optional": True}}
    assert {"name": "TRACEPARENT", "value": "00-made-up"} in container["env"]
    assert {"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": headers} in container["env"]


def test_a_job_that_is_not_traced_gets_no_tracing_variables(container: dict[str, Any]) -> None:
    assert [v["name"] for v in container["env"] if v["name"].startswith(("TRACE", "OTEL"))] == []


def test_what_a_deployment_does_not_choose_is_left_to_the_cluster(pod: dict[str, Any]) -> None:
    assert not {"imagePullSecrets", "tolerations", "priorityClassName"} & set(pod)


PROXY = {"name": "sql-proxy", "image": "registry.test/sql-proxy:2", "restartPolicy": "Always"}
TEMPLATE = {
    "metadata": {"labels": {"kueue.x-k8s.io/queue-name": "batch"}, "annotations": {"note": "job"}},
    "spec": {
        "template": {
            "metadata": {"labels": {"team": "crm"}, "annotations": {"note": "pod"}},
            "spec": {
                "affinity": {"podAntiAffinity": {"made": "up"}},
                "topologySpreadConstraints": [{"topologyKey": "zone"}],
                "runtimeClassName": "gvisor",
                "securityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": 2000},
                "initContainers": [{**PROXY, "securityContext": {"readOnlyRootFilesystem": False}}],
                "volumes": [{"name": "certificates", "secret": {"secretName": "certificates"}}],
                "containers": [
                    {
                        "name": "sync",
                        "resources": {"requests": {"ephemeral-storage": "1Gi"}},
                        "env": [{"name": "PGAPPNAME", "value": "estimates"}],
                        "volumeMounts": [{"name": "certificates", "mountPath": "/certificates"}],
                    }
                ],
            },
        }
    },
}


def test_a_deployment_adds_to_job_and_pod_and_overrides_nothing(
    make_sync: Callable[..., EstimateSync], make_job_settings: MakeSettings
) -> None:
    bare = build_job_manifest(make_sync("a"), RANGE, make_job_settings())

    job = build_job_manifest(
        make_sync("a"), RANGE, make_job_settings(template=parse_job_template(json.dumps(TEMPLATE)))
    )

    added, pod, own = TEMPLATE["spec"]["template"]["spec"], job["spec"]["template"], bare["spec"]["template"]
    assert job["metadata"]["labels"] == {**bare["metadata"]["labels"], "kueue.x-k8s.io/queue-name": "batch"}
    assert pod["metadata"]["labels"] == {**own["metadata"]["labels"], "team": "crm"}
    assert (job["metadata"]["annotations"], pod["metadata"]["annotations"]) == ({"note": "job"}, {"note": "pod"})
    assert {name: pod["spec"].pop(name) for name in ("affinity", "topologySpreadConstraints", "runtimeClassName")} == {
        name: added[name] for name in ("affinity", "topologySpreadConstraints", "runtimeClassName")
    }
    assert pod["spec"].pop("securityContext") == {
        "runAsNonRoot": True,
        "fsGroup": 2000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (proxy,) = pod["spec"].pop("initContainers")
    restrictions = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert proxy == {**PROXY, "securityContext": {**restrictions, "readOnlyRootFilesystem": False}}
    (container,), (before,) = pod["spec"].pop("containers"), own["spec"].pop("containers")
    theirs = added["containers"][0]
    assert container == {
        **before,
        "resources": theirs["resources"],
        "env": before["env"] + theirs["env"],
        "volumeMounts": before["volumeMounts"] + theirs["volumeMounts"],
    }
    assert pod["spec"].pop("volumes") == own["spec"].pop("volumes") + added["volumes"]
    assert own["spec"].pop("securityContext")["runAsUser"] == 65532
    assert pod["spec"] == own["spec"]


def test_what_a_deployment_sets_twice_is_found(make_job_settings: MakeSettings) -> None:
    pod = {
        "initContainers": [PROXY, PROXY],
        "volumes": [{"name": "authorities"}],
        "containers": [
            {
                "name": "sync",
                "env": [{"name": "MINE"}, {"name": "MINE"}, {"name": "SSL_CERT_FILE"}, {"name": ["none"]}, {}, {}],
                "volumeMounts": [{"mountPath": "/mine"}, {"mountPath": "/mine/"}],
            }
        ],
    }
    template = parse_job_template(json.dumps({"spec": {"template": {"spec": pod}}}))

    assert find_conflicts(make_job_settings()) == []
    assert find_conflicts(make_job_settings(template=template, authorities="company-ca")) == [
        f"must not set the {what}, which is set already"
        for what in (
            *("variable MINE", "variable SSL_CERT_FILE"),
            *("volume authorities", "mount path /mine", "init container sql-proxy"),
        )
    ]


@pytest.mark.parametrize(
    "variable", ["SYNC_MODE", "SYNC_PAGE_SIZE", "TRACEPARENT", "TERMINATION_MESSAGE_PATH", "DATABASE_PARAMETERS"]
)
def test_what_the_program_is_set_by_is_the_operators_even_where_a_job_does_not_have_it(
    make_job_settings: MakeSettings, variable: str
) -> None:
    container = {"name": "sync", "env": [{"name": variable, "value": "theirs"}]}
    template = parse_job_template(json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}}))

    assert find_conflicts(make_job_settings(template=template)) == [
        f"must not set the variable {variable}, which is set already"
    ]


@pytest.mark.parametrize("path", ["/tmp", "/tmp/", "//tmp", "tmp", "/var/../tmp"])  # noqa: S108 - the pod's own
def test_a_path_is_taken_however_it_is_written(make_job_settings: MakeSettings, path: str) -> None:
    container = {"name": "sync", "volumeMounts": [{"name": "theirs", "mountPath": path}]}
    template = parse_job_template(json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}}))

    assert find_conflicts(make_job_settings(template=template)) == [
        "must not set the mount path /tmp, which is set already"
    ]


def test_an_init_container_without_a_security_context_is_restricted(
    make_sync: Callable[..., EstimateSync], make_job_settings: MakeSettings
) -> None:
    pod = {"initContainers": [{**PROXY, "securityContext": None}]}
    template = parse_job_template(json.dumps({"spec": {"template": {"spec": pod}}}))

    job = build_job_manifest(make_sync("a"), RANGE, make_job_settings(template=template))

    (container,) = job["spec"]["template"]["spec"]["initContainers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
