"""The chart says what the programs and the manifests say."""

import json
import tomllib
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from estimatesync_api.settings import API_SETTINGS
from estimatesync_chart.main import build_readme, build_schema_file, build_time_zones
from estimatesync_chart.value_rules import RULES
from estimatesync_chart.values_file import parse_values
from estimatesync_cluster.product_processes import read_rules
from estimatesync_contract.crd import build_crd
from estimatesync_contract.job_environment import PROGRAM_VARIABLES
from estimatesync_operator.core.job_manifest import build_sample_manifest
from estimatesync_operator.core.job_template import JobTemplate, parse_job_template
from estimatesync_operator.main import read_settings

VERSION = version("estimatesync")

ROOT = Path(__file__).parents[3]
TRACING = {"tracing": {"endpoint": "http://collector.test:4318", "headersSecret": "collector"}}
PLACES = {"NAMESPACE": "estimates", "POD_NAME": "pod", "POD_IP": "10.0.0.1", "POD_ID": "pod"}


MOUNTED = "/etc/estimatesync/callback/"


class Reading(dict[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def read_environment(rendered: Any, part: str) -> Reading:
    pod = rendered.find("Deployment", f"-{part}")["spec"]["template"]["spec"]
    variables = pod["containers"][0]["env"]
    values = {each["name"]: each.get("value", PLACES.get(each["name"], "")) for each in variables}
    # What is mounted, is not here.
    return Reading({name: "" if MOUNTED in value else value for name, value in values.items()})


def test_the_operator_of_a_default_release_is_the_operator_of_the_default_settings(render: Callable[..., Any]) -> None:
    bare = {
        "NAMESPACE": "estimates",
        "POD_NAME": "pod",
        "RELEASE_NAME": "release",
        "SYNC_IMAGE": f"estimatesync-sync:{VERSION}",
    }
    names = {"SYNC_SERVICE_ACCOUNT": "release-estimatesync-sync"}
    names["SYNC_CREDENTIALS_SECRET"] = "release-estimatesync-credentials"

    operator, callback = read_settings(read_environment(render(), "operator"))

    # What it adds to jobs says in another place what two settings say, too.
    template = operator.job.template
    resources = template.pod.spec.container.resources
    assert (template, resources) == (parse_job_template(build_template(resources)), operator.job.resources)
    bare_job = msgspec.structs.replace(operator.job, template=JobTemplate())
    bare_operator = msgspec.structs.replace(operator, job=bare_job)
    assert (bare_operator, callback) == read_settings({**bare, **names})


def build_template(resources: Any) -> str:
    container = {"name": "sync", "resources": resources}
    return json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})


def test_the_chart_can_set_every_setting_of_the_operator(render: Callable[..., Any]) -> None:
    environment = read_environment(render(TRACING), "operator")

    read_settings(environment)

    # An empty endpoint switches traces off, each part has its own name in them, and there is one protocol.
    left_out = {"OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_PROTOCOL"}
    # Secrets are in files.
    left_out |= {"MAKE_SYNC_CALLBACK_WEBHOOK_URL", "CALLBACK_SIGNING_SECRETS", "CALLBACK_MAKE_API_KEY"}
    left_out |= {"MAKE_SYNC_ALERT_WEBHOOK_URL"}
    # The template of the jobs has them.
    left_out |= {"SYNC_CPU_REQUEST", "SYNC_MEMORY_REQUEST", "SYNC_MEMORY_LIMIT"}
    assert environment.asked - environment.keys() == left_out
    # For kopf, and for people who inspect the pod.
    assert environment.keys() - environment.asked == {"POD_IP", "POD_ID"}


def test_the_chart_can_set_every_setting_of_the_api(render: Callable[..., Any]) -> None:
    table = {each.name for each in API_SETTINGS}

    keys = {"apiKeys": {"readOnlyKeys": {"dashboard": "made-up-key-0123456789"}}}
    # Who it is, the API finds where every pod has it; keys are in files.
    left_out = {"KUBECONFIG", "SERVICE_ACCOUNT_DIRECTORY", "API_KEY", "API_KEYS", "READ_ONLY_API_KEYS"}
    assert table - left_out == table & read_environment(render(keys), "api").keys()


@pytest.mark.parametrize(
    ("address", "url"),
    [
        pytest.param("0.0.0.0", "http://127.0.0.1:9090", id="every address"),  # noqa: S104 - nothing is opened
        pytest.param("[::]", "http://[::1]:9090", id="every address of both kinds"),
        pytest.param("$(POD_IP)", "http://$(POD_IP):9090", id="the pod's own"),
    ],
)
def test_the_command_line_in_an_api_pod_has_that_pod_and_its_key(
    render: Callable[..., Any], address: str, url: str
) -> None:
    environment = read_environment(render({"api": {"bindAddress": address, "port": 9090}}), "api")

    assert environment["ESTIMATESYNC_URL"] == url
    assert environment["ESTIMATESYNC_API_KEY_FILE"] == environment["API_KEYS_FILE"]


@pytest.mark.parametrize("part", ["api", "operator"])
def test_a_release_has_the_rights_that_the_end_to_end_tests_run_with(render: Callable[..., Any], part: str) -> None:
    role, binding = (render().find(kind, f"-{part}") for kind in ("Role", "RoleBinding"))

    assert role["rules"] == read_rules(part)
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": f"release-estimatesync-{part}", "namespace": "estimates"}
    ]


def test_the_admission_policy_takes_every_variable_that_a_job_can_have(render: Callable[..., Any]) -> None:
    network = {"httpsProxy": "http://p:1", "httpProxy": "http://p:2", "noProxy": "db", "caConfigMap": "authorities"}
    tracing = {**TRACING["tracing"], "resourceAttributes": {"team": "estimates"}}
    sync = {
        "extraEnv": [
            {"name": "PGAPPNAME", "value": "estimates"},
            {"name": "PGSSLKEY", "valueFrom": {"secretKeyRef": {"name": "certificate", "key": "tls.key"}}},
        ],
        "extraVolumes": [{"name": "certificate", "secret": {"secretName": "certificate"}}],
    }
    database = {"parameters": {"sslmode": "verify-full"}}
    others = {"network": network, "tracing": tracing, "database": database}
    rendered = render({"admissionPolicy": {"enabled": True}, "sync": sync, **others})
    operator, _ = read_settings(read_environment(rendered, "operator"))

    job = build_sample_manifest(operator.job, "estimates")

    variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
    given = {each["name"]: name_source(each) for each in variables}
    assert {*PROGRAM_VARIABLES} - given.keys() == {"TERMINATION_MESSAGE_PATH"}
    policy = rendered.find("ValidatingAdmissionPolicy")["spec"]
    rules = {each["name"]: each["expression"] for each in policy["variables"]}
    fixed, free = json.loads(rules["fixed"])["sync"], yaml.safe_load(rules["free"])
    assert {name: source for name, source in given.items() if name not in free} == fixed
    assert set(free) - given.keys() == {"OTEL_SDK_DISABLED"}
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert [each["name"] for each in volumes] == [each.split()[0] for each in json.loads(rules["volumes"])]


def name_source(variable: dict[str, Any]) -> str:
    """Where a variable's value is from, as the policy compares it."""
    if "value" in variable:
        return f"={variable['value']}"
    reference = variable["valueFrom"]["secretKeyRef"]
    return f"Secret {reference['name']}/{reference['key']}"


def test_the_operator_reads_only_the_secrets_that_are_named(render: Callable[..., Any]) -> None:
    rules = render({"callback": {"allowedSecrets": ["one"]}}).find("Role", "-operator")["rules"]

    assert [rule for rule in rules if "secrets" in rule["resources"]] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"], "verbs": ["get"]}
    ]


def test_readme_and_schema_are_those_of_the_values(chart: Path) -> None:
    values = (chart / "values.yaml").read_text()

    readme = (chart / "README.md").read_text()
    assert build_readme(readme, values) == readme
    assert build_schema_file(values) == (chart / "values.schema.json").read_text()
    assert build_time_zones() == (chart / "files" / "time-zones.txt").read_text()
    assert RULES.keys() <= {each.name for each in parse_values(values)}


def test_the_definition_is_the_contracts(render: Callable[..., Any]) -> None:
    assert render().find("CustomResourceDefinition")["spec"] == build_crd()["spec"]


def test_chart_and_distribution_have_one_version(chart: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    description = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert {description["version"], description["appVersion"]} == {project["version"]}


@pytest.mark.parametrize("part", ["api", "operator"])
def test_a_pod_starts_what_its_image_starts(render: Callable[..., Any], part: str) -> None:
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    stage = dockerfile.partition(f"FROM runtime AS {part}\n")[2].partition("\nFROM ")[0]

    container = render().find("Deployment", f"-{part}")["spec"]["template"]["spec"]["containers"][0]
    entrypoint = yaml.safe_load(stage.partition("ENTRYPOINT ")[2])
    assert container["command"] == [word for word in entrypoint if not word.startswith("--liveness")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("", None, id="as long as the sync may run"),
        pytest.param(None, None, id="left blank"),
        pytest.param(0, timedelta(0), id="for ever"),
        pytest.param(31_536_000, timedelta(days=365), id="a year"),
    ],
)
def test_the_limit_of_suspended_jobs_reaches_the_operator(
    render: Callable[..., Any], given: object, expected: timedelta | None
) -> None:
    environment = read_environment(render({"settings": {"suspendedSeconds": given}}), "operator")

    assert read_settings(environment)[0].reconciler.suspended_limit == expected


POD_VALUES: dict[str, Any] = {
    "jobLabels": {"kueue.x-k8s.io/queue-name": "batch"},
    "jobAnnotations": {"note": "job"},
    "podLabels": {"team": "estimates"},
    "podAnnotations": {"note": "pod"},
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [{"topologyKey": "kubernetes.io/hostname", "maxSkew": 1}],
    "runtimeClassName": "gvisor",
    "resources": {"limits": {"ephemeral-storage": "1Gi"}},
    "extraEnv": [{"name": "PGAPPNAME", "value": "$(POD_NAME)"}],
    "extraVolumes": [{"name": "certificate", "secret": {"secretName": "certificate"}}],
    "extraVolumeMounts": [{"name": "certificate", "mountPath": "/certificate"}],
    "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always", "args": ["--port=$(PORT)"]}],
}


def test_what_a_release_says_about_sync_pods_reaches_their_jobs(render: Callable[..., Any]) -> None:
    rendered = render({"commonLabels": {"owner": "crm", "team": "all"}, "sync": POD_VALUES})
    environment = read_environment(rendered, "operator")

    template = read_settings(environment)[0].job.template

    pod, container = template.pod.spec, template.pod.spec.container
    assert template.metadata.labels == {"owner": "crm", "team": "all", "kueue.x-k8s.io/queue-name": "batch"}
    assert template.pod.metadata.labels == {"owner": "crm", "team": "estimates"}
    assert (template.metadata.annotations, template.pod.metadata.annotations) == ({"note": "job"}, {"note": "pod"})
    assert (pod.affinity, pod.runtime_class_name) == (POD_VALUES["affinity"], "gvisor")
    assert [*pod.topology_spread_constraints] == POD_VALUES["topologySpreadConstraints"]
    assert ([*pod.init_containers], [*pod.volumes]) == (POD_VALUES["initContainers"], POD_VALUES["extraVolumes"])
    assert [*container.env] == POD_VALUES["extraEnv"]
    assert [*container.volume_mounts] == POD_VALUES["extraVolumeMounts"]
    assert container.resources == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "512Mi", "ephemeral-storage": "1Gi"},
    }
    # Kubernetes would replace it in a variable, by what the operator's own pod is called.
    assert "$" not in environment["SYNC_JOB_TEMPLATE"]


@pytest.mark.parametrize("given", ["cpuRequest", "memoryRequest", "memoryLimit"])
def test_old_names_of_resources_work(render: Callable[..., Any], given: str) -> None:
    rendered = render({"sync": {given: "1234Mi"}})

    resources = read_settings(read_environment(rendered, "operator"))[0].job.template.pod.spec.container.resources

    expected = {"cpuRequest": "100m", "memoryRequest": "128Mi", "memoryLimit": "512Mi", given: "1234Mi"}
    assert resources == {
        "requests": {"cpu": expected["cpuRequest"], "memory": expected["memoryRequest"]},
        "limits": {"memory": expected["memoryLimit"]},
    }
