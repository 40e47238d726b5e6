"""The chart takes the values that `docs/install.md` shows, those inside of Argo CD's and Flux's objects, too."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PAGE = (Path(__file__).parents[3] / "docs" / "install.md").read_text()
BEGIN = PAGE.partition("## One values file, and an https address")[2].partition("\n## ")[0]
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", BEGIN, re.DOTALL)]
WHOLE, INGRESS, APPLICATION, HELM_RELEASE = BLOCKS


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
    assert all(f"https://{host}/" in BEGIN for host in route["hostnames"])
