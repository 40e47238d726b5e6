"""Make.com's template language, as much of it as the blueprints use: parsing and evaluating it. Pure.

A template is text with `{{…}}` holes, read into expressions. `rules` reads templates to find what they refer to and
call; `simulator` renders them, and works out filters, with the handful of functions and operators that are used.
"""

import base64
import hashlib
import hmac
import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

_HOLE: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_TOKEN: Final = re.compile(
    r"""\s*(?:
        "(?P<text>[^"]*)"
      | (?P<path>\d+(?:\.[A-Za-z_]\w*)+|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<number>\d+)
      | (?P<sign>[();+-])
    )""",
    re.VERBOSE,
)


class TemplateError(ValueError):
    """A template that cannot be read, with what is wrong and where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """A number, or text in quotes."""

    value: str | int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What a module has put out (`1.results.new_estimates`), or a variable of Make.com (`timestamp`)."""

    path: tuple[str, ...]

    @property
    def module_id(self) -> int | None:
        """The module referred to; None for a variable."""
        return int(self.path[0]) if self.path[0].isdecimal() else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A function with its arguments, which semicolons separate."""

    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """`+` and `-`, from left to right; `+` joins texts."""

    left: "Expression"
    sign: str
    right: "Expression"


Expression = Constant | Reference | Call | Sum


def parse_template(template: str) -> tuple[str | Expression, ...]:
    """Split a template into its text and its expressions, in order.

    Raises:
        TemplateError: A hole cannot be read, or braces are left over.
    """
    parts: list[str | Expression] = []
    end = 0
    for hole in _HOLE.finditer(template):
        parts += [template[end : hole.start()], _Reader(hole[1]).read_all()]
        end = hole.end()
    parts.append(template[end:])
    left_over = [part for part in parts if isinstance(part, str) and ("{{" in part or "}}" in part)]
    if left_over:
        raise TemplateError(f"braces without a partner in {left_over[0]!r}")
    return tuple(part for part in parts if part != "")


def find_references(expression: Expression) -> Iterator[Reference]:
    """Find everything that an expression refers to."""
    match expression:
        case Reference():
            yield expression
        case Call(arguments=arguments):
            for argument in arguments:
                yield from find_references(argument)
        case Sum(left=left, right=right):
            yield from find_references(left)
            yield from find_references(right)


def find_functions(expression: Expression) -> Iterator[str]:
    """Find every function that an expression calls."""
    match expression:
        case Call(function=function, arguments=arguments):
            yield function
            for argument in arguments:
                yield from find_functions(argument)
        case Sum(left=left, right=right):
            yield from find_functions(left)
            yield from find_functions(right)


class _Reader:
    """Reads one hole, token by token."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(self._split())

    def read_all(self) -> Expression:
        expression = self._read_sum()
        if self._tokens:
            raise TemplateError(f"cannot read on at {self._tokens[0][1]!r} in {self._source!r}")
        return expression

    def _split(self) -> Iterator[tuple[str, str]]:
        position = 0
        while position < len(self._source.rstrip()):
            token = _TOKEN.match(self._source, position)
            if token is None or token.lastgroup is None:
                raise TemplateError(f"cannot read {self._source[position:]!r} in {self._source!r}")
            yield token.lastgroup, token[token.lastgroup]
            position = token.end()

    def _read_sum(self) -> Expression:
        expression = self._read_operand()
        while self._tokens and self._tokens[0] in {("sign", "+"), ("sign", "-")}:
            _, sign = self._tokens.pop(0)
            expression = Sum(left=expression, sign=sign, right=self._read_operand())
        return expression

    def _read_operand(self) -> Expression:
        kind, word = self._tokens.pop(0) if self._tokens else ("end", "")
        match kind:
            case "text":
                return Constant(value=word)
            case "number":
                return Constant(value=int(word))
            case "path" if self._tokens[:1] == [("sign", "(")]:
                return self._read_call(word)
            case "path":
                return Reference(path=tuple(word.split(".")))
            case _:
                raise TemplateError(f"a value is missing in {self._source!r}")

    def _read_call(self, function: str) -> Expression:
        arguments: list[Expression] = []
        while self._tokens and self._tokens.pop(0) != ("sign", ")"):
            arguments.append(self._read_sum())
            if not self._tokens:
                raise TemplateError(f"{function} is not closed in {self._source!r}")
        return Call(function=function, arguments=tuple(arguments))


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


def matches_filter(condition: Mapping[str, Any] | None, scope: Scope) -> bool:
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
    "if": lambda condition, then, otherwise: otherwise if condition in (None, "", False) else then,
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
    "text:notequal": lambda left, right: format_text(left) != format_text(right),
}

VARIABLES: Final = frozenset({"now", "timestamp", "var.scenario.executionId"})
