"""The rules of Make.com's blueprint format, as far as they are known: each fault is a sentence that says where it is.

Make.com shows a broken blueprint as "Module Not Found", loses routes without a word, or refuses to save it, and none of
that can be seen from here. `main` writes only what breaks none of these rules. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from estimatesync_make.field_rules import find_field_faults
from estimatesync_make.modules import BREAK, IGNORE, ROUTER, VERSIONS, WEBHOOK
from estimatesync_make.template_rules import find_template_faults
from estimatesync_make.walking import Place, walk

_TOP_KEYS: Final = {"name", "description", "flow", "metadata"}
_METADATA_KEYS: Final = {"instant", "version", "scenario", "designer"}
_SCENARIO_KEYS: Final = {
    *("roundtrips", "maxErrors", "autoCommit", "autoCommitTriggerLast", "sequential", "slots", "confidential"),
    *("dataloss", "dlq", "freshVariables"),
}
_MODULE_KEYS: Final = {"id", "module", "version", "parameters", "filter", "mapper", "metadata", "onerror", "routes"}
_HANDLERS: Final = {BREAK, IGNORE}


def find_faults(blueprint: Mapping[str, Any]) -> list[str]:
    """Find everything that is wrong with a blueprint; an empty list if nothing is."""
    flow = blueprint.get("flow")
    faults = list(_check_top(blueprint))
    if not isinstance(flow, list) or not flow:
        return [*faults, "flow must be a list of at least one module"]
    places = list(walk(flow))
    faults += _check_ids(places)
    for place in places:
        faults += [f"module {place.module.get('id')}: {fault}" for fault in _check_module(place)]
    return [*faults, *_check_settings(blueprint, places)]


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


def _check_ids(places: list[Place]) -> Iterator[str]:
    ids = [place.module.get("id") for place in places]
    for text, times in Counter(map(repr, ids)).items():
        if times > 1:
            yield f"the id {text} is given {times} times"
    for module_id in ids:
        if type(module_id) is not int or module_id < 1:
            yield f"an id must be a whole number from 1, not {module_id!r}"


def _check_module(place: Place) -> Iterator[str]:
    yield from _check_kind(place)
    yield from _check_position(place)
    yield from _check_filter(place)
    yield from _check_handlers(place)
    yield from find_field_faults(place.module)
    yield from find_template_faults(place)


def _check_kind(place: Place) -> Iterator[str]:
    module = place.module
    yield from _name_unknown("it", module, _MODULE_KEYS)
    kind = module.get("module")
    if kind not in VERSIONS:
        yield f"Make.com knows no {kind}"
    elif type(module.get("version")) is not int or module["version"] != VERSIONS[kind]:
        yield f"{kind} must have version {VERSIONS[kind]}, not {module.get('version')!r}"
    designer = module.get("metadata", {}).get("designer", {})
    if not all(type(designer.get(axis)) is int for axis in ("x", "y")):
        yield "metadata.designer must have whole numbers x and y"


def _check_position(place: Place) -> Iterator[str]:
    kind = place.module.get("module")
    if kind == WEBHOOK and not place.is_first:
        yield "a webhook must be the first module"
    if (kind in _HANDLERS) != place.is_handler:
        yield f"{kind} must{'' if kind in _HANDLERS else ' not'} stand under onerror"
    if kind == ROUTER:
        yield from _check_router(place)
    elif "routes" in place.module:
        yield "only a router has routes"


def _check_router(place: Place) -> Iterator[str]:
    module = place.module
    if "mapper" not in module or module["mapper"] is not None:
        yield "a router's mapper must be null"
    if module.get("filter") is not None:
        yield "a router must have no filter: put it on the first module of a route"
    if not place.is_last:
        yield "nothing may follow a router but its routes"
    if not module.get("routes"):
        yield "a router must have routes"
    for number, route in enumerate(module.get("routes") or (), start=1):
        if not route.get("flow"):
            yield f"route {number} must have a module"
        elif not route["flow"][0].get("filter"):
            yield f"the first module of route {number} must have a filter: every matching route runs"


def _check_filter(place: Place) -> Iterator[str]:
    condition = place.module.get("filter")
    if condition is None:
        return
    if place.is_first:
        yield "the first module must have no filter"
    if set(condition) != {"name", "conditions"} or not condition["name"]:
        yield "a filter must have a name and conditions"
        return
    groups = condition["conditions"]
    if not isinstance(groups, list) or not groups or not all(isinstance(group, list) and group for group in groups):
        yield "conditions must be a list of lists: any of the outer, all of the inner"


def _check_handlers(place: Place) -> Iterator[str]:
    kind, handlers = place.module.get("module"), place.module.get("onerror")
    if handlers is not None and (not isinstance(handlers, list) or len(handlers) != 1):
        yield "onerror must be a list of one handler"
    if not handlers and kind not in {WEBHOOK, ROUTER, *_HANDLERS}:
        yield "it must have a handler: an error would switch the scenario off or lose the run"


def _check_settings(blueprint: Mapping[str, Any], places: list[Place]) -> Iterator[str]:
    metadata = blueprint.get("metadata") or {}
    kinds = {place.module.get("module") for place in places}
    if metadata.get("instant") is not (WEBHOOK in kinds):
        yield "metadata.instant must be true with a webhook and false without"
    if BREAK in kinds and metadata.get("scenario", {}).get("dlq") is not True:
        yield "metadata.scenario.dlq must be true: a Break keeps what it tries again among the incomplete executions"
