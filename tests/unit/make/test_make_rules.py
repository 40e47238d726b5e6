"""Every rule of Make.com's blueprint format can fail: one broken blueprint for each."""

import copy
from typing import Any

import pytest
from estimatesync_make.rules import find_faults
from estimatesync_make.scenarios import BLUEPRINTS

GONE = object()
TRIGGER, CALLBACK, SIGNED, ONCE = (
    f"{name}.blueprint.json" for name in ("trigger", "callback", "callback-signed", "callback-once")
)
ROUTER = ("flow", 1)
MAIL = (*ROUTER, "routes", 0, "flow", 0)
HTTP = ("flow", 1)
CONDITIONS = (*MAIL, "filter", "conditions")


def break_blueprint(name: str, path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    blueprint = copy.deepcopy(BLUEPRINTS[name])
    place: Any = blueprint
    for step in path[:-1]:
        place = place[step]
    if value is GONE:
        del place[path[-1]]
    elif isinstance(place, list) and path[-1] == len(place):
        place.append(value)
    else:
        place[path[-1]] = value
    return blueprint


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_our_blueprints_break_no_rule(name: str) -> None:
    assert find_faults(BLUEPRINTS[name]) == []


@pytest.mark.parametrize(
    ("name", "path", "value", "fault"),
    [
        pytest.param(CALLBACK, ("name",), "", "name must not be empty", id="no-name"),
        pytest.param(CALLBACK, ("scheduling",), {}, "the top level must not have scheduling", id="scheduling"),
        pytest.param(CALLBACK, ("flow",), [], "flow must be a list of at least one module", id="no-flow"),
        pytest.param(CALLBACK, ("metadata",), GONE, "metadata must be there", id="no-metadata"),
        pytest.param(CALLBACK, ("metadata", "zone"), "eu1.make.com", "metadata must not have zone", id="zone"),
        pytest.param(CALLBACK, ("metadata", "version"), 2, "metadata.version must be 1", id="metadata-version"),
        pytest.param(CALLBACK, ("metadata", "designer"), {}, "an empty list of orphans", id="orphans"),
        pytest.param(CALLBACK, ("metadata", "instant"), False, "metadata.instant must be true with", id="instant"),
        pytest.param(CALLBACK, ("metadata", "scenario", "interval"), 15, "must not have interval", id="interval"),
        pytest.param(
            CALLBACK, ("metadata", "scenario", "dlq"), False, "scenario.dlq must be true", id="nowhere-to-keep"
        ),
        pytest.param(CALLBACK, (*MAIL, "id"), 1, "the id 1 is given 2 times", id="same-id"),
        pytest.param(CALLBACK, (*MAIL, "onerror", 0, "id"), 8, "the id 8 is given 2 times", id="same-id-as-a-handler"),
        pytest.param(CALLBACK, (*MAIL, "id"), 0, "an id must be a whole number from 1, not 0", id="id-zero"),
        pytest.param(CALLBACK, (*MAIL, "id"), "7", "an id must be a whole number from 1, not '7'", id="id-text"),
        pytest.param(CALLBACK, (*MAIL, "id"), True, "an id must be a whole number from 1, not True", id="id-true"),
        pytest.param(CALLBACK, (*MAIL, "label"), "Mail", "it must not have label", id="unknown-key"),
        pytest.param(
            CALLBACK, ("flow", 0, "module"), "gateway:CustomWebhook", "knows no gateway:CustomWebhook", id="hook"
        ),
        pytest.param(CALLBACK, (*ROUTER, "module"), "builtin:Router", "knows no builtin:Router", id="router-name"),
        pytest.param(CALLBACK, (*MAIL, "module"), "email:SendEmail", "knows no email:SendEmail", id="mail-name"),
        pytest.param(TRIGGER, (*HTTP, "module"), "http:ActionSendRequest", "knows no http:ActionSend", id="http-name"),
        pytest.param(
            CALLBACK, (*MAIL, "onerror", 0, "module"), "builtin:BasicIgnore", "knows no builtin:Bas", id="ignore"
        ),
        pytest.param(CALLBACK, (*MAIL, "version"), 2, "google-email:sendAnEmail must have version 4", id="old-version"),
        pytest.param(CALLBACK, (*MAIL, "version"), GONE, "must have version 4, not None", id="no-version"),
        pytest.param(CALLBACK, (*MAIL, "version"), "4", "must have version 4, not '4'", id="version-text"),
        pytest.param(CALLBACK, (*MAIL, "metadata", "designer", "x"), GONE, "whole numbers x and y", id="no-place"),
        pytest.param(CALLBACK, (*MAIL, "onerror", 0, "metadata"), {}, "whole numbers x and y", id="handler-no-place"),
        pytest.param(CALLBACK, (*ROUTER, "mapper"), {}, "a router's mapper must be null", id="router-mapper"),
        pytest.param(CALLBACK, (*ROUTER, "mapper"), GONE, "a router's mapper must be null", id="router-no-mapper"),
        pytest.param(CALLBACK, (*ROUTER, "routes"), [], "a router must have routes", id="no-routes"),
        pytest.param(CALLBACK, (*ROUTER, "routes", 1, "flow"), [], "route 2 must have a module", id="empty-route"),
        pytest.param(
            CALLBACK, (*MAIL, "filter"), GONE, "the first module of route 1 must have a filter", id="open-route"
        ),
        pytest.param(
            CALLBACK,
            (*ROUTER, "filter"),
            {"name": "x", "conditions": [[{"a": "{{1.status}}", "o": "exist"}]]},
            "a router must have no filter",
            id="filtered-router",
        ),
        pytest.param(CALLBACK, ("flow", 2), {"id": 9, "module": "builtin:Ignore"}, "may follow a router", id="after"),
        pytest.param(CALLBACK, (*MAIL, "routes"), [], "only a router has routes", id="routes-elsewhere"),
        pytest.param(CALLBACK, (*MAIL, "module"), "gateway:CustomWebHook", "must be the first module", id="late-hook"),
        pytest.param(
            CALLBACK, (*MAIL, "module"), "builtin:Break", "builtin:Break must stand under", id="loose-handler"
        ),
        pytest.param(
            CALLBACK,
            (*MAIL, "onerror", 0, "module"),
            "util:SetVariables",
            "must not stand under onerror",
            id="no-handler",
        ),
        pytest.param(
            TRIGGER,
            ("flow", 0, "filter"),
            {"name": "x", "conditions": [[{"a": "1", "o": "exist"}]]},
            "the first module must have no filter",
            id="filtered-first",
        ),
        pytest.param(CALLBACK, (*MAIL, "filter", "name"), "", "a filter must have a name and", id="nameless-filter"),
        pytest.param(CALLBACK, CONDITIONS, [], "conditions must be a list of lists", id="no-conditions"),
        pytest.param(CALLBACK, CONDITIONS, [{"a": "1", "o": "exist"}], "must be a list of lists", id="flat-conditions"),
        pytest.param(CALLBACK, (*CONDITIONS, 0, 0, "o"), "text:equals", "no operator that is known", id="operator"),
        pytest.param(CALLBACK, (*CONDITIONS, 0, 0, "b"), GONE, "must have exactly a, b, o", id="half-a-condition"),
        pytest.param(CALLBACK, (*CONDITIONS, 0, 0, "o"), "exist", "must have exactly a, o", id="exist-with-two-sides"),
        pytest.param(CALLBACK, (*CONDITIONS, 0, 0, "a"), "{{7.event}}", "has not run before it", id="refers-to-itself"),
        pytest.param(CALLBACK, (*MAIL, "mapper", "subject"), "{{8.id}}", "has not run before it", id="other-route"),
        pytest.param(CALLBACK, (*MAIL, "mapper", "subject"), "{{99.id}}", "has not run before it", id="refers-to-none"),
        pytest.param(CALLBACK, (*MAIL, "mapper", "subject"), "{{status}}", "no variable status", id="no-variable"),
        pytest.param(CALLBACK, (*MAIL, "mapper", "subject"), "{{upper(1.status)}}", "function upper", id="function"),
        pytest.param(
            CALLBACK, (*MAIL, "mapper", "subject"), "{{1.status", "braces without a partner", id="open-braces"
        ),
        pytest.param(CALLBACK, (*MAIL, "mapper", "subject"), "{{1.a, 1.b}}", "cannot read", id="comma"),
        pytest.param(CALLBACK, (*MAIL, "onerror"), GONE, "it must have a handler", id="unguarded-mail"),
        pytest.param(TRIGGER, ("flow", 0, "onerror"), GONE, "it must have a handler", id="unguarded-first"),
        pytest.param(TRIGGER, (*HTTP, "onerror"), [], "onerror must be a list of one handler", id="empty-handlers"),
        pytest.param(TRIGGER, (*HTTP, "onerror", 0, "mapper", "count"), 11, "count must be 1 to 10", id="too-often"),
        pytest.param(TRIGGER, (*HTTP, "onerror", 0, "mapper", "interval"), 0, "at least a minute", id="too-soon"),
        pytest.param(TRIGGER, (*HTTP, "onerror", 0, "mapper", "retry"), False, "retry must be true", id="no-retry"),
        pytest.param(TRIGGER, (*HTTP, "mapper", "method"), "POST", "method must be in small letters", id="capitals"),
        pytest.param(TRIGGER, (*HTTP, "mapper", "timeout"), 301, "timeout must be 1 to 300", id="too-patient"),
        pytest.param(TRIGGER, (*HTTP, "mapper", "stopOnHttpError"), False, "stopOnHttpError must be true", id="deaf"),
        pytest.param(TRIGGER, (*HTTP, "mapper", "headers", 0), {"key": "x"}, "each header must have", id="header-key"),
        pytest.param(TRIGGER, (*HTTP, "mapper", "jsonStringBodyContent"), "{", "must be JSON", id="no-json"),
        pytest.param(TRIGGER, (*HTTP, "mapper", "inputMethod"), "form", "contentType must be json", id="input-method"),
        pytest.param(TRIGGER, (*HTTP, "mapper", "body"), "{}", "the mapper must have exactly", id="foreign-field"),
        pytest.param(
            TRIGGER, (*HTTP, "parameters"), {"authenticationType": "apiKey"}, "must be noAuth", id="authentication"
        ),
        pytest.param(CALLBACK, (*MAIL, "mapper", "to"), "a@b.example", "to must be a list", id="one-recipient"),
        pytest.param(CALLBACK, (*MAIL, "mapper", "bodyType"), "html", "bodyType must be rawHtml", id="body-type"),
        pytest.param(SIGNED, ("flow", 1, "mapper", "scope"), "execution", "must be roundtrip", id="scope"),
        pytest.param(CALLBACK, ("flow", 0, "parameters", "hook"), 1, "hook belongs to one account", id="hook-id"),
        pytest.param(CALLBACK, (*MAIL, "parameters", "__IMTCONN__"), 1, "__IMTCONN__ belongs", id="connection"),
        pytest.param(TRIGGER, (*HTTP, "parameters", "apiKeyKeychain"), 1, "apiKeyKeychain belongs", id="keychain"),
        pytest.param(ONCE, ("flow", 1, "parameters", "datastore"), 1, "datastore belongs", id="data-store"),
        pytest.param(
            SIGNED,
            ("flow", 1, "mapper", "variables", 0, "value"),
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "a text looks like a secret",
            id="signing-secret",
        ),
        pytest.param(
            TRIGGER,
            (*HTTP, "mapper", "headers", 0, "value"),
            "0123456789abcdef" * 4,
            "looks like a secret",
            id="api-key",
        ),
    ],
)
def test_a_broken_blueprint_is_found(name: str, path: tuple[str | int, ...], value: Any, fault: str) -> None:
    broken = break_blueprint(name, path, value)

    faults = find_faults(broken)

    assert [found for found in faults if fault in found], faults
