"""What the chart makes of its values. That a real API server takes it is tried in tests/e2e/chart."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
import yaml
from estimatesync_api.app import create_app
from estimatesync_api.settings import parse_settings
from estimatesync_contract.names import JOB_LABEL_SELECTOR
from falcon.inspect import inspect_app

VERSION = version("estimatesync")

EVERYTHING: dict[str, Any] = {
    "api": {
        "autoscaling": {"enabled": True},
        "podLabels": {"team": "crm"},
        "extraEnv": [{"name": "EXTRA", "value": "1"}],
    },
    "admissionPolicy": {"enabled": True},
    "commonLabels": {"owner": "crm"},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["sync.test"]},
    "images": {"registry": "registry.test/team", "pullSecrets": ["registry"], "apiDigest": f"sha256:{'0' * 64}"},
    "ingress": {"enabled": True, "host": "sync.test", "tlsSecret": "sync-tls"},
    "metrics": {
        "dashboard": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "serviceMonitor": {"enabled": True},
    },
    "network": {"caConfigMap": "company-ca", "httpsProxy": "http://proxy.test:3128"},
    "networkPolicy": {"enabled": True},
    "tracing": {"endpoint": "http://collector.test:4318", "headersSecret": "collector"},
    "callback": {"allowedSecrets": ["other-webhook"]},
    "schedules": [{"name": "nightly", "cron": "0 3 * * *", "timeZone": "America/Chicago", "days": 7}],
    "sync": {
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "nodeSelector": {"pool": "batch", "zone": "a"},
        "jobLabels": {"kueue.x-k8s.io/queue-name": "batch"},
        "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
        "extraVolumes": [{"name": "proxy", "emptyDir": {}}],
    },
}
POLICY = "ValidatingAdmissionPolicy"
MAKE = {"make": "made-up-key-0123456789"}
LOGIN = {"apiKeys": {"existingSecret": "keys"}, "credentials": {"existingSecret": "login"}}
READ_ONLY = "READ_ONLY_API_KEYS_FILE"
PROFILES = [
    pytest.param({}, id="defaults"),
    pytest.param(EVERYTHING, id="every optional part"),
]


def list_faults(pod: dict[str, Any]) -> list[str]:
    """What the restricted Pod Security Standard forbids, of the things that a chart may get wrong."""
    security = pod["securityContext"]
    faults = [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    faults += [] if security["runAsNonRoot"] and security["runAsUser"] else ["root"]
    faults += [] if security["seccompProfile"] == {"type": "RuntimeDefault"} else ["seccomp"]
    faults += [
        volume["name"] for volume in pod.get("volumes", []) if not {"emptyDir", "configMap", "secret"} & volume.keys()
    ]
    for container in pod["containers"]:
        own = container["securityContext"]
        faults += [] if own["allowPrivilegeEscalation"] is False else ["privilege escalation"]
        faults += [] if own["capabilities"] == {"drop": ["ALL"]} else ["capabilities"]
        faults += [] if own["readOnlyRootFilesystem"] else ["a root that can be written"]
        faults += [] if container["resources"]["limits"]["memory"] else ["no memory limit"]
    return faults


@pytest.mark.parametrize("values", PROFILES)
def test_every_pod_is_restricted(render: Callable[..., Any], values: dict[str, Any]) -> None:
    rendered = render(values)

    parts = {"api", "operator", "test", *(each["name"] for each in values.get("schedules", []))}
    faults = {name: list_faults(pod) for name, pod in rendered.iterate_pods()}
    assert faults == {f"release-estimatesync-{part}": [] for part in parts}


@pytest.mark.parametrize("values", PROFILES)
def test_no_variable_is_set_twice(render: Callable[..., Any], values: dict[str, Any]) -> None:
    containers = [container for _, pod in render(values).iterate_pods() for container in pod["containers"]]

    for container in containers:
        names = [variable["name"] for variable in container["env"]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("values", PROFILES)
def test_secrets_are_in_secrets_alone(render: Callable[..., Any], values: dict[str, Any]) -> None:
    rendered = render(values)

    elsewhere = json.dumps([each for each in rendered.objects if each["kind"] != "Secret"])
    assert not re.search("made-up|whsec_", elsewhere)
    values_of_secrets = [text for each in rendered.list("Secret") for text in each["data"].values()]
    assert b"".join(map(base64.b64decode, values_of_secrets)).count(b"made-up") == 6


@pytest.mark.parametrize("values", PROFILES)
def test_nothing_is_cluster_wide_but_the_policy_and_the_definition_with_its_roles(
    render: Callable[..., Any], values: dict[str, Any]
) -> None:
    kinds = {each["kind"] for each in render(values).objects}

    assert not {"ClusterRoleBinding", "Namespace"} & kinds
    assert "ClusterRole" not in {each["kind"] for each in render({**values, "crd": {"enabled": False}}).objects}
    assert ("ValidatingAdmissionPolicy" in kinds) == bool(values)


def test_every_other_object_says_which_namespace_it_is_for(render: Callable[..., Any]) -> None:
    """Else `helm template | kubectl apply` would put it where the person happens to be, and bind no rights to it."""
    objects = render(EVERYTHING).objects

    cluster_wide = {each["kind"] for each in objects if "namespace" not in each["metadata"]}
    assert {each["metadata"].get("namespace", "estimates") for each in objects} == {"estimates"}
    assert cluster_wide == {"CustomResourceDefinition", "ClusterRole", POLICY, f"{POLICY}Binding"}


@pytest.mark.parametrize("values", PROFILES)
def test_no_object_of_the_release_is_taken_for_a_job_of_the_operator(
    render: Callable[..., Any], values: dict[str, Any]
) -> None:
    key, value = JOB_LABEL_SELECTOR.split("=")

    assert {each["metadata"]["labels"][key] for each in render(values).objects} == {"Helm"}
    assert value != "Helm"


def test_the_definition_outlives_the_release_unless_one_says_otherwise(render: Callable[..., Any]) -> None:
    kept = render().find("CustomResourceDefinition")["metadata"]["annotations"]
    thrown_away = render({"crd": {"keep": False}}).find("CustomResourceDefinition")["metadata"]

    assert kept == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in thrown_away
    assert render({"crd": {"enabled": False}}).list("CustomResourceDefinition") == []


@pytest.mark.parametrize("replicas", [1, 2])
def test_operators_of_two_versions_never_run_beside_each_other(render: Callable[..., Any], replicas: int) -> None:
    spec = render({"operator": {"replicas": replicas}}).find("Deployment", "-operator")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (replicas, {"type": "Recreate"})


def test_a_single_operator_keeps_no_node(render: Callable[..., Any]) -> None:
    spec = render().find("Deployment", "-operator")["spec"]

    assert spec["replicas"] == 1
    assert "topologySpreadConstraints" not in spec["template"]["spec"]
    assert [each["metadata"]["name"] for each in render().list("PodDisruptionBudget")] == ["release-estimatesync-api"]


@pytest.mark.parametrize(("version", "count"), [("v1.31.14-gke.1", 0), ("v1.32.0-eks-1", 2), ("v1.36.3", 2)])
def test_an_older_server_gets_no_selectable_fields(render: Callable[..., Any], version: str, count: int) -> None:
    (served,) = render({}, f"--kube-version={version}").find("CustomResourceDefinition")["spec"]["versions"]

    assert len(served.get("selectableFields", [])) == count


def test_the_clusters_own_roles_learn_of_syncs_as_long_as_there_is_the_definition(render: Callable[..., Any]) -> None:
    rendered = render()

    for name, grants in (("view", {"view", "edit", "admin"}), ("edit", {"edit", "admin"}), ("admin", {"admin"})):
        metadata = rendered.find("ClusterRole", f"estimatesyncs-{name}")["metadata"]
        labels = {label.rpartition("aggregate-to-")[2] for label in metadata["labels"] if "aggregate-to-" in label}
        assert labels == grants
        assert metadata["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert render({"rbac": {"aggregateClusterRoles": False}}).list("ClusterRole") == []
    assert "annotations" not in render({"crd": {"keep": False}}).find("ClusterRole", "-view")["metadata"]


def test_rights_and_accounts_may_be_yours(render: Callable[..., Any]) -> None:
    own = {"serviceAccount": {"create": False, "name": "mine"}}

    rendered = render({"rbac": {"create": False}, "operator": own, "sync": {"serviceAccount": {"name": "other"}}})

    assert rendered.list("Role") == rendered.list("RoleBinding") == []
    accounts = {each["metadata"]["name"]: each for each in rendered.list("ServiceAccount")}
    assert accounts.keys() == {"release-estimatesync-api", "other"}
    assert accounts["other"]["automountServiceAccountToken"] is False
    pod = rendered.find("Deployment", "-operator")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "mine"
    assert {"name": "SYNC_SERVICE_ACCOUNT", "value": "other"} in pod["containers"][0]["env"]


@pytest.mark.parametrize("part", ["api", "operator", "sync"])
def test_an_account_has_the_annotations_of_the_new_and_of_the_old_name(render: Callable[..., Any], part: str) -> None:
    values = {"serviceAccount": {"annotations": {"a": "1"}}, "serviceAccountAnnotations": {"a": "2", "b": "3"}}

    account = render({part: values}).find("ServiceAccount", f"-{part}")

    assert account["metadata"]["annotations"] == {"a": "1", "b": "3"}


def test_of_two_operators_no_drained_node_takes_both(render: Callable[..., Any]) -> None:
    chart = render({"operator": {"replicas": 2}})
    spec, budget = chart.find("Deployment", "-operator")["spec"], chart.find("PodDisruptionBudget", "-operator")["spec"]

    assert spec["replicas"] == 2
    assert (budget["maxUnavailable"], budget["selector"]) == (1, spec["selector"])
    spread = [each["topologyKey"] for each in spec["template"]["spec"]["topologySpreadConstraints"]]
    assert spread == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


LOST_NODE = {"node.kubernetes.io/not-ready": 30, "node.kubernetes.io/unreachable": 30}


@pytest.mark.parametrize("part", ["api", "operator"])
@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        pytest.param([], LOST_NODE, id="by default"),
        pytest.param([{"key": "batch", "operator": "Exists"}], {"batch": None, **LOST_NODE}, id="besides another"),
        pytest.param(
            [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 5}],
            {"node.kubernetes.io/not-ready": 5, "node.kubernetes.io/unreachable": 30},
            id="as one says",
        ),
        pytest.param([{"operator": "Exists"}], {None: None}, id="everything"),
    ],
)
def test_a_lost_node_is_left_soon(
    render: Callable[..., Any], part: str, tolerations: list[dict[str, Any]], seconds: dict[str | None, int | None]
) -> None:
    pod = render({part: {"tolerations": tolerations}}).find("Deployment", f"-{part}")["spec"]["template"]["spec"]

    assert {each.get("key"): each.get("tolerationSeconds") for each in pod["tolerations"]} == seconds


def test_an_autoscaler_decides_the_replicas_alone(render: Callable[..., Any]) -> None:
    assert render().find("Deployment", "-api")["spec"]["replicas"] == 2
    assert "replicas" not in render(EVERYTHING).find("Deployment", "-api")["spec"]


@pytest.mark.parametrize(
    ("values", "count"),
    [
        pytest.param({"replicas": 1}, 0, id="one replica"),
        pytest.param({"replicas": 3, "podDisruptionBudget": {"minAvailable": "50%"}}, 1, id="half of three"),
        pytest.param({"autoscaling": {"enabled": True, "minReplicas": 1}}, 0, id="one at night"),
    ],
)
def test_a_budget_never_keeps_the_last_replica_on_its_node(
    render: Callable[..., Any], values: dict[str, Any], count: int
) -> None:
    assert len(render({"api": values}).list("PodDisruptionBudget")) == count


def test_the_api_drains_before_it_ends_and_has_time_for_both(render: Callable[..., Any]) -> None:
    pod = render({"api": {"drainSeconds": 12}}).find("Deployment", "-api")["spec"]["template"]["spec"]

    (container,) = pod["containers"]
    assert "sleep(12)" in container["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert pod["terminationGracePeriodSeconds"] == 42


@pytest.mark.parametrize("release", ["a" * 53, "crm.estimates", "estimatesync"])
def test_every_object_has_a_name_that_kubernetes_takes_for_a_service(render: Callable[..., Any], release: str) -> None:
    rendered = render(EVERYTHING, release=release)

    names = [
        each["metadata"]["name"]
        for each in rendered.objects
        if each["kind"] not in {"CustomResourceDefinition", "ClusterRole", POLICY, f"{POLICY}Binding"}
    ]
    assert [name for name in names if not re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)] == []


def test_names_that_look_like_numbers_or_flags_stay_texts(render: Callable[..., Any]) -> None:
    names = {
        "apiKeys": {"existingSecret": "1"},
        "credentials": {"existingSecret": "2"},
        "callback": {"existingSecret": "3", "allowedSecrets": ["4"]},
        "images": {"pullSecrets": ["5"], "tag": "6"},
        "ingress": {"enabled": True, "host": "sync.test", "className": "7", "tlsSecret": "8"},
        "network": {"caConfigMap": "9"},
        "tracing": {"endpoint": "http://collector.test", "headersSecret": "10"},
        **{part: {"priorityClassName": "11", "nodeSelector": {"pool": "12"}} for part in ("api", "operator", "sync")},
        **{name: EVERYTHING[name] for name in ("admissionPolicy", "metrics", "networkPolicy")},
    }

    rendered = render(names, "--namespace=13", base={}, release="on")

    assert list(find_untexted(rendered.objects)) == []
    assert {each["metadata"].get("namespace", "13") for each in rendered.objects} == {"13"}


def find_untexted(value: Any, key: str = "") -> Iterator[str]:
    """Find names, labels and selectors that YAML takes for something else than a text."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from find_untexted(each, f"{key}/{name}")
    elif isinstance(value, list | tuple):
        for each in value:
            yield from find_untexted(each, key)
    elif re.search("(ame|amespace|instance|pool)$", key) and not isinstance(value, str):
        yield f"{key}: {value}"


def test_a_release_whose_name_begins_with_a_digit_must_name_its_objects(render: Callable[..., Any]) -> None:
    with pytest.raises(Exception, match="fullnameOverride: set a name"):
        render(release="2026")

    assert render({"fullnameOverride": "sync"}, release="2026").find("Service", "sync-api")


def test_images_are_named_by_registry_and_digest(render: Callable[..., Any]) -> None:
    pods = dict(render(EVERYTHING).iterate_pods())

    (api,), (operator,) = (pods[f"release-estimatesync-{part}"]["containers"] for part in ("api", "operator"))
    assert api["image"] == f"registry.test/team/estimatesync-api@sha256:{'0' * 64}"
    assert operator["image"] == f"registry.test/team/estimatesync-operator:{VERSION}"
    assert pods["release-estimatesync-api"]["imagePullSecrets"] == [{"name": "registry"}]


def test_secrets_of_yours_take_the_place_of_the_charts(render: Callable[..., Any]) -> None:
    names = {"apiKeys": "keys", "credentials": "login", "callback": "hook"}

    rendered = render({part: {"existingSecret": name} for part, name in names.items()}, base={})

    referenced = {
        variable["valueFrom"]["secretKeyRef"]["name"]
        for _, pod in rendered.iterate_pods()
        for container in pod["containers"]
        for variable in container["env"]
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    mounted = [
        volume["secret"]["secretName"]
        for _, pod in rendered.iterate_pods()
        for volume in pod.get("volumes", [])
        if "secret" in volume
    ]
    assert rendered.list("Secret") == []
    assert (referenced, mounted) == ({"keys"}, ["keys", "hook"])
    assert {"name": "SYNC_CREDENTIALS_SECRET", "value": "login"} in dict(rendered.iterate_pods())[
        "release-estimatesync-operator"
    ]["containers"][0]["env"]


SECRET_VALUES: dict[str, Any] = {
    "apiKeys": {"existingSecret": "keys", "existingReadOnly": True, "secretKeys": {"keys": "rw", "readOnlyKeys": "ro"}},
    "credentials": {"existingSecret": "login", "secretKeys": {"email": "user", "password": "pass"}},
    "database": {"existingSecret": {"name": "pg-app"}, "parameters": {"sslmode": "verify-full", "options": "-c a=b"}},
    "callback": {
        "existingSecret": "hook",
        "secretKeys": {"url": "target", "signingSecrets": "signatures", "makeApiKey": "make", "alertUrl": "alert"},
    },
}


def test_the_keys_of_your_secrets_are_called_what_you_say(render: Callable[..., Any]) -> None:
    rendered = render({**SECRET_VALUES, "admissionPolicy": {"enabled": True}}, base={})

    api, operator, test = (pod["containers"][0]["env"] for _, pod in rendered.iterate_pods())
    references = [each["valueFrom"]["secretKeyRef"] for each in (*operator, *test) if "secretKeyRef" in str(each)]
    assert [(each["name"], each["key"]) for each in references] == [("keys", "rw")]
    values = {each["name"]: each.get("value") for each in (*api, *operator)}
    places = "ATTIC_TECH_EMAIL=login/user,ATTIC_TECH_PASSWORD=login/pass,DATABASE_URL=pg-app/uri"
    assert values["SYNC_SECRET_KEYS"] == places
    files = {name: value.rpartition("/")[2] for name, value in values.items() if name.endswith("_FILE")}
    assert files == {
        "API_KEYS_FILE": "rw",
        "READ_ONLY_API_KEYS_FILE": "ro",
        "ESTIMATESYNC_API_KEY_FILE": "rw",
        "CALLBACK_SIGNING_SECRETS_FILE": "signatures",
        "MAKE_SYNC_CALLBACK_WEBHOOK_URL_FILE": "target",
        "CALLBACK_MAKE_API_KEY_FILE": "make",
        "MAKE_SYNC_ALERT_WEBHOOK_URL_FILE": "alert",
    }
    assert values["DATABASE_PARAMETERS"] == "options=-c%20a%3Db&sslmode=verify-full"
    (fixed,) = (each for each in rendered.find(POLICY)["spec"]["variables"] if each["name"] == "fixed")
    assert json.loads(fixed["expression"])["sync"]["DATABASE_URL"] == "Secret pg-app/uri"


@pytest.mark.parametrize(
    ("callback", "path"),
    [
        pytest.param({"url": ""}, "", id="no callbacks"),
        pytest.param(
            {"url": "https://hook.test/x"}, "/etc/estimatesync/callback/MAKE_SYNC_CALLBACK_WEBHOOK_URL", id="URL"
        ),
        pytest.param(
            {
                "url": "",
                "signingSecrets": [],
                "makeApiKey": "",
                "existingSecret": "hook",
                "secretKeys": {"url": "target"},
            },
            "/etc/estimatesync/callback/target",
            id="a Secret of yours",
        ),
    ],
)
def test_a_url_must_be_in_its_file_where_there_are_callbacks(
    render: Callable[..., Any], callback: dict[str, Any], path: str
) -> None:
    pod = render({"callback": callback}).find("Deployment", "-operator")["spec"]["template"]["spec"]

    (variable,) = (
        each for each in pod["containers"][0]["env"] if each["name"] == "MAKE_SYNC_CALLBACK_WEBHOOK_URL_FILE"
    )
    assert variable.get("value", "") == path


def test_the_webhook_of_alerts_is_a_secret_that_the_operator_reads_from_a_file(render: Callable[..., Any]) -> None:
    url = "https://hook.test/made-up-alert"
    release = render({"callback": {"alertUrl": url}, "settings": {"staleAfterHours": 74}})

    pod = release.find("Deployment", "-operator")["spec"]["template"]["spec"]
    values = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    secret = release.find("Secret", "-callback")["data"]
    assert values["MAKE_SYNC_ALERT_WEBHOOK_URL_FILE"] == "/etc/estimatesync/callback/MAKE_SYNC_ALERT_WEBHOOK_URL"
    assert base64.b64decode(secret["MAKE_SYNC_ALERT_WEBHOOK_URL"]).decode() == url
    assert values["STALE_AFTER_HOURS"] == "74"
    assert release.text.count("made-up-alert") == 0


HOST = {"enabled": True, "host": "sync.test", "tlsSecret": "tls"}
ROUTE = {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["sync.test"]}


@pytest.mark.parametrize(
    ("values", "url"),
    [
        pytest.param({}, "", id="not published"),
        pytest.param({"api": {"publicUrl": "http://sync.test:8080/"}}, "http://sync.test:8080", id="as it is set"),
        pytest.param({"ingress": HOST, "api": {"publicUrl": "https://x.test"}}, "https://x.test", id="set beside it"),
        pytest.param({"ingress": HOST}, "https://sync.test", id="an Ingress"),
        pytest.param({"ingress": {**HOST, "enabled": False}}, "", id="an Ingress that is off"),
        pytest.param({"ingress": {**HOST, "tlsSecret": ""}}, "", id="an Ingress without a certificate"),
        pytest.param({"ingress": {**HOST, "hosts": [{"host": "b.test"}]}}, "", id="two hosts"),
        pytest.param(
            {
                "ingress": {
                    "enabled": True,
                    "hosts": [{"host": "a.test", "paths": [{"path": "/api"}]}],
                    "tlsSecret": "t",
                }
            },
            "",
            id="a host without the page",
        ),
        pytest.param({"httpRoute": ROUTE}, "https://sync.test", id="a route"),
        pytest.param({"httpRoute": ROUTE, "ingress": HOST}, "https://sync.test", id="both, of one host"),
        pytest.param({"httpRoute": {**ROUTE, "hostnames": ["*.test"]}}, "", id="any host of a domain"),
        pytest.param({"httpRoute": {**ROUTE, "hostnames": []}}, "", id="any host"),
        pytest.param({"ingress": HOST, "api": {"statusPage": {"enabled": False}}}, "", id="no page"),
    ],
)
def test_both_parts_know_where_people_open_the_page_if_that_is_clear(
    render: Callable[..., Any], values: dict[str, Any], url: str
) -> None:
    release = render(values)

    pods = (release.find("Deployment", part)["spec"]["template"]["spec"] for part in ("estimatesync-api", "-operator"))
    variables = [each for pod in pods for each in pod["containers"][0]["env"] if each["name"] == "PUBLIC_URL"]
    assert [each.get("value", "") for each in variables] == [url, url]


def test_each_target_has_a_file_of_its_own_and_the_api_knows_only_its_name(render: Callable[..., Any]) -> None:
    targets = {"crm": {"name": "hooks", "key": "CRM_URL"}, "billing": {"name": "other", "key": "url"}}
    release = render({"callback": {"targets": targets}})
    api, operator = (
        release.find("Deployment", part)["spec"]["template"]["spec"] for part in ("estimatesync-api", "-operator")
    )

    told = {each["name"]: each.get("value") for pod in (api, operator) for each in pod["containers"][0]["env"]}
    folder = "/etc/estimatesync/callback-targets"
    assert told["CALLBACK_TARGET_NAMES"] == "billing,crm"
    assert told["CALLBACK_TARGETS"] == f"billing={folder}/billing,crm={folder}/crm"
    (volume,) = (each for each in operator["volumes"] if each["name"] == "callback-targets")
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "other", "items": [{"key": "url", "path": "billing"}], "optional": True}},
        {"secret": {"name": "hooks", "items": [{"key": "CRM_URL", "path": "crm"}], "optional": True}},
    ]
    (mount,) = (each for each in operator["containers"][0]["volumeMounts"] if each["name"] == "callback-targets")
    assert mount["mountPath"] == folder


def test_a_secret_of_the_chart_has_the_keys_that_its_parts_read(render: Callable[..., Any]) -> None:
    values = {
        part: {"secretKeys": SECRET_VALUES[part]["secretKeys"]} for part in ("apiKeys", "credentials", "callback")
    }

    keys = {each["metadata"]["name"]: each["data"].keys() for each in render(values).list("Secret")}

    assert keys == {
        "release-estimatesync-api-keys": {"rw"},
        "release-estimatesync-credentials": {"user", "pass", "DATABASE_URL"},
        "release-estimatesync-callback": {"target", "signatures", "make", "alert"},
    }


def test_new_secrets_restart_nothing(render: Callable[..., Any]) -> None:
    def read_templates(values: dict[str, Any]) -> list[Any]:
        rendered = render(values)
        return [rendered.find("Deployment", part)["spec"]["template"] for part in ("-api", "-operator")]

    before = read_templates({})

    assert read_templates({"apiKeys": {"keys": {"make": "another-made-up-key-01"}}}) == before
    assert read_templates({"callback": {"url": "https://hook.test/another"}}) == before


@pytest.mark.parametrize(
    ("keys", "files"),
    [
        pytest.param({"keys": MAKE}, [], id="none"),
        pytest.param({"keys": MAKE, "readOnlyKeys": {"look": "made-up-key" * 2}}, [READ_ONLY], id="of the values"),
        pytest.param({"existingSecret": "keys", "existingReadOnly": True}, [READ_ONLY], id="of your Secret"),
    ],
)
def test_a_file_of_read_only_keys_is_read_where_there_is_one(
    render: Callable[..., Any], keys: dict[str, Any], files: list[str]
) -> None:
    rendered = render({"apiKeys": keys}, base={"credentials": {"existingSecret": "login"}})

    (container,) = rendered.find("Deployment", "-api")["spec"]["template"]["spec"]["containers"]

    assert [each["name"] for each in container["env"] if each["name"] == READ_ONLY] == files


def test_the_hardened_profile_holds_no_secret_and_closes_the_network(render: Callable[..., Any], chart: Any) -> None:
    rendered = render({}, f"--values={chart / 'values-hardened.yaml'}", base={})

    assert rendered.list("Secret") == []
    assert len(rendered.list("NetworkPolicy")) == 3
    assert [list_faults(pod) for _, pod in rendered.iterate_pods()] == [[], [], []]


def test_a_closed_api_lets_in_helm_test_and_who_reads_the_metrics(render: Callable[..., Any]) -> None:
    callers, readers = ({"namespaceSelector": {"matchLabels": {"name": name}}} for name in ("ingress", "monitoring"))
    policy = {"enabled": True, "apiFrom": [callers], "metricsFrom": [readers]}

    rendered = render({"networkPolicy": policy})

    (rule,) = rendered.find("NetworkPolicy", "-api")["spec"]["ingress"]
    labels = rendered.find("Pod")["metadata"]["labels"]
    (test,) = [each["podSelector"]["matchLabels"] for each in rule["from"] if "podSelector" in each]
    assert [each for each in rule["from"] if "podSelector" not in each] == [callers, readers]
    assert test.items() <= labels.items()


@pytest.mark.parametrize(
    ("endpoint", "more"),
    [
        pytest.param("", set(), id="nowhere"),
        pytest.param("http://collector.test:4318", {4318}, id="a port"),
        pytest.param("http://collector.test/otlp", {80}, id="the port of http"),
        pytest.param("https://collector.test", set(), id="the port of https, which is open"),
    ],
)
def test_the_way_to_the_collector_is_open_for_every_part(
    render: Callable[..., Any], endpoint: str, more: set[int]
) -> None:
    usual = {"api": {53, 443, 6443}, "operator": {53, 443, 6443}, "sync": {53, 443, 5432}}

    rendered = render({"networkPolicy": {"enabled": True}, "tracing": {"endpoint": endpoint}})

    policies = {part: rendered.find("NetworkPolicy", f"-{part}")["spec"]["egress"] for part in usual}
    seen = {part: {each["port"] for rule in rules for each in rule["ports"]} for part, rules in policies.items()}
    assert seen == {part: ports | more for part, ports in usual.items()}


def test_the_ways_to_attic_tech_and_through_the_proxies_are_open_for_sync_pods(render: Callable[..., Any]) -> None:
    network = {"httpsProxy": "http://user:made%up@proxy.test:3128", "httpProxy": "http://proxy.test"}
    values = {"network": network, "sync": {"atticTechUrl": "https://attic.test:8443/path"}}

    rendered = render({**values, "networkPolicy": {"enabled": True, "dnsPorts": [5353]}})

    names, others = rendered.find("NetworkPolicy", "-sync")["spec"]["egress"]
    assert [each["port"] for each in others["ports"]] == [5432, 8443, 3128, 80]
    assert names["ports"] == [{"port": 5353, "protocol": protocol} for protocol in ("UDP", "TCP")]


def test_the_secret_of_the_collector_reaches_the_parts_and_the_jobs_by_name(render: Callable[..., Any]) -> None:
    tracing = {"endpoint": "http://collector.test:4318", "headersSecret": "collector"}

    rendered = render({"tracing": tracing, "admissionPolicy": {"enabled": True}})

    headers = {"secretKeyRef": {"name": "collector", "key": "OTEL_EXPORTER_OTLP_HEADERS", "optional": True}}
    pods = {name: pod["containers"][0]["env"] for name, pod in rendered.iterate_pods()}
    for part in ("api", "operator"):
        assert {"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": headers} in pods[f"release-estimatesync-{part}"]
    assert {"name": "SYNC_TRACE_HEADERS_SECRET", "value": "collector"} in pods["release-estimatesync-operator"]
    rules = {each["name"]: each["expression"] for each in rendered.find(POLICY)["spec"]["variables"]}
    assert "Secret collector/OTEL_EXPORTER_OTLP_HEADERS" in json.loads(rules["fixed"])["sync"].values()


@pytest.mark.parametrize("has_page", [True, False])
def test_the_outside_reaches_every_address_but_those_for_the_cluster(
    render: Callable[..., Any], *, has_page: bool
) -> None:
    settings = parse_settings({"API_KEYS": "made-up-key-0123456789", "STATUS_PAGE": str(has_page).lower()})
    unused_store: Any = None
    served = {route.path for route in inspect_app(create_app(settings, unused_store)).routes}

    rendered = render({**EVERYTHING, "api": {"statusPage": {"enabled": has_page}}})

    paths = rendered.find("Ingress")["spec"]["rules"][0]["http"]["paths"]
    published = {(each["path"], each["pathType"]) for each in paths}
    (rule,) = rendered.find("HTTPRoute")["spec"]["rules"]
    same = {(each["path"]["value"], each["path"]["type"].removeprefix("Path")) for each in rule["matches"]}
    left = {
        address
        for address in served
        if not any(address == path or (kind == "Prefix" and address.startswith(f"{path}/")) for path, kind in published)
    }
    assert (same, left) == (published, {"/metrics", "/readyz"})
    assert len(rule["matches"]) <= 8, "more, a Gateway may refuse"


ON = {"enabled": True}
BACKWARDS = {**ON, "minReplicas": 6}


def test_large_numbers_are_written_as_whole_ones(render: Callable[..., Any]) -> None:
    rendered = render({"api": {"requestsPerMinute": 1_000_000}, "settings": {"ttlSecondsAfterFinished": 31_536_000}})

    assert '"1000000"' in rendered.text
    assert '"31536000"' in rendered.text


def test_what_is_left_blank_is_empty(render: Callable[..., Any]) -> None:
    blank = {"images": {"registry": None}, "apiKeys": {"readOnlyKeys": None}, "callback": {"makeApiKey": None}}

    rendered = [render(values, base=LOGIN) for values in (blank, {})]

    apis = [each.find("Deployment", "-api") for each in rendered]
    assert apis[0] == apis[1]


def test_a_chart_of_charts_may_have_this_one_under_a_condition(render: Callable[..., Any]) -> None:
    assert render({"enabled": True}).find("Deployment", "-api")


TWICE = [{"name": "EXTRA", "value": "1"}, {"name": "EXTRA", "value": "2"}]
OWN_MEMORY = {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}
ANOTHER_NAME = {"app.kubernetes.io/name": "other"}
REFUSALS = [
    pytest.param(
        {"images": {"registry": "https://registry.test"}}, "'/images/registry'", id="an address with a scheme"
    ),
    pytest.param({"images": {"tag": "v1:2"}}, "'/images/tag'", id="no tag"),
    pytest.param({"ingress": {"host": "https://sync.test/"}}, "'/ingress/host'", id="an address for a host"),
    pytest.param({"httpRoute": {"timeout": "1 hour"}}, "'/httpRoute/timeout'", id="no duration"),
    pytest.param({"tracing": {"headersSecret": "My Secret"}}, "'/tracing/headersSecret'", id="no name of a Secret"),
    pytest.param(
        {"commonLabels": ANOTHER_NAME}, "'/commonLabels/app.kubernetes.io~1name'", id="a label of the chart's own"
    ),
    pytest.param({"api": {"podLabels": {"team": "a b"}}}, "'/api/podLabels/team'", id="no label"),
    pytest.param({"api": {"extraEnv": [{"value": "x"}]}}, "'/api/extraEnv/0'", id="a variable without a name"),
    pytest.param({"api": {"extraEnv": [{"name": "A", "value": 1}]}}, "'/api/extraEnv/0/value'", id="no text"),
    pytest.param({"operator": {"extraEnv": TWICE}}, "operator.extraEnv must not set EXTRA", id="two of a name"),
    pytest.param({"api": None}, "at '': missing property 'api'", id="a section whose lines are all comments"),
    pytest.param({"networkPolicy": {"dnsPorts": None}}, "missing property 'dnsPorts'", id="a default taken away"),
    pytest.param({"networkPolicy": {"syncPorts": []}}, "'/networkPolicy/syncPorts': minItems", id="all ports"),
    pytest.param({"fullnameOverride": "My_Sync"}, "'/fullnameOverride'", id="no name for a Service"),
    pytest.param({"tracing": {"endpoint": "collector:4318"}}, "'/tracing/endpoint'", id="no address"),
    pytest.param({"tracing": {"endpoint": "http://a:b@c"}}, "'/tracing/endpoint'", id="a secret in an address"),
    pytest.param({"tracing": {"sampler": "some"}}, "'/tracing/sampler'", id="no sampler"),
    pytest.param({"api": {"replica": 3}}, "at '/api': additional properties 'replica' not allowed", id="a typo"),
    pytest.param({"settings": {"maxActiveSyncs": 0}}, "'/settings/maxActiveSyncs': minimum", id="no sync could run"),
    pytest.param({"apiKeys": {"keys": {"make": "short"}}}, "'/apiKeys/keys/make': minLength", id="a short key"),
    pytest.param({"sync": {"logFormat": "xml"}}, "must be one of 'text', 'json'", id="an unknown format"),
    pytest.param({"ingress": {"enabled": True}}, "ingress.host: set the host name", id="an Ingress without a host"),
    pytest.param({"callback": {"existingSecret": "x"}}, "alertUrl belong in the existing", id="two callbacks"),
    pytest.param({"apiKeys": {"existingSecret": "x"}}, "readOnlyKeys belong in the existing", id="keys twice"),
    pytest.param({"credentials": {"existingSecret": "x"}}, "databaseUrl belong in the existing", id="two logins"),
    pytest.param(
        {"database": {"existingSecret": {"name": "pg"}}}, "database.existingSecret has the URL", id="two URLs"
    ),
    pytest.param({"database": {"parameters": {"password": "x"}}}, "'password' not allowed", id="no parameter"),
    pytest.param({"credentials": {"secretKeys": {"email": "a/b"}}}, "'/credentials/secretKeys/email'", id="no key"),
    pytest.param(
        {"credentials": {"secretKeys": {"email": "a", "password": "a"}}},
        "credentials.secretKeys: two of them are the same",
        id="one key for two",
    ),
    pytest.param({"apiKeys": {"existingReadOnly": True}}, "apiKeys.existingReadOnly: it needs", id="keys of no Secret"),
    pytest.param(
        {"apiKeys": {"readOnlyKeys": MAKE}}, "name must not be in keys and in readOnlyKeys", id="one key twice"
    ),
    pytest.param({"callback": {"url": "http://hook.test"}}, "does not start with https://", id="an open callback"),
    pytest.param({"api": {"publicUrl": "https://a.test/sync"}}, "'/api/publicUrl'", id="a page below a path"),
    pytest.param({"api": {"publicUrl": "https://a.test:65536"}}, "'/api/publicUrl'", id="a page at no port"),
    pytest.param({"api": {"publicUrl": "https://a<b>"}}, "'/api/publicUrl'", id="a page of no host"),
    pytest.param(
        {"api": {"publicUrl": "https://a.test", "statusPage": {"enabled": False}}},
        "api.publicUrl: it is the address of the status page",
        id="no page at that address",
    ),
    pytest.param(
        {"callback": {"targets": {"Billing": {"name": "a", "key": "b"}}}},
        "'/callback/targets'",
        id="no name of a target",
    ),
    pytest.param({"callback": {"targets": {"crm": {"name": "a"}}}}, "'/callback/targets/crm'", id="a target's key"),
    pytest.param({"metrics": {"port": 8080}}, "metrics.port: operator.port is the same", id="one port for two"),
    pytest.param({"metrics": {"port": 0, "prometheusRule": ON}}, "operator is absent", id="alerts without metrics"),
    pytest.param({"metrics": {"port": 0, "serviceMonitor": ON}}, "a ServiceMonitor needs", id="no port to scrape"),
    pytest.param({"sync": {"databaseSchema": "pg_sync"}}, "'/sync/databaseSchema'", id="a schema of PostgreSQL's own"),
    pytest.param({"sync": {"tolerations": [{"opertor": "Exists"}]}}, "'/sync/tolerations/0'", id="a typo far below"),
    pytest.param(
        {"sync": {"resources": {"limits": {"memory": "512 MB"}}}}, "'/sync/resources/limits/memory'", id="no quantity"
    ),
    pytest.param({"sync": {"resources": {"limit": {}}}}, "'limit' not allowed", id="no resources"),
    pytest.param(
        {"sync": {"memoryLimit": "1Gi", "resources": {"limits": {"memory": "2Gi"}}}},
        "sync.memoryLimit: it is the old name of sync.resources.limits.memory, which says something else",
        id="two limits",
    ),
    pytest.param({"sync": {"jobLabels": ANOTHER_NAME}}, "'/sync/jobLabels/app", id="a job that is not found"),
    pytest.param({"sync": {"initContainers": [{"name": "proxy"}]}}, "missing property 'image'", id="no image"),
    pytest.param({"sync": {"extraVolumes": [{"secret": {}}]}}, "'/sync/extraVolumes/0'", id="a volume of no name"),
    pytest.param(
        {"sync": {"extraVolumeMounts": [{"name": "a", "mountpath": "/a"}]}},
        "'/sync/extraVolumeMounts/0'",
        id="a mount with a typo",
    ),
    pytest.param(
        {"admissionPolicy": {"enabled": True}, "sync": {"extraVolumes": [{"name": "node", "hostPath": {"path": "/"}}]}},
        "persistentVolumeClaim and csi; node is none of these",
        id="a volume that the policy refuses",
    ),
    pytest.param(
        {"admissionPolicy": {"enabled": True}, "sync": {"extraEnv": [OWN_MEMORY]}},
        "sync.extraEnv: admissionPolicy.enabled allows value, secretKeyRef, configMapKeyRef and fieldRef; the variable",
        id="a variable that the policy refuses",
    ),
    pytest.param(
        {
            "admissionPolicy": {"enabled": True},
            "sync": {"initContainers": [{"name": "proxy", "image": "proxy:1", "env": [OWN_MEMORY]}]},
        },
        "sync.initContainers: proxy: admissionPolicy.enabled allows value",
        id="a variable of an init container that the policy refuses",
    ),
    pytest.param(
        {
            "admissionPolicy": {"enabled": True},
            "sync": {
                "initContainers": [{"name": "proxy", "image": "proxy:1", "envFrom": [{"secretRef": {"name": "a"}}]}]
            },
        },
        "sync.initContainers: proxy has envFrom, which admissionPolicy.enabled refuses",
        id="variables that the policy refuses",
    ),
    pytest.param({"api": {"serviceAccount": {"create": False}}}, "name the account that exists", id="no account"),
    pytest.param(
        {"sync": {"serviceAccount": {"name": "release-estimatesync-operator"}}},
        "it is the account of operator, whose rights sync pods must not have",
        id="rights for sync pods",
    ),
    pytest.param({"test": {"url": "sync.test"}}, "'/test/url'", id="a host for an address"),
    pytest.param({"metrics": {"prometheusRule": {"runbookUrl": "a b"}}}, "'/metrics/prometheusRule", id="no link"),
    pytest.param({"api": {"service": {"nodePort": 30080}}}, "set api.service.type to NodePort", id="a port of no node"),
    pytest.param({"api": {"autoscaling": BACKWARDS}}, "minReplicas: more than maxReplicas", id="more than at most"),
    pytest.param(
        {"api": {"autoscaling": {**ON, "targetCPUUtilizationPercentage": 80}, "resources": None}},
        "autoscaler measures utilization",
        id="no measure",
    ),
    pytest.param({"api": {"podDisruptionBudget": {"minAvailable": 2}}}, "less than the 2 replicas", id="no drain"),
    pytest.param({"api": {"podDisruptionBudget": {"minAvailable": "51%"}}}, "less than the 2", id="no drain by half"),
    pytest.param(
        {"api": {"extraEnv": [{"name": "BIND", "value": "x"}]}}, "api.extraEnv must not set BIND", id="a name twice"
    ),
]


@pytest.mark.parametrize(("values", "words"), REFUSALS)
def test_a_value_that_cannot_work_is_refused_with_its_path(
    render: Callable[..., Any], values: dict[str, Any], words: str
) -> None:
    with pytest.raises(Exception, match=re.escape(words)):
        render(values)


SECRET = "made up, and never to be shown"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"apiKeys": {"keys": {"make": SECRET}}}, "apiKeys.keys.make: use printable", id="a key"),
        pytest.param({"apiKeys": {"readOnlyKeys": {"look": SECRET}}}, "apiKeys.readOnlyKeys.look:", id="another key"),
        pytest.param({"credentials": {"databaseUrl": SECRET}}, "credentials.databaseUrl: it does", id="a database"),
        pytest.param({"callback": {"url": SECRET}}, "callback.url: it does not start", id="a webhook"),
        pytest.param({"callback": {"alertUrl": SECRET}}, "callback.alertUrl: it does not start", id="one of alerts"),
        pytest.param(
            {"callback": {"signingSecrets": [SECRET]}}, "callback.signingSecrets[0]: use whsec_", id="a signature"
        ),
        pytest.param({"callback": {"makeApiKey": f"{SECRET}\n"}}, "callback.makeApiKey: use one line", id="two lines"),
        pytest.param({"callback": {"signingSecrets": ["whsec_x"]}}, "signingSecrets[0]", id="a short signature"),
    ],
)
def test_a_secret_that_cannot_work_is_refused_without_being_quoted(
    render: Callable[..., Any], values: dict[str, Any], words: str
) -> None:
    with pytest.raises(Exception, match=re.escape(words)) as refusal:
        render(values)

    assert SECRET not in str(refusal.value)


def test_an_admission_policy_is_refused_where_the_cluster_knows_none(render: Callable[..., Any]) -> None:
    with pytest.raises(Exception, match=r"needs Kubernetes 1\.30, and this is v1\.29\.4"):
        render({"admissionPolicy": ON}, "--kube-version=1.29.4-gke.1")

    assert render({"admissionPolicy": ON}, "--kube-version=1.30.0-gke.1").find(POLICY)


def test_all_that_is_missing_is_reported_together(render: Callable[..., Any]) -> None:
    with pytest.raises(Exception, match=r"apiKeys: .*\n.*credentials\.email.*\n.*password.*\n.*databaseUrl"):
        render({}, base={})


def test_the_notes_name_three_commands(render: Callable[..., Any], chart: Any) -> None:
    notes = (chart / "templates" / "NOTES.txt").read_text()

    assert [line.strip()[:2] for line in notes.splitlines() if re.match(r"  \d\. ", line)] == ["1.", "2.", "3."]
    assert render().find("Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"


@pytest.mark.parametrize("version", ["v1.31.14", "v1.31.5-eks-4096722", "v1.29.4-gke.1043002", "v1.26.0"])
def test_the_notes_warn_on_a_cluster_that_is_older_than_what_is_tested(
    render_notes: Callable[..., str], version: str
) -> None:
    notes = render_notes(f"--kube-version={version}")

    assert f"WARNING: this cluster runs Kubernetes {version}, and EstimateSync is tested with 1.32 and newer." in notes
    assert "docs/install.md" in notes


@pytest.mark.parametrize("version", ["v1.32.0", "v1.32.0-gke.1", "v1.32.13-eks-4096722", "v1.36.3", "v1.50.0"])
def test_the_notes_do_not_warn_on_any_other_cluster(render_notes: Callable[..., str], version: str) -> None:
    notes = render_notes(f"--kube-version={version}")

    assert "is installed in" in notes
    assert "WARNING" not in notes


def test_the_notes_say_how_to_read_the_keys_and_what_is_open(render_notes: Callable[..., str]) -> None:
    notes = render_notes("--set=callback.allowHttp=true,sync.atticTechUrl=http://attic.test")

    assert "kubectl get secret release-estimatesync-api-keys --namespace estimates" in notes
    assert "jsonpath='{.data.API_KEYS}' | base64 --decode" in notes
    for words in ("networkPolicy.enabled is off", "are among the values", "sent unencrypted", "which starts no sync"):
        assert words in notes
    assert "made-up" not in notes
    assert "with a real sync" in render_notes("--set=test.mode=round-trip")


def test_the_notes_of_the_hardened_profile_warn_of_nothing(render_notes: Callable[..., str], chart: Any) -> None:
    assert "Open, and" not in render_notes(f"--values={chart / 'values-hardened.yaml'}", base={})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param([], "", id="all have one"),
        pytest.param(["--set=callback.url="], "No callbacks are sent: callback.url is empty.", id="none has one"),
        pytest.param(
            ["--set=callback.url=,callback.targets.crm.name=a,callback.targets.crm.key=b"],
            "Callbacks are sent only where a request names one of crm: callback.url is empty.",
            id="those that name one",
        ),
    ],
)
def test_the_notes_say_which_syncs_have_a_callback(
    render_notes: Callable[..., str], values: list[str], said: str
) -> None:
    lines = [line for line in render_notes(*values).splitlines() if "callback.url is empty" in line]

    assert lines == [said] * bool(said)


def test_the_notes_name_what_is_called_otherwise_now(render_notes: Callable[..., str]) -> None:
    assert "Old names" not in render_notes()

    notes = render_notes("--set=sync.memoryLimit=1Gi,sync.cpuRequest=250m,api.serviceAccountAnnotations.a=b")

    assert "sync.memoryLimit is sync.resources.limits.memory now" in notes
    assert "sync.cpuRequest is sync.resources.requests.cpu now" in notes
    assert "api.serviceAccountAnnotations is api.serviceAccount.annotations now" in notes


def test_a_cluster_whose_jobs_know_no_failure_policy_is_refused(render: Callable[..., Any]) -> None:
    with pytest.raises(Exception, match=r"kubeVersion: >=1\.26\.0-0 which is incompatible with Kubernetes v1\.25\.16"):
        render({}, "--kube-version=v1.25.16-gke.1")


def test_the_dashboard_asks_for_metrics_that_there_are(render: Callable[..., Any], metric_names: set[str]) -> None:
    rendered = render(EVERYTHING)

    dashboard = json.loads(rendered.find("ConfigMap", "-dashboard")["data"]["estimatesync.json"])
    asked = set(re.findall(r"estimatesync_\w+", json.dumps(dashboard["panels"])))
    assert asked
    assert asked - metric_names == set()


def test_every_alert_asks_for_metrics_that_there_are_and_has_a_runbook(
    render: Callable[..., Any], metric_names: set[str], runbooks: str
) -> None:
    rules = render(EVERYTHING).find("PrometheusRule")["spec"]

    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert (
        set(re.findall(r"estimatesync_\w+", yaml.safe_dump([rule["expr"] for rule in alerts]))) - metric_names == set()
    )
    assert [rule["alert"] for rule in alerts if f"\n## {rule['alert']}\n" not in runbooks] == []
    assert all('namespace="estimates"' in rule["expr"] for rule in alerts)
