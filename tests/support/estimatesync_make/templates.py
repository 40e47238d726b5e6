"""Make.com's template language, as much of it as the blueprints use: text with `{{…}}` holes, read into expressions.

`rules` reads templates to find what they refer to, `rehearsal` renders them with `expressions`. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

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
