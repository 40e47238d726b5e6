"""A container's environment and command line, as the kubelet would make them."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from estimatesync_cluster.test_kubelet.environment import (
    ConfigMissingError,
    build_command_line,
    build_environment,
    compute_pod_address,
    compute_references,
    expand_variables,
)
from estimatesync_cluster.test_kubelet.manifests import Pod

BuildPod = Callable[..., Pod]
OBJECTS = {("Secret", "s"): {"password": "made-up"}, ("ConfigMap", "c"): {"COLOUR": "green", "SIZE": "9"}}


def from_secret(**reference: object) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password", **reference}}}


def from_config(**reference: object) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "COLOUR", **reference}}}


def from_field(path: str) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}


def build(pod: Pod, base: Mapping[str, str] | None = None) -> dict[str, str]:
    return build_environment(pod.spec.containers[0], pod, base=base or {}, objects=OBJECTS)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param({"name": "X", "value": "plain"}, "plain", id="value"),
        pytest.param({"name": "X"}, "", id="no value"),
        pytest.param(from_secret(), "made-up", id="secret"),
        pytest.param(from_config(), "green", id="config map"),
        pytest.param(from_secret(name="gone", optional=True), None, id="optional secret"),
        pytest.param(from_secret(key="gone", optional=True), None, id="optional key"),
        pytest.param(from_field("metadata.name"), "a", id="pod name"),
        pytest.param(from_field("metadata.uid"), "u", id="pod uid"),
        pytest.param(from_field("metadata.labels['app']"), "sync", id="label"),
        pytest.param(from_field("metadata.annotations['absent']"), "", id="absent annotation"),
        pytest.param(from_field("spec.serviceAccountName"), "runner", id="service account"),
        pytest.param(from_field("status.podIP"), compute_pod_address("u"), id="address"),
    ],
)
def test_variable_is_resolved(build_pod: BuildPod, variable: dict[str, Any], value: str | None) -> None:
    pod = build_pod(container={"env": [variable]}, metadata={"labels": {"app": "sync"}}, serviceAccountName="runner")

    environment = build(pod)

    assert environment.get("X") == value


@pytest.mark.parametrize(
    ("container", "message"),
    [
        pytest.param({"env": [from_secret(name="gone")]}, 'secret "gone" not found', id="secret"),
        pytest.param({"env": [from_secret(key="gone")]}, "couldn't find key gone in Secret n/s", id="secret key"),
        pytest.param({"env": [from_config(name="gone")]}, 'configmap "gone" not found', id="config map"),
        pytest.param({"env": [from_config(key="gone")]}, "couldn't find key gone in ConfigMap n/c", id="config key"),
        pytest.param({"envFrom": [{"secretRef": {"name": "gone"}}]}, 'secret "gone" not found', id="envFrom"),
        pytest.param({"env": [from_field("spec.gone")]}, "unsupported fieldPath: spec.gone", id="field"),
        pytest.param(
            {"env": [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]},
            "the test kubelet resolves secretKeyRef, configMapKeyRef and fieldRef only",
            id="unknown source",
        ),
    ],
)
def test_missing_reference_is_named_as_the_kubelet_does(
    build_pod: BuildPod, container: dict[str, Any], message: str
) -> None:
    pod = build_pod(container=container)

    with pytest.raises(ConfigMissingError) as caught:
        build(pod)

    assert str(caught.value) == message


def test_later_sources_win_and_see_earlier_ones(build_pod: BuildPod) -> None:
    sources = [{"configMapRef": {"name": "c"}}, {"prefix": "P_", "secretRef": {"name": "s"}}]
    sources += [{"configMapRef": {"name": "gone", "optional": True}}]
    variables = [{"name": "SIZE", "value": "10"}, {"name": "BOTH", "value": "$(COLOUR) $(SIZE) $(LATER)"}]
    pod = build_pod(container={"envFrom": sources, "env": [*variables, {"name": "LATER", "value": "x"}]})

    environment = build(pod, base={"PATH": "/bin", "SIZE": "8"})

    assert environment == {
        "PATH": "/bin",
        "COLOUR": "green",
        "P_password": "made-up",
        "SIZE": "10",
        "BOTH": "green 10 $(LATER)",
        "LATER": "x",
    }


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        pytest.param("$(A)-$(B)", "1-2", id="set"),
        pytest.param("$(GONE)", "$(GONE)", id="not set"),
        pytest.param("$$(A)", "$(A)", id="escaped"),
        pytest.param("$$$(A)", "$1", id="escaped dollar before a variable"),
        pytest.param("$A ${A} $", "$A ${A} $", id="other syntaxes"),
        pytest.param("$(A", "$(A", id="unclosed"),
    ],
)
def test_variables_are_expanded(text: str, expanded: str) -> None:
    result = expand_variables(text, {"A": "1", "B": "2"})

    assert result == expanded


def test_command_and_arguments_are_expanded(build_pod: BuildPod) -> None:
    container = build_pod(container={"command": ["run", "$(A)"], "args": ["--b=$(B)"]}).spec.containers[0]

    line = build_command_line(container, {"A": "1", "B": "2"})

    assert line == ["run", "1", "--b=2"]


def test_references_are_collected_once(build_pod: BuildPod) -> None:
    variables = [from_secret(), from_secret(key="other"), from_config(name="d"), {"name": "Y", "value": "1"}]
    sources = [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "t"}}]
    container = build_pod(container={"env": variables, "envFrom": sources}).spec.containers[0]

    references = compute_references(container)

    assert references == {("Secret", "s"), ("Secret", "t"), ("ConfigMap", "c"), ("ConfigMap", "d")}
