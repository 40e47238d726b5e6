"""Every optional object of the chart, on an API server that knows every field of it: others' definitions included."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from estimatesync_cluster.definitions import find_definitions

PRIORITY = {"api": 2000, "operator": 3000, "sync": 1000}
KINDS = {
    "Ingress": {"ingress": {"enabled": True, "className": "any", "host": "sync.test", "tlsSecret": "sync-tls"}},
    "HTTPRoute": {
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "hostnames": ["sync.test"],
        }
    },
    "HorizontalPodAutoscaler": {"api": {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 3}}},
    "PodDisruptionBudget": {"api": {"podDisruptionBudget": {"minAvailable": "50%"}}},
    "NetworkPolicy": {
        "networkPolicy": {
            "enabled": True,
            "apiFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}],
            "metricsFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        }
    },
    "ServiceMonitor": {"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}},
    "PrometheusRule": {"metrics": {"prometheusRule": {"enabled": True}}},
    "ConfigMap": {"metrics": {"dashboard": {"enabled": True}}},
    "ValidatingAdmissionPolicy": {"admissionPolicy": {"enabled": True}},
}


ROOT = Path(__file__).parents[3]
EXAMPLES = {
    "hardened": "charts/estimatesync/values-hardened.yaml",
    "kind": "deploy/kind/values.yaml",
    "one machine": "tests/support/values.yaml",
}
GIVEN = ("apiKeys", "credentials", "callback")
"""What the hardened profile takes from Secrets, and the others from values."""


@pytest.fixture(scope="session")
def definitions(cluster: Any) -> Iterator[None]:
    """Install the definitions that the cluster has not; remove those afterwards."""
    found = find_definitions(environ=os.environ, report=lambda line: sys.stderr.write(f"{line}\n"))
    created = [name for name in found if cluster.api.find("CustomResourceDefinition", name) is None]
    for name in created:
        cluster.define(found[name])
    yield
    for name in created:
        cluster.api.delete("CustomResourceDefinition", name)


@pytest.fixture(scope="module")
def priority_classes(cluster: Any) -> Iterator[None]:
    classes = [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": f"estimatesync-test-{part}"},
            "value": value,
        }
        for part, value in PRIORITY.items()
    ]
    cluster.api.apply(classes)
    yield
    for each in classes:
        cluster.api.delete("PriorityClass", each["metadata"]["name"])


@pytest.fixture(scope="module")
def complete(shared_release: Any, callers: list[str], definitions: None, priority_classes: None) -> Any:  # noqa: ARG001 - they come first
    """A release with every optional part; the test calls the API, too, where policies are enforced."""
    release = shared_release
    for values in KINDS.values():
        merge(release.values, values)
    policy = release.values["networkPolicy"]
    policy["apiFrom"] = [*policy["apiFrom"], *({"ipBlock": {"cidr": f"{each}/32"}} for each in callers)]
    for part in PRIORITY:
        release.values[part]["priorityClassName"] = f"estimatesync-test-{part}"
    release.deploy("install")
    return release


def merge(target: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


def test_a_release_with_every_optional_object_is_installed_and_works(complete: Any) -> None:
    manifest = list(yaml.safe_load_all(complete.helm("get", "manifest", "sync")))
    names = [f"{each['kind']}/{each['metadata']['name']}" for each in manifest if each["kind"] in KINDS]

    assert {name.partition("/")[0] for name in names} == KINDS.keys()
    complete.kubectl("get", *names, "--output=name")
    sync = complete.wait_status(complete.post().json()["sync_id"], "succeeded")["sync_id"]

    pods = complete.find_all("Pod")
    priority = {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["spec"]["priority"] for pod in pods}
    assert priority == PRIORITY
    # No value sets the number of replicas: the autoscaler does.
    complete.wait_until("the replicas of the autoscaler", lambda: len(complete.find_api_urls()) == 2)
    budget = json.loads(complete.kubectl("get", "poddisruptionbudgets", "--output=json"))["items"][0]
    assert budget["status"]["expectedPods"] == 2
    assert sync


def test_every_object_is_read_back_as_it_was_written(complete: Any) -> None:
    """Otherwise who compares the two, such as Argo CD, sees a difference for ever."""
    written = list(yaml.safe_load_all(complete.helm("get", "manifest", "sync")))
    hooks = list(yaml.safe_load_all(complete.helm("get", "hooks", "sync")))

    for objects, command in ((written, ("get",)), (hooks, ("create", "--dry-run=server"))):
        listing = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        answer = json.loads(complete.kubectl(*command, "--output=json", "--filename=-", stdin=listing))
        for each, found in zip(objects, answer["items"] if len(objects) > 1 else [answer], strict=True):
            assert list(find_differences(each, found, f"{each['kind']}/{each['metadata']['name']}")) == []


def find_differences(written: Any, found: Any, path: str) -> Iterator[str]:
    """What was written and is not there, or is there in another form; what the API server adds is its own."""
    if isinstance(written, dict) and isinstance(found, dict):
        for key, value in written.items():
            yield from find_differences(value, found.get(key), f"{path}.{key}")
    elif isinstance(written, list) and isinstance(found, list) and len(written) == len(found):
        for number, (mine, theirs) in enumerate(zip(written, found, strict=True)):
            yield from find_differences(mine, theirs, f"{path}[{number}]")
    elif written != found:
        yield f"{path}: {written!r} is {found!r}"


def test_no_object_has_a_field_that_the_api_server_does_not_know(complete: Any) -> None:
    manifest = complete.helm("get", "manifest", "sync")

    def apply(text: str) -> str:
        arguments = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
        return str(complete.kubectl(*arguments, "--filename=-", stdin=text, check=False))

    answer = apply(manifest)
    assert "rror" not in answer
    assert answer.count("serverside-applied") == len(list(yaml.safe_load_all(manifest)))
    assert list(find_taken(yaml.safe_load_all(manifest), apply)) == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_api_server_takes_the_objects_of_every_example(
    complete: Any, restricted_namespace: str, tmp_path: Path, example: str
) -> None:
    given = {} if example == "hardened" else {name: complete.values[name] for name in GIVEN}
    file = tmp_path / "given.json"
    file.write_text(json.dumps(given))
    # A namespace without a release: its objects are new ones there.
    place = f"--namespace={restricted_namespace}"

    manifest = complete.helm(
        "template",
        "sync",
        str(ROOT / "charts/estimatesync"),
        f"--values={ROOT / EXAMPLES[example]}",
        f"--values={file}",
        place,
    )
    arguments = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    answer = complete.kubectl(*arguments, place, "--filename=-", stdin=manifest, check=False)

    assert answer.count("serverside-applied") == len(list(yaml.safe_load_all(manifest))), answer


def test_the_api_server_takes_the_objects_of_other_tools_that_the_page_shows(
    cluster: Any,
    namespace: str,
    definitions: None,  # noqa: ARG001 - they come first
    shown_objects: list[dict[str, Any]],
) -> None:
    kinds = {"ExternalSecret", "Bundle"}
    # The namespaces of the page are not there.
    objects = [
        {
            **each,
            "metadata": {**each["metadata"], **({"namespace": namespace} if "namespace" in each["metadata"] else {})},
        }
        for each in shown_objects
        if each["kind"] in kinds
    ]
    arguments = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-")

    answer = cluster.kubectl(*arguments, stdin=yaml.safe_dump_all(objects), check=False)

    assert {each["kind"] for each in objects} == kinds
    assert answer.stdout.count("serverside-applied") == len(objects), answer.stderr


def find_taken(objects: Any, apply: Callable[[str], str]) -> Iterator[str]:
    """Misspell a field in one object of each kind; name those that the API server takes nevertheless."""
    for kind, each in {each["kind"]: each for each in objects if each["kind"] in KINDS}.items():
        place = each if kind == "ConfigMap" else each["spec"]
        place["misspelt"] = "x"
        if "misspelt" not in apply(yaml.safe_dump(each)):
            yield kind
