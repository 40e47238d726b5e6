"""Walks through every module of a blueprint, in routes and under onerror too, with what each may refer to. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Place:
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
) -> Iterator[Place]:
    """Yield each module's place, in the order in which they run; a handler follows what it guards."""
    for position, module in enumerate(flow):
        yield Place(
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
