"""Builders of Make.com's modules, one for each kind that the blueprints use, and where they stand on the canvas.

What a person chooses after the import (the webhook, the Gmail connection, the data store) is left out: a blueprint that
names one of another account cannot be saved.
"""

from collections.abc import Sequence
from typing import Any, Final

Module = dict[str, Any]

WEBHOOK: Final = "gateway:CustomWebHook"
HTTP: Final = "http:MakeRequest"
ROUTER: Final = "builtin:BasicRouter"
BREAK: Final = "builtin:Break"
IGNORE: Final = "builtin:Ignore"
SET_VARIABLES: Final = "util:SetVariables"
PARSE_JSON: Final = "json:ParseJSON"
GMAIL: Final = "google-email:sendAnEmail"
EXIST_RECORD: Final = "datastore:ExistRecord"
ADD_RECORD: Final = "datastore:AddRecord"

VERSIONS: Final = {
    WEBHOOK: 1,
    HTTP: 4,
    ROUTER: 1,
    BREAK: 1,
    IGNORE: 1,
    SET_VARIABLES: 1,
    PARSE_JSON: 1,
    GMAIL: 4,
    EXIST_RECORD: 1,
    ADD_RECORD: 1,
}
"""Every module that may appear; Make.com shows one with another name or version as "Module Not Found"."""

HANDLER_OFFSET: Final = 100
"""A handler's id is that of the module it guards and this."""

_STEP_X: Final = 300
_STEP_Y: Final = 300


def build_module(
    module_id: int,
    kind: str,
    name: str,
    *,
    mapper: dict[str, Any] | None,
    parameters: dict[str, Any] | None = None,
    condition: dict[str, Any] | None = None,
    handler: Module | None = None,
) -> Module:
    """Build any module; `lay_out` gives it its place.

    Args:
        module_id: By which templates refer to what it puts out.
        kind: One of VERSIONS.
        name: What the canvas shows below it.
        mapper: Its fields; None for a router.
        parameters: What does not depend on the data.
        condition: The filter in front of it.
        handler: What follows if it fails.
    """
    module: Module = {"id": module_id, "module": kind, "version": VERSIONS[kind], "parameters": parameters or {}}
    if condition is not None:
        module["filter"] = condition
    module |= {"mapper": mapper, "metadata": {"designer": {"x": 0, "y": 0, "name": name}}}
    if handler is not None:
        module["onerror"] = [handler]
    return module


def build_break(guarded: int, *, count: int, minutes: int) -> Module:
    """Keep what failed as an incomplete execution and try it again, so many times, so far apart."""
    mapper = {"retry": True, "count": count, "interval": minutes}
    return build_module(guarded + HANDLER_OFFSET, BREAK, "Try again", mapper=mapper)


def build_ignore(guarded: int) -> Module:
    """Drop what failed."""
    return build_module(guarded + HANDLER_OFFSET, IGNORE, "Drop it", mapper={})


def build_router(module_id: int, name: str, routes: Sequence[Sequence[Module]]) -> Module:
    """Send a bundle along every route whose first module's filter lets it pass."""
    router = build_module(module_id, ROUTER, name, mapper=None)
    return router | {"routes": [{"flow": list(route)} for route in routes]}


def build_variables(**variables: str) -> dict[str, Any]:
    """Build the fields of "Set multiple variables"."""
    return {"variables": [{"name": name, "value": value} for name, value in variables.items()], "scope": "roundtrip"}


def build_filter(name: str, *conditions: tuple[str, str, str]) -> dict[str, Any]:
    """Let pass what fulfils all conditions, each `(left, operator, right)`."""
    return {
        "name": name,
        "conditions": [[{"a": left, "o": operator, "b": right} for left, operator, right in conditions]],
    }


def lay_out(flow: Sequence[Module], *, x: int = 0, y: int = 0) -> None:
    """Place modules from left to right, routes below each other, handlers half a step to the right and below."""
    for step, module in enumerate(flow):
        designer = module["metadata"]["designer"]
        designer["x"], designer["y"] = x + step * _STEP_X, y
        for handler in module.get("onerror", ()):
            lay_out([handler], x=designer["x"] + _STEP_X // 2, y=y + _STEP_Y // 2)
        for number, route in enumerate(module.get("routes", ())):
            lay_out(route["flow"], x=designer["x"] + _STEP_X, y=y + number * _STEP_Y)
