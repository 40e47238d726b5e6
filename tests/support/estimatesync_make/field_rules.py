"""The rules for the fields of single kinds of modules, and for what must be in no blueprint. Pure; `rules` calls it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from estimatesync_make.modules import ADD_RECORD, BREAK, EXIST_RECORD, GMAIL, HTTP, PARSE_JSON, SET_VARIABLES

_OF_AN_ACCOUNT: Final = re.compile(r"hook$|^__IMTCONN__$|keychain|^datastore$|^scheduling$|^account$", re.IGNORECASE)
"""Names of what exists in one account of Make.com only: elsewhere, a scenario with it cannot be saved."""

_SECRETS: Final = re.compile(r"whsec_[A-Za-z0-9+/]{16,}|hook\.\w+\.make\.com/\w|[0-9a-f]{32,}|[A-Za-z0-9+/]{43}=")
_BREAK_COUNTS: Final = range(1, 11)
_TIMEOUT_SECONDS: Final = range(1, 301)
_HTTP_FIELDS: Final = {
    *("url", "method", "headers", "queryParameters", "contentType", "inputMethod", "jsonStringBodyContent", "timeout"),
    *("parseResponse", "stopOnHttpError", "allowRedirects", "shareCookies", "requestCompressedContent"),
}
_FIELDS: Final[Mapping[str, set[str]]] = {
    HTTP: _HTTP_FIELDS,
    BREAK: {"retry", "count", "interval"},
    SET_VARIABLES: {"variables", "scope"},
    PARSE_JSON: {"json"},
    GMAIL: {"to", "subject", "bodyType", "content"},
    EXIST_RECORD: {"key"},
    ADD_RECORD: {"key", "data", "overwrite"},
}


def find_field_faults(module: Mapping[str, Any]) -> Iterator[str]:
    """Find fields that are missing, foreign or wrong in one module, and secrets and ids of an account in it."""
    kind, mapper = str(module.get("module")), module.get("mapper")
    own = {name: value for name, value in module.items() if name not in {"onerror", "routes"}}
    yield from _check_private(own)
    if kind not in _FIELDS:
        return
    if not isinstance(mapper, Mapping) or set(mapper) != _FIELDS[kind]:
        yield f"the mapper must have exactly {', '.join(sorted(_FIELDS[kind]))}"
        return
    check = _CHECKS.get(kind)
    if check is not None:
        yield from check(module)


def _check_private(value: Any, name: str = "") -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if _OF_AN_ACCOUNT.search(name):
        yield f"{name} belongs to one account of Make.com and must not be in a blueprint"
    match value:
        case dict():
            for key, item in value.items():
                yield from _check_private(item, key)
        case list():
            for item in value:
                yield from _check_private(item)
        case str() if _SECRETS.search(value):
            yield "a text looks like a secret"


def _check_http(module: Mapping[str, Any]) -> Iterator[str]:
    mapper = module["mapper"]
    if module.get("parameters") != {"authenticationType": "noAuth"}:
        yield "parameters.authenticationType must be noAuth: a keychain belongs to one account"
    if mapper["method"] not in {"get", "post", "put", "patch", "delete"}:
        yield f"method must be in small letters, not {mapper['method']!r}"
    if mapper["timeout"] not in _TIMEOUT_SECONDS:
        yield "timeout must be 1 to 300 seconds"
    if mapper["stopOnHttpError"] is not True:
        yield "stopOnHttpError must be true: an answer of 500 would look like a success"
    if not all(set(header) == {"name", "value"} for header in mapper["headers"]):
        yield "each header must have a name and a value"
    yield from _check_json_body(mapper)


def _check_json_body(mapper: Mapping[str, Any]) -> Iterator[str]:
    if (mapper["contentType"], mapper["inputMethod"]) != ("json", "jsonString"):
        yield "contentType must be json, and inputMethod jsonString"
    try:
        json.loads(mapper["jsonStringBodyContent"])
    except ValueError:
        yield "jsonStringBodyContent must be JSON"


def _check_break(module: Mapping[str, Any]) -> Iterator[str]:
    mapper = module["mapper"]
    if mapper["retry"] is not True:
        yield "retry must be true"
    if mapper["count"] not in _BREAK_COUNTS or mapper["interval"] < 1:
        yield "count must be 1 to 10, and interval at least a minute"


def _check_variables(module: Mapping[str, Any]) -> Iterator[str]:
    mapper = module["mapper"]
    if mapper["scope"] != "roundtrip" or not all(set(each) == {"name", "value"} for each in mapper["variables"]):
        yield "variables must have a name and a value, and the scope must be roundtrip"


def _check_mail(module: Mapping[str, Any]) -> Iterator[str]:
    mapper = module["mapper"]
    if not isinstance(mapper["to"], list) or not mapper["to"]:
        yield "to must be a list of addresses"
    if mapper["bodyType"] != "rawHtml":
        yield "bodyType must be rawHtml"


_CHECKS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    HTTP: _check_http,
    BREAK: _check_break,
    SET_VARIABLES: _check_variables,
    GMAIL: _check_mail,
}
