"""The chart takes the values that `docs/install.md` shows, and what other tools make by the objects that it shows."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PAGE = (Path(__file__).parents[3] / "docs" / "install.md").read_text()
BLOCKS = [each for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) for each in yaml.safe_load_all(block)]


def find_objects(kind: str) -> list[dict[str, Any]]:
    return [each for each in BLOCKS if each.get("kind") == kind]


(WHOLE,) = (each for each in BLOCKS if "httpRoute" in each)
(INGRESS,) = (each for each in BLOCKS if "ingress" in each)
(APPLICATION,), (HELM_RELEASE,), (BUNDLE,) = map(find_objects, ("Application", "HelmRelease", "Bundle"))
SECRETS = find_objects("ExternalSecret")


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(WHOLE, id="a Gateway"),
        pytest.param({name: value for name, value in WHOLE.items() if name != "httpRoute"} | INGRESS, id="an Ingress"),
        pytest.param(APPLICATION["spec"]["source"]["helm"]["valuesObject"], id="Argo CD"),
        pytest.param(HELM_RELEASE["spec"]["values"], id="Flux"),
    ],
)
def test_the_values_of_the_page_need_nothing_else_and_hold_nothing_secret(
    render: Callable[..., Any], values: dict[str, Any]
) -> None:
    assert render(values, base={}).list("Secret") == []


def test_the_values_of_the_page_end_at_its_address(render: Callable[..., Any]) -> None:
    route = render(WHOLE, base={}).find("HTTPRoute")["spec"]
    ingress = render({**WHOLE, "httpRoute": {"enabled": False}, **INGRESS}, base={}).find("Ingress")["spec"]

    assert route["hostnames"] == ["estimates.example.com"]
    assert [rule["host"] for rule in ingress["rules"]] == ["estimates.example.com"]
    assert ingress["tls"] == [{"hosts": ["estimates.example.com"], "secretName": "estimates-tls"}]
    assert all(f"https://{host}/" in PAGE for host in route["hostnames"])


def list_keys(secret: dict[str, Any]) -> set[str]:
    """The keys that the Secret of an ExternalSecret has: those of the template, if there is one."""
    template = secret["spec"].get("target", {}).get("template")
    return set(template["data"]) if template else {each["secretKey"] for each in secret["spec"]["data"]}


def test_the_external_secrets_make_what_the_first_values_name(chart: Path) -> None:
    defaults = yaml.safe_load((chart / "values.yaml").read_text())
    made = {each["metadata"]["name"]: list_keys(each) for each in SECRETS}

    parts = ("apiKeys", "credentials", "callback")
    assert made.keys() == {WHOLE[part]["existingSecret"] for part in parts}
    for part in parts:
        keys, wanted = made[WHOLE[part]["existingSecret"]], defaults[part]["secretKeys"]
        assert keys <= set(wanted.values())
        needed = {"apiKeys": ["keys"], "credentials": ["email", "password", "databaseUrl"], "callback": ["url"]}[part]
        assert {wanted[name] for name in needed} <= keys
    for each in SECRETS:
        template = each["spec"].get("target", {}).get("template", {}).get("data", {})
        used = set(re.findall(r"{{ \.(\w+) }}", "".join(template.values())))
        assert used in ({entry["secretKey"] for entry in each["spec"]["data"]}, set())


def test_the_bundle_is_the_config_map_of_the_authorities(render: Callable[..., Any]) -> None:
    values = yaml.safe_load(re.findall(r"```yaml\n(network: .*?)```", PAGE, re.DOTALL)[0])
    assert values["network"]["caConfigMap"] == BUNDLE["metadata"]["name"]

    operator = render(values).find("Deployment", "-operator")["spec"]["template"]["spec"]

    variables = {each["name"]: each.get("value", "") for each in operator["containers"][0]["env"]}
    (authorities,) = (
        each for each in operator["volumes"] if each.get("configMap", {}).get("name") == BUNDLE["metadata"]["name"]
    )
    (mount,) = (each for each in operator["containers"][0]["volumeMounts"] if each["name"] == authorities["name"])
    assert variables["SSL_CERT_FILE"] == f"{mount['mountPath']}/{BUNDLE['spec']['target']['configMap']['key']}"
    assert {"useDefaultCAs": True} in BUNDLE["spec"]["sources"]
