"""Writes the OpenAPI document from the operations and from the very types that answers are made of. Pure.

OpenAPI 3.1 takes JSON Schema 2020-12, which is what msgspec makes. https://spec.openapis.org/oas/v3.1.1
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from estimatesync_api.core.access import HEADER
from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.core.representation import Body, ProblemBody, to_problem_body
from estimatesync_api.openapi.operations import OPERATIONS, Answer, Operation, Parameter

Schema = dict[str, Any]

_JSON: Final = "application/json"
_REFERENCE: Final = "#/components/schemas/{name}"
_DESCRIPTION: Final = (
    "Pulls estimates from Attic Tech into PostgreSQL. A sync is started with one request, which is answered at once; "
    "the sync runs by itself, and its end is posted to a webhook. Errors are JSON with a `code` that stays as it is; "
    "429, 503 and 504 may be sent again after `Retry-After`, everything else may not."
)


@cache
def build_document() -> Schema:
    """Build the document as JSON builtins, once: whoever shows it only reads it."""
    paths: dict[str, Schema] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method] = _build_operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "EstimateSync", "version": version("estimatesync"), "description": _DESCRIPTION},
        "security": [{"key": []}],
        "paths": dict(paths),
        "components": {
            "schemas": _build_schemas(),
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": HEADER}},
        },
    }


def _build_operation(operation: Operation) -> Schema:
    built: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.text,
        "parameters": [_build_parameter(parameter) for parameter in operation.parameters],
        "responses": _build_responses(operation),
    }
    if operation.is_public:
        built["security"] = []
    if operation.request:
        examples = {name: {"value": _format(body)} for name, body in operation.request_examples.items()}
        schema = {"anyOf": [_refer(operation.request), {"type": "null"}]}
        content = {_JSON: {"schema": schema, "examples": examples}}
        built["requestBody"] = {"required": False, "content": content}
    return {name: value for name, value in built.items() if value or name == "security"}


def _build_parameter(parameter: Parameter) -> Schema:
    return {
        "in": parameter.place,
        "name": parameter.name,
        "required": parameter.place == "path",
        "description": parameter.text,
        "schema": parameter.schema,
    }


def _build_responses(operation: Operation) -> Schema:
    responses = {status: _build_answer(answer) for status, answer in operation.answers.items()}
    for status, problems in _group((*operation.problems, Problem.INTERNAL_ERROR)).items():
        refusal = _build_refusal(problems)
        if status in responses:
            refusal = _merge(responses[status], refusal)
        responses[status] = refusal
    return {str(status): responses[status] for status in sorted(responses)}


def _group(problems: Iterable[Problem]) -> dict[int, list[Problem]]:
    groups: dict[int, list[Problem]] = defaultdict(list)
    for problem in problems:
        groups[int(problem.status)].append(problem)
    return groups


def _build_answer(answer: Answer) -> Schema:
    built: Schema = {"description": answer.text}
    if answer.headers:
        built["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    if isinstance(answer.body, str):
        built["content"] = {answer.body: {"schema": {"type": "string"}, **_build_example(answer.example)}}
    elif answer.body:
        built["content"] = {_JSON: {"schema": _refer(answer.body), **_build_example(answer.example)}}
    return built


def _build_example(example: Body | str | None) -> Schema:
    if example is None:
        return {}
    return {"example": example if isinstance(example, str) else _format(example)}


def _build_refusal(problems: list[Problem]) -> Schema:
    examples = {problem.code: {"value": _format(to_problem_body(ApiError(problem)))} for problem in problems}
    return {
        "description": HTTPStatus(problems[0].status).phrase,
        "content": {_JSON: {"schema": _refer(ProblemBody), "examples": examples}},
    }


def _merge(answer: Schema, refusal: Schema) -> Schema:
    """A status that can mean a sync as well as a problem has either body."""
    one, other = answer["content"][_JSON], refusal["content"][_JSON]
    examples = {"outcome": {"value": one["example"]}, **other["examples"]}
    schema = {"anyOf": [one["schema"], other["schema"]]}
    return {**answer, "content": {_JSON: {"schema": schema, "examples": examples}}}


def _build_schemas() -> Schema:
    answers = [answer.body for operation in OPERATIONS for answer in operation.answers.values()]
    types = [body for body in answers if isinstance(body, type)] + [ProblemBody]
    requests = [operation.request for operation in OPERATIONS if operation.request]
    _, answered = msgspec.json.schema_components(list(dict.fromkeys(types)), ref_template=_REFERENCE)
    _, asked = msgspec.json.schema_components(list(dict.fromkeys(requests)), ref_template=_REFERENCE)
    return {**asked, **{name: _require_all(schema) for name, schema in answered.items()}}


def _require_all(schema: Schema) -> Schema:
    """An answer has its fields with a default as well, but not those of a problem that are only there at times."""
    always = [name for name, field in schema["properties"].items() if "default" in field or name in schema["required"]]
    return {**schema, "required": always}


def _refer(body: type[Body]) -> Schema:
    return {"$ref": _REFERENCE.format(name=body.__name__)}


def _format(body: Body) -> Any:  # noqa: ANN401 - JSON builtins
    return msgspec.to_builtins(body)
