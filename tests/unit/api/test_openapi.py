"""The API's own description: complete, true to the types, and readable without anything from elsewhere."""

import re
from collections.abc import Iterator
from html import escape
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from estimatesync_api.app import Asgi, create_app
from estimatesync_api.core import representation
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import Problem
from estimatesync_api.openapi.document import build_document
from estimatesync_api.openapi.page import format_page, read_translations
from estimatesync_api.settings import parse_settings
from estimatesync_api.status_page.core.addresses import is_page_path
from falcon.inspect import inspect_routes
from falcon.testing import TestClient

DOCUMENT = build_document()
SHOWN_ONLY_HERE = {"/openapi.json", "/docs"}


def iterate_operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_the_document_names_every_address_and_method_that_is_served(app: Asgi) -> None:
    served = {
        (method.method.lower(), route.path)
        for route in inspect_routes(app)
        for method in route.methods
        # The pages are for people, and described in docs/page.md.
        if not method.internal and route.path not in SHOWN_ONLY_HERE and not is_page_path(route.path)
    }

    assert {(method, path) for method, path, _ in iterate_operations()} == served


def test_every_problem_is_described_where_it_can_be_met_but_for_those_of_all_addresses() -> None:
    codes = {
        code
        for _, _, operation in iterate_operations()
        for response in operation["responses"].values()
        for media in response.get("content", {}).values()
        for code in media.get("examples", {})
    }

    assert {problem for problem in Problem if problem.code not in codes} == {
        Problem.NOT_FOUND,
        Problem.METHOD_NOT_ALLOWED,
    }


def test_every_example_is_what_its_type_takes() -> None:
    count = 0
    for _, path, operation in iterate_operations():
        for response in [operation.get("requestBody", {}), *operation["responses"].values()]:
            media = response.get("content", {}).get("application/json", {})
            names = re.findall(r"schemas/(\w+)", str(media.get("schema")))
            examples = [entry["value"] for entry in media.get("examples", {}).values()]
            for example in [*examples, *([media["example"]] if "example" in media else [])]:
                assert any(fits(example, getattr(representation, name)) for name in names), (path, example)
                count += 1
    assert count > 30


def fits(example: object, body: type) -> bool:
    try:
        return msgspec.to_builtins(msgspec.convert(example, body)) == example
    except msgspec.ValidationError:
        return False


def test_the_first_example_is_the_one_that_people_know() -> None:
    accepted = DOCUMENT["paths"]["/sync-estimates"]["post"]["responses"]["202"]["content"]["application/json"]

    assert accepted["example"] == {
        "success": True,
        "message": "Background synchronization started. This may take several minutes.",
        "status": "processing",
        "timestamp": "2025-10-16T14:09:00.000Z",
        "sync_id": "est-20251016-140900000-k3x9q2ab",
    }


def test_what_is_an_instant_a_day_an_id_or_a_count_is_described_as_such() -> None:
    bodies = DOCUMENT["components"]["schemas"]
    accepted, asked = bodies["AcceptedBody"]["properties"], bodies["RequestBody"]["properties"]

    assert accepted["timestamp"] == {"type": "string", "format": "date-time", "examples": ["2025-10-16T14:09:00.000Z"]}
    assert accepted["sync_id"]["examples"] == ["est-20251016-140900000-k3x9q2ab"]
    assert asked.pop("mode")["enum"] == ["whole", "changes", "", None]
    assert asked.pop("days")["examples"] == [7]
    assert asked.pop("metadata")["examples"] == [{"order": 4711, "team": "billing"}]
    assert asked.pop("callback")["examples"] == ["billing"]
    assert {name: (field["format"], field["examples"], field["default"]) for name, field in asked.items()} == (
        dict.fromkeys(("startDate", "endDate", "start_date", "end_date"), ("date", ["2025-09-01"], None))
    )
    assert bodies["OutcomeBody"]["properties"]["new"] == {"type": "integer", "minimum": 0}


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_the_openapi_description_needs_no_key(unauthenticated: TestClient, path: str) -> None:
    assert unauthenticated.simulate_get(path).status_code == 200


@pytest.mark.parametrize("is_framed", [True, False])
def test_the_page_needs_nothing_from_elsewhere(
    unauthenticated: TestClient, store: SyncStore, *, is_framed: bool
) -> None:
    settings = parse_settings({"API_KEYS": "make:made-up-key-of-make", "STATUS_PAGE": "false"})
    alone = TestClient(create_app(settings, store))

    result = (unauthenticated if is_framed else alone).simulate_get("/docs")

    assert result.headers["content-security-policy"].startswith("default-src 'none'")
    assert ("<script" in result.text) == is_framed
    assert re.findall(r"""(?:src|href)=["'](?!#|/[a-z]|/")""", result.text) == []
    assert ('href="/"' in result.text) == is_framed, "the way back"
    for _, path, operation in iterate_operations():
        assert path in result.text
        assert escape(operation["summary"]) in result.text


def test_the_page_says_everything_in_spanish_but_the_names_of_http(unauthenticated: TestClient) -> None:
    page = unauthenticated.simulate_get("/docs", headers={"Accept-Language": "es-MX"}).text
    shown = {DOCUMENT["info"]["description"]}
    for _, _, operation in iterate_operations():
        shown |= {operation["summary"], operation.get("description", "")}
        shown |= {each["description"] for each in operation.get("parameters", [])}
        shown |= {each["description"] for each in operation["responses"].values()}
    own = shown - {status.phrase for status in HTTPStatus} - {""}

    texts = read_translations()["es"]

    assert own - texts.keys() == set()
    assert texts.keys() - own == {
        "For programs",
        "Send your key as `X-API-KEY`, except where it says public.",
        "public",
        "Body, optional",
    }
    assert '<html lang="es"' in page
    assert all(escape(texts[operation["summary"]]) in page for _, _, operation in iterate_operations())


def test_what_the_page_shows_is_text_and_never_markup() -> None:
    nasty = {**DOCUMENT, "info": {"title": "<b>", "version": "&", "description": "`<i>`"}}

    page = format_page(nasty, "en")

    assert "<title>&lt;b&gt; API</title>" in page
    assert "<code>&lt;i&gt;</code>" in page
