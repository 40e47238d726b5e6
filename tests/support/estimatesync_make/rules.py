"""The rules of Make.com's blueprint format, as far as they are known: each fault is a sentence that says where it is.

Make.com shows a broken blueprint as "Module Not Found", loses routes without a message, or refuses to save it, and none
of that can be seen from here. `main` writes only what breaks none of these rules. Pure.

First every module is found, in routes and under onerror too, with what it may refer to; then come the rules for the
fields of single kinds of modules, for templates and filters, and for the blueprint as a whole.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from estimatesync_make.modules import (
    ADD_RECORD,
    BREAK,
    EXIST_RECORD,
    GMAIL,
    HTTP,
    IGNORE,
    PARSE_JSON,
    ROUTER,
    SET_VARIABLES,
    VERSIONS,
    WEBHOOK,
)
from estimatesync_make.templates import (
    FUNCTIONS,
    OPERATORS,
    VARIABLES,
    Expression,
    TemplateError,
    find_functions,
    find_references,
    parse_template,
)

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

_TOP_KEYS: Final = {"name", "description", "flow", "metadata"}
_METADATA_KEYS: Final = {"instant", "version", "scenario", "designer"}
_SCENARIO_KEYS: Final = {
    *("roundtrips", "maxErrors", "autoCommit", "autoCommitTriggerLast", "sequential", "slots", "confidential"),
    *("dataloss", "dlq", "freshVariables"),
}
_MODULE_KEYS: Final = {"id", "module", "version", "parameters", "filter", "mapper", "metadata", "onerror", "routes"}
_HANDLERS: Final = {BREAK, IGNORE}


@dataclass(frozen=True, kw_only=True)
class ModulePosition:
    """One module and where it stands."""

    module: Mapping[str, Any]
    earlier: frozenset[int]
    """Ids of the modules that have run before it, on its own path: what its templates may refer to."""
    is_first: bool = False
    """Of the whole scenario."""
    is_last: bool = False
    """Of its own flow."""
    is_handler: bool = False


def walk(
    flow: Sequence[Mapping[str, Any]],
    *,
    earlier: frozenset[int] = frozenset(),
    is_top: bool = True,
    is_handler: bool = False,
) -> Iterator[ModulePosition]:
    """Yield each module with its position, in the order in which they run; a handler follows what it guards."""
    for position, module in enumerate(flow):
        yield ModulePosition(
            module=module,
            earlier=earlier,
            is_first=is_top and position == 0,
            is_last=position == len(flow) - 1,
            is_handler=is_handler,
        )
        seen = earlier | {module["id"]} if type(module.get("id")) is int else earlier
        yield from walk(module.get("onerror") or (), earlier=seen, is_top=False, is_handler=True)
        for route in module.get("routes") or ():
            yield from walk(route.get("flow") or (), earlier=seen, is_top=False)
        earlier = seen


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


def find_template_faults(position: ModulePosition) -> Iterator[str]:
    """Find templates that cannot be read, or refer to what is not there yet, or call unknown functions."""
    condition = position.module.get("filter") or {}
    for text in _find_texts([position.module.get("mapper"), condition]):
        try:
            parts = parse_template(text)
        except TemplateError as error:
            yield str(error)
            continue
        for part in parts:
            if not isinstance(part, str):
                yield from _check_expression(part, position)
    for group in condition.get("conditions", ()):
        for each in group:
            yield from _check_condition(each)


def _find_texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    match value:
        case str():
            yield value
        case dict():
            yield from _find_texts(list(value.values()))
        case list():
            for item in value:
                yield from _find_texts(item)


def _check_expression(expression: Expression, position: ModulePosition) -> Iterator[str]:
    for reference in find_references(expression):
        name = ".".join(reference.path)
        if reference.module_id is None and name not in VARIABLES:
            yield f"Make.com has no variable {name}"
        if reference.module_id is not None and reference.module_id not in position.earlier:
            yield f"{{{{{name}}}}} refers to a module that has not run before it"
    for function in find_functions(expression):
        if function not in FUNCTIONS:
            yield f"the function {function} is not known here"


def _check_condition(condition: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if not isinstance(condition, dict) or condition.get("o") not in OPERATORS:
        yield f"the condition {condition!r} has no operator that is known here"
        return
    sides = {"a", "o"} if condition["o"] == "exist" else {"a", "b", "o"}
    if set(condition) != sides:
        yield f"a condition with {condition['o']} must have exactly {', '.join(sorted(sides))}"


def find_faults(blueprint: Mapping[str, Any]) -> list[str]:
    """Find everything that is wrong with a blueprint; an empty list if nothing is."""
    flow = blueprint.get("flow")
    faults = list(_check_top(blueprint))
    if not isinstance(flow, list) or not flow:
        return [*faults, "flow must be a list of at least one module"]
    positions = list(walk(flow))
    faults += _check_ids(positions)
    for position in positions:
        faults += [f"module {position.module.get('id')}: {fault}" for fault in _check_module(position)]
    return [*faults, *_check_settings(blueprint, positions)]


def _check_top(blueprint: Mapping[str, Any]) -> Iterator[str]:
    yield from _name_unknown("the top level", blueprint, _TOP_KEYS)
    if not blueprint.get("name"):
        yield "name must not be empty"
    metadata = blueprint.get("metadata")
    if not isinstance(metadata, Mapping):
        yield "metadata must be there"
        return
    yield from _name_unknown("metadata", metadata, _METADATA_KEYS)
    yield from _name_unknown("metadata.scenario", metadata.get("scenario", {}), _SCENARIO_KEYS)
    if metadata.get("version") != 1:
        yield "metadata.version must be 1"
    if metadata.get("designer") != {"orphans": []}:
        yield "metadata.designer must be an empty list of orphans"


def _name_unknown(where: str, found: Iterable[str], known: set[str]) -> Iterator[str]:
    for key in sorted(set(found) - known):
        yield f"{where} must not have {key}"


def _check_ids(positions: list[ModulePosition]) -> Iterator[str]:
    ids = [position.module.get("id") for position in positions]
    for text, times in Counter(map(repr, ids)).items():
        if times > 1:
            yield f"the id {text} is given {times} times"
    for module_id in ids:
        if type(module_id) is not int or module_id < 1:
            yield f"an id must be a whole number from 1, not {module_id!r}"


def _check_module(position: ModulePosition) -> Iterator[str]:
    yield from _check_kind(position)
    yield from _check_position(position)
    yield from _check_filter(position)
    yield from _check_handlers(position)
    yield from find_field_faults(position.module)
    yield from find_template_faults(position)


def _check_kind(position: ModulePosition) -> Iterator[str]:
    module = position.module
    yield from _name_unknown("it", module, _MODULE_KEYS)
    kind = module.get("module")
    if kind not in VERSIONS:
        yield f"Make.com knows no {kind}"
    elif type(module.get("version")) is not int or module["version"] != VERSIONS[kind]:
        yield f"{kind} must have version {VERSIONS[kind]}, not {module.get('version')!r}"
    designer = module.get("metadata", {}).get("designer", {})
    if not all(type(designer.get(axis)) is int for axis in ("x", "y")):
        yield "metadata.designer must have whole numbers x and y"


def _check_position(position: ModulePosition) -> Iterator[str]:
    kind = position.module.get("module")
    if kind == WEBHOOK and not position.is_first:
        yield "a webhook must be the first module"
    if (kind in _HANDLERS) != position.is_handler:
        yield f"{kind} must{'' if kind in _HANDLERS else ' not'} stand under onerror"
    if kind == ROUTER:
        yield from _check_router(position)
    elif "routes" in position.module:
        yield "only a router has routes"


def _check_router(position: ModulePosition) -> Iterator[str]:
    module = position.module
    if "mapper" not in module or module["mapper"] is not None:
        yield "a router's mapper must be null"
    if module.get("filter") is not None:
        yield "a router must have no filter: put it on the first module of a route"
    if not position.is_last:
        yield "nothing may follow a router but its routes"
    if not module.get("routes"):
        yield "a router must have routes"
    for number, route in enumerate(module.get("routes") or (), start=1):
        if not route.get("flow"):
            yield f"route {number} must have a module"
        elif not route["flow"][0].get("filter"):
            yield f"the first module of route {number} must have a filter: every matching route runs"


def _check_filter(position: ModulePosition) -> Iterator[str]:
    condition = position.module.get("filter")
    if condition is None:
        return
    if position.is_first:
        yield "the first module must have no filter"
    if set(condition) != {"name", "conditions"} or not condition["name"]:
        yield "a filter must have a name and conditions"
        return
    groups = condition["conditions"]
    if not isinstance(groups, list) or not groups or not all(isinstance(group, list) and group for group in groups):
        yield "conditions must be a list of lists: any of the outer, all of the inner"


def _check_handlers(position: ModulePosition) -> Iterator[str]:
    kind, handlers = position.module.get("module"), position.module.get("onerror")
    if handlers is not None and (not isinstance(handlers, list) or len(handlers) != 1):
        yield "onerror must be a list of one handler"
    if not handlers and kind not in {WEBHOOK, ROUTER, *_HANDLERS}:
        yield "it must have a handler: an error would switch the scenario off or lose the run"


def _check_settings(blueprint: Mapping[str, Any], positions: list[ModulePosition]) -> Iterator[str]:
    metadata = blueprint.get("metadata") or {}
    kinds = {position.module.get("module") for position in positions}
    if metadata.get("instant") is not (WEBHOOK in kinds):
        yield "metadata.instant must be true with a webhook and false without"
    if BREAK in kinds and metadata.get("scenario", {}).get("dlq") is not True:
        yield "metadata.scenario.dlq must be true: a Break keeps what it tries again among the incomplete executions"
