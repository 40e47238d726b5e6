"""Makes `docs/reference/resource.md` out of the CustomResourceDefinition, which the contract's types make. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from estimatesync_contract.crd import build_crd

from estimatesync_docs.tables import format_code, format_page, format_table

_INTRODUCTION: Final = """
`{group}/{version}`, kind {kind}, short name `{short}`; namespaced. `kubectl explain estimatesync.spec` says the same.

```yaml
apiVersion: {group}/{version}
kind: {kind}
metadata:
  name: october
spec:
  dateRange: {{start: 2025-10-01, end: 2025-10-31}}
```

Every field of `spec` itself may be left out; within `dateRange` and `urlSecretRef` all are needed. What is *fixed*
cannot be changed, added or taken away once the object is there: the API server refuses it.
"""
_STATUS: Final = "Written by the operator alone."
_COLUMNS: Final = "`kubectl get estimatesyncs` shows these; those marked *wide* with `--output=wide`."
_IMMUTABLE: Final = "self == oldSelf"

Schema = Mapping[str, Any]


def format_resource_page() -> str:
    """Write the page."""
    crd = build_crd()["spec"]
    (version,) = crd["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    introduction = _INTRODUCTION.format(
        group=crd["group"], version=version["name"], kind=crd["names"]["kind"], short=crd["names"]["shortNames"][0]
    )
    return format_page(
        "The EstimateSync resource",
        introduction.strip(),
        "## Spec",
        format_table(
            ["Field", "Type", "Default", "Once created", "Meaning"],
            (
                [
                    format_code(path),
                    _format_type(schema),
                    _format_default(schema),
                    "fixed" if is_fixed else "may change",
                    _format_meaning(schema),
                ]
                for path, schema, is_fixed in _walk(properties["spec"], "spec")
            ),
        ),
        "## Status",
        _STATUS,
        format_table(
            ["Field", "Type", "Meaning"],
            (
                [format_code(path), _format_type(schema), _format_meaning(schema)]
                for path, schema, _ in _walk(properties["status"], "status")
            ),
        ),
        "## Columns",
        _COLUMNS,
        format_table(
            ["Column", "From"],
            (
                [column["name"] + (" (*wide*)" if column.get("priority") else ""), format_code(column["jsonPath"])]
                for column in version["additionalPrinterColumns"]
            ),
        ),
    )


def _walk(schema: Schema, path: str, *, is_fixed: bool = False) -> Iterator[tuple[str, Schema, bool]]:
    """Every field below, its own parts behind it; what is within a fixed field is fixed with it."""
    for name, child in schema["properties"].items():
        child_fixed = is_fixed or _IMMUTABLE in _list_rules(child)
        yield f"{path}.{name}", child, child_fixed
        inner, inner_path = (child["items"], f"{path}.{name}[]") if "items" in child else (child, f"{path}.{name}")
        if "properties" in inner:
            yield from _walk(inner, inner_path, is_fixed=child_fixed)


def _list_rules(schema: Schema) -> Mapping[str, str]:
    """What the API server checks, and what it says otherwise."""
    return {rule["rule"]: rule["message"] for rule in schema.get("x-kubernetes-validations", ())}


def _format_type(schema: Schema) -> str:
    kind = schema.get("format", schema["type"])
    values = ", ".join(map(format_code, schema.get("enum", ())))
    bounds = (
        _format_bounds(schema, "minimum", "maximum", ""),
        _format_bounds(schema, "minLength", "maxLength", " characters"),
        _format_bounds(schema, "minItems", "maxItems", " entries"),
    )
    return ", ".join(filter(None, (kind, values, *bounds)))


def _format_bounds(schema: Schema, low: str, high: str, unit: str) -> str:
    if high not in schema:
        return ""
    return f"{schema[low]:,} to {schema[high]:,}{unit}" if low in schema else f"at most {schema[high]:,}{unit}"


def _format_default(schema: Schema) -> str:
    return format_code(json.dumps(schema["default"])) if "default" in schema else ""


def _format_meaning(schema: Schema) -> str:
    """Write the description, and each rule that is more than immutability."""
    rules = [message for rule, message in _list_rules(schema).items() if rule != _IMMUTABLE]
    return " ".join([schema.get("description", ""), *(f"Rule: {rule}." for rule in rules)]).strip()
