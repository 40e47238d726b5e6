"""The values of `docs/single-sign-on.md` lead programs to the API and people to the sign-on, and nobody to the rest."""

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from estimatesync_api.openapi.operations import OPERATIONS
from estimatesync_api.status_page.core import addresses

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "single-sign-on.md").read_text()
ROUTES, INGRESSES = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
(FIRST,) = map(yaml.safe_load, re.findall(r"```yaml\n(images: .*?)```", (DOCS / "install.md").read_text(), re.DOTALL))
PROXY = "oauth2-proxy"
API = "sync-estimatesync-api"
INSIDE = {"/metrics", "/readyz"}
PROGRAMS = {operation.path for operation in OPERATIONS} - INSIDE
PEOPLE = {addresses.HOME, addresses.BASE, addresses.SIGN_IN, addresses.SYNC, addresses.ASSET} | {
    *("/docs", "/openapi.json", "/oauth2/callback")
}

Rule = tuple[str, str, str]
"""How it matches (`Exact`, or a prefix), what, and where that leads."""


def find_backends(path: str, rules: Iterable[Rule]) -> set[str]:
    return {
        backend
        for kind, value, backend in rules
        if path == value or (kind != "Exact" and path.startswith(f"{value.rstrip('/')}/"))
    }


def list_route_rules(rendered: Any) -> list[Rule]:
    return [
        (match["path"]["type"], match["path"]["value"], backend["name"])
        for route in rendered.list("HTTPRoute")
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
        for backend in rule["backendRefs"]
    ]


def list_ingress_rules(rendered: Any) -> list[Rule]:
    return [
        (path["pathType"], path["path"], path["backend"]["service"]["name"])
        for ingress in rendered.list("Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]


def list_caddy_rules(_: Any) -> list[Rule]:
    blocks = re.findall(r"@(\w+) path (.*)\n\thandle @\1 \{\n\t\treverse_proxy \S+:(\d+)\n", PAGE)
    backends = {"8080": API, "4180": PROXY}
    return [
        ("Prefix" if path.endswith("/*") else "Exact", path.removesuffix("/*"), backends[port])
        for _, paths, port in blocks
        for path in paths.split()
    ]


@pytest.mark.parametrize(
    ("values", "list_rules"),
    [
        pytest.param(ROUTES, list_route_rules, id="a Gateway"),
        pytest.param({**ROUTES, **INGRESSES}, list_ingress_rules, id="an Ingress"),
        pytest.param(ROUTES, list_caddy_rules, id="Caddy"),
    ],
)
def test_programs_come_to_the_api_and_people_to_the_sign_on_and_nobody_to_the_rest(
    render: Callable[..., Any], values: dict[str, Any], list_rules: Callable[[Any], list[Rule]]
) -> None:
    rendered = render({**FIRST, **values}, base={}, release="sync")
    rules = list_rules(rendered)

    assert rendered.find("Service", API)["spec"]["ports"][0]["port"] == 80
    assert [path for path in PROGRAMS if find_backends(path, rules) != {API}] == []
    assert [path for path in PEOPLE if find_backends(path, rules) != {PROXY}] == []
    assert [path for path in INSIDE if find_backends(path, rules) != set()] == []


def test_the_sign_on_is_among_those_who_may_call_the_api(render: Callable[..., Any]) -> None:
    policy = render({**FIRST, **ROUTES}, base={}, release="sync").find("NetworkPolicy", "-api")

    peers = policy["spec"]["ingress"][0]["from"]
    assert {"podSelector": {"matchLabels": {"app.kubernetes.io/name": PROXY}}} in peers


def test_the_configuration_of_the_sign_on_leads_to_the_api_and_back_to_its_host() -> None:
    (settings,) = (tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
    (host,) = {host for route in ROUTES["extraObjects"] for host in route["spec"]["hostnames"]}

    assert settings["upstreams"] == [f"http://{API}/"]
    assert settings["redirect_url"] == f"https://{host}/oauth2/callback"
