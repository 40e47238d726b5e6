"""Builds values.schema.json: the types of the defaults, no other names, and the rules of `value_rules`. Pure."""

from collections.abc import Iterable

from estimatesync_chart.value_rules import FREE, RULES, TEXT, TEXTS, Schema
from estimatesync_chart.values_file import ChartValue


def build_schema(values: Iterable[ChartValue]) -> Schema:
    """Build the JSON schema (draft 7) of all values."""
    root = _build_branch()
    for value in values:
        branch = root
        for key in value.path[:-1]:
            _require(branch, key)
            branch = branch["properties"].setdefault(key, _build_branch())
        branch["properties"][value.path[-1]] = {"description": value.description, **_build_rule(value)}
        if value.default not in ("", [], {}) and value.name not in FREE:
            _require(branch, value.path[-1])
    # Helm adds the first itself; the second is how a chart of charts leaves this one out (`condition`).
    root["properties"] |= {"global": {"type": "object"}, "enabled": {"type": "boolean"}}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the EstimateSync chart", **root}


def _build_branch() -> Schema:
    return {"type": "object", "additionalProperties": False, "required": [], "properties": {}}


def _require(branch: Schema, key: str) -> None:
    """Let a default be changed, but not be taken away: by a null, or by `--reuse-values` of an older chart."""
    if key not in branch["required"]:
        branch["required"].append(key)


def _build_rule(value: ChartValue) -> Schema:
    if value.name in RULES:
        return RULES[value.name]
    match value.default:
        case bool():
            return {"type": "boolean"}
        case str():
            return TEXT
        case dict():
            return {"type": "object"} if value.name in FREE else TEXTS
    raise ValueError(f"{value.name} needs a rule: its default does not say what it takes")
