"""The rules for what is written between double braces, and for filters' operators. Pure; `rules` calls it."""

from collections.abc import Iterator
from typing import Any

from estimatesync_make.expressions import FUNCTIONS, OPERATORS, VARIABLES
from estimatesync_make.templates import (
    Expression,
    TemplateError,
    find_functions,
    find_references,
    parse_template,
)
from estimatesync_make.walking import Place


def find_template_faults(place: Place) -> Iterator[str]:
    """Find templates that cannot be read, or refer to what is not there yet, or call what nobody knows."""
    condition = place.module.get("filter") or {}
    for text in _find_texts([place.module.get("mapper"), condition]):
        try:
            parts = parse_template(text)
        except TemplateError as error:
            yield str(error)
            continue
        for part in parts:
            if not isinstance(part, str):
                yield from _check_expression(part, place)
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


def _check_expression(expression: Expression, place: Place) -> Iterator[str]:
    for reference in find_references(expression):
        name = ".".join(reference.path)
        if reference.module_id is None and name not in VARIABLES:
            yield f"Make.com has no variable {name}"
        if reference.module_id is not None and reference.module_id not in place.earlier:
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
