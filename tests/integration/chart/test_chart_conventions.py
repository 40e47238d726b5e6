"""What users of other charts take for granted: images, names, pods, Services and monitoring as they want them."""

import json
import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
import yaml
from estimatesync_chart.value_rules import ALERTS
from estimatesync_contract.names import ACTOR_ANNOTATIONS, ANNOTATION_REDELIVER, ANNOTATION_SUSPENDED_BY

VERSION = version("estimatesync")

DIGEST = f"sha256:{'1' * 64}"
PARTS = ("api", "operator")
RULES = {"metrics": {"prometheusRule": {"enabled": True}}}


def find_pod(rendered: Any, part: str) -> dict[str, Any]:
    return dict(rendered.find("Deployment", f"-{part}")["spec"]["template"])


def read_variables(rendered: Any, part: str) -> dict[str, str]:
    (container, *_) = find_pod(rendered, part)["spec"]["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def read_template(rendered: Any) -> dict[str, Any]:
    """What the operator adds to the job of every sync."""
    return dict(json.loads(read_variables(rendered, "operator")["SYNC_JOB_TEMPLATE"])["spec"]["template"])


@pytest.mark.parametrize(
    ("values", "api", "sync"),
    [
        pytest.param({}, f"estimatesync-api:{VERSION}", f"estimatesync-sync:{VERSION}", id="as built"),
        pytest.param(
            {"images": {"registry": "r.test/team", "tag": "1"}, "api": {"image": {"tag": "2"}}},
            "r.test/team/estimatesync-api:2",
            "r.test/team/estimatesync-sync:1",
            id="a tag of its own",
        ),
        pytest.param(
            {"images": {"registry": "r.test"}, "global": {"imageRegistry": "mirror.test:5000/"}},
            f"mirror.test:5000/estimatesync-api:{VERSION}",
            f"mirror.test:5000/estimatesync-sync:{VERSION}",
            id="the registry of a chart of charts",
        ),
        pytest.param(
            {"sync": {"image": {"repository": "elsewhere.test/crm/sync", "digest": DIGEST}}},
            f"estimatesync-api:{VERSION}",
            f"elsewhere.test/crm/sync@{DIGEST}",
            id="a repository and a digest",
        ),
        pytest.param(
            {"images": {"syncDigest": DIGEST}},
            f"estimatesync-api:{VERSION}",
            f"estimatesync-sync@{DIGEST}",
            id="an old name",
        ),
    ],
)
def test_each_part_has_an_image_of_its_own(
    render: Callable[..., Any], values: dict[str, Any], api: str, sync: str
) -> None:
    rendered = render(values)

    assert find_pod(rendered, "api")["spec"]["containers"][0]["image"] == api
    assert read_variables(rendered, "operator")["SYNC_IMAGE"] == sync


def test_a_part_may_have_a_pull_policy_of_its_own(render: Callable[..., Any]) -> None:
    rendered = render({"images": {"pullPolicy": "Always"}, "sync": {"image": {"pullPolicy": "Never"}}})

    assert find_pod(rendered, "api")["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert read_variables(rendered, "operator")["SYNC_IMAGE_PULL_POLICY"] == "Never"


def test_pull_secrets_are_names_or_objects(render: Callable[..., Any]) -> None:
    secrets = {"images": {"pullSecrets": ["one", {"name": "two"}]}, "global": {"imagePullSecrets": [{"name": "all"}]}}

    rendered = render(secrets)

    assert find_pod(rendered, "api")["spec"]["imagePullSecrets"] == [{"name": name} for name in ("all", "one", "two")]
    assert read_variables(rendered, "operator")["SYNC_IMAGE_PULL_SECRETS"] == "all,one,two"


def test_names_and_namespace_may_be_others(render: Callable[..., Any]) -> None:
    rendered = render({"nameOverride": "esync", "namespaceOverride": "elsewhere", **RULES})

    assert {each["metadata"].get("namespace", "elsewhere") for each in rendered.objects} == {"elsewhere"}
    deployment = rendered.find("Deployment", "release-esync-api")
    assert deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == "esync"
    subjects = [each["subjects"][0]["namespace"] for each in rendered.list("RoleBinding")]
    assert subjects == ["elsewhere", "elsewhere"]
    assert 'namespace="elsewhere"' in json.dumps(rendered.find("PrometheusRule")).replace("\\", "")


@pytest.mark.parametrize(
    ("openshift", "arguments", "is_left"),
    [
        pytest.param("auto", (), False, id="another cluster"),
        pytest.param("auto", ("--api-versions=security.openshift.io/v1",), True, id="found out"),
        pytest.param(True, (), True, id="said"),
        pytest.param(False, ("--api-versions=security.openshift.io/v1",), False, id="denied"),
    ],
)
def test_openshift_chooses_the_users_of_pods(
    render: Callable[..., Any], openshift: object, arguments: tuple[str, ...], *, is_left: bool
) -> None:
    rendered = render({"openshift": openshift}, *arguments)

    pods = [pod["securityContext"] for _, pod in rendered.iterate_pods()]
    assert [("runAsUser" in each, "fsGroup" in each) for each in pods] == [(not is_left, not is_left)] * 3
    assert all(each["runAsNonRoot"] and each["seccompProfile"] for each in pods)
    sync = read_template(rendered)["spec"]["securityContext"]
    assert sync == ({"runAsUser": None, "runAsGroup": None} if is_left else {})


@pytest.mark.parametrize("part", PARTS)
def test_a_pod_may_have_more_and_other_security(render: Callable[..., Any], part: str) -> None:
    values = {
        "podSecurityContext": {"runAsUser": 1234, "fsGroup": None},
        "securityContext": {"readOnlyRootFilesystem": False},
        "initContainers": [{"name": "before", "image": "i:1"}],
        "extraContainers": [{"name": "beside", "image": "i:1"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "terminationGracePeriodSeconds": 99,
        "revisionHistoryLimit": 2,
        "deploymentAnnotations": {"reloader": "on"},
        "livenessProbe": {"periodSeconds": 33},
        "readinessProbe": {"failureThreshold": 9},
    }

    deployment = render({part: values}).find("Deployment", f"-{part}")

    pod = deployment["spec"]["template"]["spec"]
    own, beside = pod["containers"]
    assert (deployment["spec"]["revisionHistoryLimit"], deployment["metadata"]["annotations"]) == (
        2,
        {"reloader": "on"},
    )
    assert (pod["terminationGracePeriodSeconds"], pod["securityContext"]["runAsUser"]) == (99, 1234)
    assert "fsGroup" not in pod["securityContext"]
    assert (pod["initContainers"][0]["name"], beside["name"]) == ("before", "beside")
    assert own["securityContext"]["readOnlyRootFilesystem"] is False
    assert own["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["volumes"][-1]["name"] == own["volumeMounts"][-1]["name"] == "more"
    assert (own["livenessProbe"]["periodSeconds"], own["livenessProbe"]["timeoutSeconds"]) == (33, 5)
    assert own["readinessProbe"]["failureThreshold"] == 9


@pytest.mark.parametrize("part", PARTS)
def test_a_new_version_of_the_chart_alone_replaces_no_pod(render: Callable[..., Any], part: str) -> None:
    labels = find_pod(render({"commonLabels": {"team": "crm"}}), part)["metadata"]["labels"]

    assert labels["team"] == "crm"
    assert "helm.sh/chart" not in labels


def test_a_label_of_the_pods_wins_over_a_common_one(render: Callable[..., Any]) -> None:
    rendered = render({"commonLabels": {"team": "crm"}, "api": {"podLabels": {"team": "web"}}})

    assert find_pod(rendered, "api")["metadata"]["labels"]["team"] == "web"


def test_the_service_is_what_the_cloud_wants(render: Callable[..., Any]) -> None:
    wanted = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "loadBalancerClass": "example.com/internal",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "ipFamilyPolicy": "PreferDualStack",
        "ipFamilies": ["IPv6", "IPv4"],
    }

    assert wanted.items() <= render({"api": {"service": wanted}}).find("Service", "-api")["spec"].items()


def test_an_ingress_has_any_hosts_and_paths(render: Callable[..., Any]) -> None:
    hosts = [{"host": "b.test"}, {"host": "c.test", "paths": [{"path": "/crm", "pathType": "Exact"}]}]
    tls = [{"hosts": ["b.test", "c.test"], "secretName": "bc"}]
    ingress = {"enabled": True, "host": "a.test", "tlsSecret": "a", "hosts": hosts, "tls": tls}

    spec = render({"ingress": ingress}).find("Ingress")["spec"]

    first, second, third = spec["rules"]
    assert [each["host"] for each in spec["rules"]] == ["a.test", "b.test", "c.test"]
    assert first["http"] == second["http"]
    assert [(each["path"], each["pathType"]) for each in third["http"]["paths"]] == [("/crm", "Exact")]
    assert spec["tls"] == [{"hosts": ["a.test"], "secretName": "a"}, *tls]


def test_a_budget_may_say_how_many_may_be_missing(render: Callable[..., Any]) -> None:
    budget = render({"api": {"podDisruptionBudget": {"maxUnavailable": "50%"}}}).find("PodDisruptionBudget")["spec"]

    assert budget["maxUnavailable"] == "50%"
    assert "minAvailable" not in budget


@pytest.mark.parametrize(
    ("values", "target"),
    [
        pytest.param({}, {"type": "AverageValue", "averageValue": "500m"}, id="half a core"),
        pytest.param(
            {"targetCPUUtilizationPercentage": 80},
            {"type": "Utilization", "averageUtilization": 80},
            id="a part of the request",
        ),
    ],
)
def test_replicas_follow_the_processor_that_they_use(
    render: Callable[..., Any], values: dict[str, Any], target: dict[str, Any]
) -> None:
    scaler = render({"api": {"autoscaling": {"enabled": True, **values}}}).find("HorizontalPodAutoscaler")

    assert scaler["spec"]["metrics"][0]["resource"]["target"] == target


def test_scraping_is_as_the_cluster_wants_it(render: Callable[..., Any]) -> None:
    relabelings = [{"targetLabel": "cluster", "replacement": "one"}]
    monitor = {"enabled": True, "scrapeTimeout": "5s", "relabelings": relabelings, "metricRelabelings": relabelings}

    for each in render({"metrics": {"serviceMonitor": monitor}}).list("ServiceMonitor"):
        (endpoint,) = each["spec"]["endpoints"]
        assert (endpoint["scrapeTimeout"], endpoint["interval"]) == ("5s", "30s")
        assert endpoint["relabelings"] == endpoint["metricRelabelings"] == relabelings


def test_alerts_have_other_labels_thresholds_and_addresses_or_are_left_out(render: Callable[..., Any]) -> None:
    changes = {
        "EstimateSyncFailed": {"threshold": 3, "for": "30m", "severity": "info"},
        "EstimateSyncDefect": {"enabled": False},
    }
    values = {"enabled": True, "ruleLabels": {"team": "crm"}, "alerts": changes, "runbookUrl": "https://r.test/alerts"}

    (group,) = render({"metrics": {"prometheusRule": values}}).find("PrometheusRule")["spec"]["groups"]

    rules = {each["alert"]: each for each in group["rules"]}
    assert set(ALERTS) - rules.keys() == {"EstimateSyncDefect"}
    failed = rules["EstimateSyncFailed"]
    assert (failed["labels"], failed["for"]) == ({"severity": "info", "team": "crm"}, "30m")
    assert failed["expr"].count("> 3") == 2
    assert failed["annotations"]["runbook_url"] == "https://r.test/alerts#estimatesyncfailed"
    stuck = rules["EstimateSyncQueueStuck"]
    assert (stuck["labels"]["severity"], stuck["for"]) == ("critical", "15m")


@pytest.mark.parametrize(
    ("hours", "ends"),
    [pytest.param(26, "> 26 * 3600", id="as usual"), pytest.param(100, "> 100 * 3600", id="longer")],
)
def test_a_silence_is_as_long_as_the_release_says(render: Callable[..., Any], hours: int, ends: str) -> None:
    (group,) = render({**RULES, "settings": {"staleAfterHours": hours}}).find("PrometheusRule")["spec"]["groups"]

    (rule,) = (each for each in group["rules"] if each["alert"] == "EstimateSyncStale")
    assert rule["expr"].endswith(ends)


def test_silence_is_no_alert_where_it_is_switched_off(render: Callable[..., Any]) -> None:
    (group,) = render({**RULES, "settings": {"staleAfterHours": 0}}).find("PrometheusRule")["spec"]["groups"]

    assert set(ALERTS) - {each["alert"] for each in group["rules"]} == {"EstimateSyncStale"}


def test_alerts_link_nowhere_unless_runbooks_are_published(render: Callable[..., Any], chart: Any) -> None:
    (group,) = render(RULES).find("PrometheusRule")["spec"]["groups"]

    assert all("runbook_url" not in each["annotations"] for each in group["rules"])
    # The rules of a default release are those of the file, which tests try in a real Prometheus.
    (ours,) = yaml.safe_load((chart / "files" / "alerts.yaml").read_text())["groups"]
    assert [each["alert"] for each in ours["rules"]] == list(ALERTS) == [each["alert"] for each in group["rules"]]


def test_a_release_may_have_objects_of_yours(render: Callable[..., Any]) -> None:
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}},
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "{{ include "estimatesync.fullname" . }}-text"}',
    ]

    names = [each["metadata"]["name"] for each in render({"extraObjects": objects}).list("ConfigMap")]

    assert names == ["release-more", "release-estimatesync-text"]


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "Zulu", "America/New_York", "Europe/London", "Etc/GMT+3"])
def test_time_zones_are_those_of_the_list(render: Callable[..., Any], zone: str) -> None:
    assert read_variables(render({"settings": {"timeZone": zone}}), "operator")["TIME_ZONE"] == zone


REFUSALS = [
    pytest.param({"settings": {"timeZone": "Mars/Olympus"}}, "Mars/Olympus is not an IANA time zone", id="no zone"),
    pytest.param({"settings": {"timeZone": "Local"}}, "Local is not an IANA time zone", id="that of a machine"),
    pytest.param(
        {"images": {"apiDigest": DIGEST}, "api": {"image": {"digest": DIGEST.replace("1", "2")}}},
        "images.apiDigest: it is the old name of api.image.digest, which says something else",
        id="two digests",
    ),
    pytest.param({"api": {"podDisruptionBudget": {"maxUnavailable": 0}}}, "maxUnavailable: set at least 1", id="none"),
    pytest.param(
        {"api": {"service": {"loadBalancerClass": "x"}}}, "only a Service of type LoadBalancer", id="no balancer"
    ),
    pytest.param(
        {"api": {"service": {"externalTrafficPolicy": "Local"}}}, "a Service of type ClusterIP has none", id="inside"
    ),
    pytest.param({"api": {"livenessProbe": {"httpGet": {}}}}, "'httpGet' not allowed", id="another probe"),
    pytest.param({"sync": {"podSecurityContext": {"runAsUser": 0}}}, "'/sync/podSecurityContext/runAsUser'", id="root"),
    pytest.param({"openshift": "yes"}, "'/openshift'", id="neither"),
    pytest.param(
        {"metrics": {"prometheusRule": {"alerts": {"EstimateSyncFaild": {}}}}}, "'EstimateSyncFaild'", id="no alert"
    ),
    pytest.param({"ingress": {"hosts": [{"host": "a.test", "path": "/"}]}}, "'path' not allowed", id="a typo"),
]


@pytest.mark.parametrize(("values", "words"), REFUSALS)
def test_what_cannot_work_is_refused(render: Callable[..., Any], values: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words.replace("'", ".")):
        render(values)


KNOWS_USERS = "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"


@pytest.mark.parametrize(
    ("values", "arguments", "is_there"),
    [
        pytest.param({}, (KNOWS_USERS,), True, id="by default"),
        pytest.param({}, (), False, id="an older cluster"),
        pytest.param({"admissionPolicy": {"recordUsers": False}}, (KNOWS_USERS,), False, id="switched off"),
        pytest.param({"crd": {"enabled": False}}, (KNOWS_USERS,), False, id="without rights in the whole cluster"),
        pytest.param(
            {"crd": {"enabled": False}, "admissionPolicy": {"enabled": True}},
            (KNOWS_USERS,),
            True,
            id="a second release",
        ),
    ],
)
def test_the_users_of_kubectl_are_recorded_where_the_cluster_can(
    render: Callable[..., Any], values: dict[str, Any], arguments: tuple[str, ...], *, is_there: bool
) -> None:
    rendered = render(values, *arguments)

    assert (
        len(rendered.list("MutatingAdmissionPolicy"))
        == len(rendered.list("MutatingAdmissionPolicyBinding"))
        == is_there
    )


def test_the_policy_writes_what_the_api_writes_and_leaves_the_api_alone(render: Callable[..., Any]) -> None:
    account = {"api": {"serviceAccount": {"create": False, "name": "theirs"}}}

    rendered = render(account, KNOWS_USERS)

    policy = rendered.find("MutatingAdmissionPolicy")
    assert set(re.findall(r"'(botzilla\.io/[\w-]+-by)'", json.dumps(policy))) == {
        *ACTOR_ANNOTATIONS,
        ANNOTATION_SUSPENDED_BY,
    }
    assert f"'{ANNOTATION_REDELIVER}' in variables.now" in json.dumps(policy)
    (condition,) = policy["spec"]["matchConditions"]
    assert condition["expression"].endswith("!= 'system:serviceaccount:estimates:theirs'")
    assert rendered.find("MutatingAdmissionPolicyBinding")["spec"]["policyName"] == policy["metadata"]["name"]
