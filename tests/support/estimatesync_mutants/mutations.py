"""What may be changed in a module, and how: each place of its syntax tree with what could stand there instead.

Not only functions are changed. Half of what this product decides stands in tables and defaults, which are made while a
module is imported. Left alone is what a type checker or a reader judges: annotations, docstrings, the options of
classes and decorators, protocols, and sentences for people, which `tests/agreement` compares with the pages that show
them.
"""

import ast
import copy
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

LONGEST_TEXT: Final = 90
"""Characters of a change as it is shown; a larger expression is shown in part."""

_OPERATORS: Final[dict[type[ast.AST], type[ast.AST]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    ast.Break: ast.Continue, ast.Continue: ast.Break,
}  # fmt: skip
_NAMES: Final = {
    "min": "max", "max": "min", "any": "all", "all": "any", "startswith": "endswith", "endswith": "startswith",
    "removeprefix": "removesuffix", "removesuffix": "removeprefix", "partition": "rpartition", "lower": "upper",
}  # fmt: skip
_NO_DECISIONS: Final = ("TypeVar", "NewType", "cast")
"""Calls that only a type checker reads."""


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One change.

    Attributes:
        module, path: whose, and its file below the root of the checkout.
        number: its place among those of the module, from 0.
        scope: the function or class that it stands in; empty at the level of the module.
        lines: those of the statement that it is in; None for what is made when the module is imported.
        before, after: the expression that changes, or the part of it that can be shown.
    """

    module: str
    path: Path
    number: int
    scope: str
    line: int
    lines: range | None
    before: str
    after: str

    def __str__(self) -> str:
        where = f" in {self.scope}" if self.scope else ""
        return f"{self.path}:{self.line}{where}: {self.before}  →  {self.after}"


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a node hangs in the tree, and what could hang there."""

    owner: ast.AST
    field: str
    index: int | None
    new: ast.AST | None

    @property
    def old(self) -> ast.AST:
        value = getattr(self.owner, self.field)
        return value if self.index is None else value[self.index]  # type: ignore[no-any-return]

    def put(self, node: ast.AST | None) -> None:
        if self.index is None:
            setattr(self.owner, self.field, node)
        elif node is None:
            del getattr(self.owner, self.field)[self.index]
        else:
            getattr(self.owner, self.field)[self.index] = node


@dataclass(frozen=True, kw_only=True)
class _Context:
    """What surrounds a node: the scopes, the statement, and the expressions from there down to it."""

    scopes: tuple[str, ...] = ()
    is_in_function: bool = False
    statement: ast.stmt | None = None
    above: tuple[ast.AST, ...] = ()


def count_mutations(source: str) -> int:
    """Count the changes that a module can be given."""
    return sum(1 for _ in _walk(ast.parse(source), _Context()))


def describe_mutations(module: str, path: Path, source: str, numbers: Collection[int]) -> Iterator[Mutation]:
    """Describe some of the changes of a module, by their places in the one order that they always have."""
    for number, (place, context) in enumerate(_walk(ast.parse(source), _Context())):
        if number in numbers:
            yield _describe(module, path, number, place, context)


def mutate(source: str, number: int) -> ast.Module:
    """Build the syntax tree with one of the changes, by its place."""
    tree = ast.parse(source)
    place, _ = next(islice(_walk(tree, _Context()), number, None))
    place.put(place.new)
    return ast.fix_missing_locations(tree)


def _walk(node: ast.AST, context: _Context) -> Iterator[tuple[_Place, _Context]]:
    for owner, field, index, child in _list_children(node):
        inner = _enter(child, context)
        for new in _list_replacements(owner, field, child):
            yield _Place(owner=owner, field=field, index=index, new=new), inner
        yield from _walk(child, inner)


def _list_children(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    if _is_left_alone(node):
        return
    for field in _list_fields(node):
        value = getattr(node, field)
        if isinstance(value, list):
            yield from ((node, field, index, item) for index, item in enumerate(value) if isinstance(item, ast.AST))
        elif isinstance(value, ast.AST):
            yield node, field, None, value


def _list_fields(node: ast.AST) -> Sequence[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return ("args", "body")
        case ast.ClassDef():
            return ("body",)
        case ast.arguments():
            return ("defaults", "kw_defaults")
        case ast.AnnAssign():
            return ("value",)
        case _:
            return node._fields


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.ClassDef(bases=bases):
            return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in bases)
        case ast.Call(func=ast.Name(id=name)):
            return name in _NO_DECISIONS
        case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case _:
            return False


def _enter(node: ast.AST, context: _Context) -> _Context:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        is_function = not isinstance(node, ast.ClassDef)
        return _Context(
            scopes=(*context.scopes, node.name),
            is_in_function=context.is_in_function or is_function,
            statement=None,
        )
    if isinstance(node, ast.stmt):
        return _Context(scopes=context.scopes, is_in_function=context.is_in_function, statement=node, above=(node,))
    return _Context(
        scopes=context.scopes,
        is_in_function=context.is_in_function,
        statement=context.statement,
        above=(*context.above, node),
    )


def _list_replacements(owner: ast.AST, field: str, node: ast.AST) -> Iterator[ast.AST | None]:
    match node:
        case ast.Constant(value=value) if not isinstance(owner, ast.Expr):
            yield from (ast.Constant(value=other) for other in _list_other_values(value))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield copy.deepcopy(operand)
        case ast.Name(id=name) if name in _NAMES:
            yield ast.Name(id=_NAMES[name], ctx=ast.Load())
        case ast.Attribute(value=value, attr=name) if name in _NAMES:
            yield ast.Attribute(value=copy.deepcopy(value), attr=_NAMES[name], ctx=ast.Load())
        case ast.AugAssign(target=target, value=value):
            yield ast.Assign(targets=[copy.deepcopy(target)], value=copy.deepcopy(value), lineno=node.lineno)
        case ast.keyword(arg=str(), value=value) if not (isinstance(value, ast.Constant) and _is_prose(value.value)):
            yield None
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass()
        case _ if type(node) in _OPERATORS:
            yield _OPERATORS[type(node)]()
    is_condition = field == "ifs" or (field == "test" and isinstance(owner, ast.If | ast.IfExp | ast.While))
    if is_condition and isinstance(node, ast.expr) and not _has_other_opposite(node):
        yield ast.UnaryOp(op=ast.Not(), operand=copy.deepcopy(node))


def _has_other_opposite(condition: ast.expr) -> bool:
    """Each change counts once: a comparison has its own opposite, and that of a negation is what it negates."""
    return isinstance(condition, ast.Compare) or (
        isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not)
    )


def _is_prose(value: object) -> bool:
    return isinstance(value, str) and " " in value


def _list_other_values(value: object) -> Iterable[bool | int | float | str | bytes]:
    match value:
        case bool():
            return (not value,)
        case int() | float():
            return (value + 1,)
        case str() if not _is_prose(value):
            return (f"XX{value}",)
        case bytes():
            return (b"XX" + value,)
        case _:
            return ()


def _describe(module: str, path: Path, number: int, place: _Place, context: _Context) -> Mutation:
    old, statement = place.old, context.statement
    shown = _choose_shown(context)
    before = _unparse(shown)
    place.put(place.new)
    after = f"without {_unparse(old)}" if place.new is None else _unparse(place.new if shown is old else shown)
    _put_back(place, old)
    return Mutation(
        module=module,
        path=path,
        number=number,
        scope=".".join(context.scopes),
        line=getattr(old, "lineno", None) or getattr(place.owner, "lineno", None) or 0,
        lines=_list_lines(statement) if statement is not None and context.is_in_function else None,
        before=before,
        after=after,
    )


def _put_back(place: _Place, old: ast.AST) -> None:
    if place.new is None and place.index is not None:
        getattr(place.owner, place.field).insert(place.index, old)
    else:
        place.put(old)


def _choose_shown(context: _Context) -> ast.AST:
    """Choose the largest expression around a change that can still be read; an operator is shown with what it joins."""
    around = [node for node in context.above if isinstance(node, ast.expr | ast.stmt)]
    fitting = [node for node in around if _fits(node)]
    return fitting[0] if fitting else around[-1]


def _fits(node: ast.AST) -> bool:
    return not hasattr(node, "body") and len(ast.unparse(node)) <= LONGEST_TEXT


def _unparse(node: ast.AST) -> str:
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _list_lines(statement: ast.stmt) -> range:
    """List the lines of a statement; of one with a body, those of its head."""
    last = statement.end_lineno or statement.lineno
    body = getattr(statement, "body", None) or getattr(statement, "cases", None)
    if body:
        first = body[0]
        last = max(statement.lineno, (first.pattern if isinstance(first, ast.match_case) else first).lineno - 1)
    return range(statement.lineno, last + 1)
