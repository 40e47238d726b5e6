"""Works out templates and filters as Make.com does, with the handful of functions and operators that are used.

`rehearsal` calls it; an unknown function or operator is a fault of the blueprint, which `rules` finds first. Pure.
"""

import base64
import hashlib
import hmac
import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from estimatesync_make.templates import Call, Constant, Expression, Reference, Sum, parse_template


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a template sees."""

    outputs: Mapping[int, Any] = field(default_factory=dict)
    """What each earlier module has put out, by id."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Make.com's own, by their whole name: `now`, `timestamp`, `var.scenario.executionId`."""


def render(value: Any, scope: Scope) -> Any:  # noqa: ANN401 - fields hold any JSON
    """Fill the templates in a field, however deep: one that is a single hole keeps its type, any other becomes text."""
    match value:
        case str():
            parts = [part if isinstance(part, str) else _evaluate(part, scope) for part in parse_template(value)]
            return parts[0] if len(parts) == 1 else "".join(map(format_text, parts))
        case list():
            return [render(item, scope) for item in value]
        case dict():
            return {name: render(item, scope) for name, item in value.items()}
        case _:
            return value


def lets_pass(condition: Mapping[str, Any] | None, scope: Scope) -> bool:
    """Decide whether a filter lets a bundle pass: any of its groups, all conditions of the group. None: always."""
    if condition is None:
        return True
    return any(all(_is_fulfilled(each, scope) for each in group) for group in condition["conditions"])


def format_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write a value into a text: nothing for what is missing, numbers as JavaScript writes them."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case _:
            return str(value)


def _evaluate(expression: Expression, scope: Scope) -> Any:  # noqa: ANN401 - any JSON value
    match expression:
        case Constant(value=value):
            return value
        case Reference():
            return _look_up(expression, scope)
        case Call(function=function, arguments=arguments):
            return FUNCTIONS[function](*(_evaluate(argument, scope) for argument in arguments))
        case Sum(left=left, sign=sign, right=right):
            return _add(_evaluate(left, scope), sign, _evaluate(right, scope))


def _look_up(reference: Reference, scope: Scope) -> Any:  # noqa: ANN401 - any JSON value
    if reference.module_id is None:
        return scope.variables[".".join(reference.path)]
    value = scope.outputs[reference.module_id]
    for name in reference.path[1:]:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _add(left: Any, sign: str, right: Any) -> Any:  # noqa: ANN401 - any JSON value
    if sign == "-":
        return left - right
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return format_text(left) + format_text(right)


def _is_fulfilled(condition: Mapping[str, Any], scope: Scope) -> bool:
    left, right = (render(condition.get(side, ""), scope) for side in ("a", "b"))
    return OPERATORS[condition["o"]](left, right)


def _compare_numbers(compare: Callable[[float, float], bool]) -> Callable[[Any, Any], bool]:
    def decide(left: Any, right: Any) -> bool:  # noqa: ANN401 - any JSON value
        try:
            return compare(float(left), float(right))
        except (TypeError, ValueError):
            return False

    return decide


def _map(array: Any, name: str, key: str, wanted: str) -> list[Any]:  # noqa: ANN401 - any JSON value
    return [item.get(name) for item in array or () if item.get(key) == wanted]


def _get(array: list[Any], position: int) -> Any:  # noqa: ANN401 - any JSON value
    return array[position - 1] if len(array) >= position else None


def _replace(text: Any, search: str, replacement: str) -> str:  # noqa: ANN401 - any JSON value
    return format_text(text).replace(search, replacement)


def _sha256(text: str, encoding: str, key: str, key_encoding: str) -> str:
    """With a key an HMAC, without one a plain hash."""
    if (encoding, key_encoding) != ("base64", "base64"):
        raise NotImplementedError(f"sha256 is played with base64 only, not {encoding} and {key_encoding}")
    content = text.encode()
    raw_key = base64.b64decode(key + "=" * (-len(key) % 4))
    digest = hmac.new(raw_key, content, hashlib.sha256).digest() if raw_key else hashlib.sha256(content).digest()
    return base64.b64encode(digest).decode()


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "escapeHTML": lambda text: html.escape(format_text(text)),
    "get": _get,
    "map": _map,
    "replace": _replace,
    "sha256": _sha256,
}

OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "boolean:equal": lambda left, right: format_text(left) == format_text(right),
    "exist": lambda left, _: left not in (None, ""),
    "number:greaterorequal": _compare_numbers(lambda left, right: left >= right),
    "number:lessorequal": _compare_numbers(lambda left, right: left <= right),
    "text:contain": lambda left, right: format_text(right) in format_text(left),
    "text:equal": lambda left, right: format_text(left) == format_text(right),
}

VARIABLES: Final = frozenset({"now", "timestamp", "var.scenario.executionId"})
