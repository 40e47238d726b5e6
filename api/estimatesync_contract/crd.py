"""The CustomResourceDefinition, generated from the contract's own types so that the two cannot drift.

`python -m estimatesync_contract.crd` prints it; the chart carries the printed file, and a test compares the two.
Structural schemas: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

import sys
from typing import Any, Final

import msgspec

from estimatesync_contract.names import (
    CATEGORY,
    GROUP,
    KIND,
    PLURAL,
    SHORT_NAME,
    SINGULAR,
    SYNC_NAME_MAX_LENGTH,
    VERSION,
)
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import EstimateSyncStatus

Schema = dict[str, Any]

_MUTABLE_FIELDS: Final = frozenset({"cancel", "suspend"})

SELECTABLE: Final = (".status.phase", ".status.reason")
"""What `kubectl get --field-selector` knows. Kubernetes has it since 1.32: the chart leaves it out on older servers."""
_COLUMNS: Final = (
    ("Phase", "string", ".status.phase", 0),
    ("Reason", "string", ".status.reason", 0),
    ("Progress", "string", ".status.progress.text", 0),
    ("Fetched", "integer", ".status.progress.fetched", 0),
    ("New", "integer", ".status.results.newEstimates", 0),
    ("Updated", "integer", ".status.results.updatedEstimates", 0),
    # Of several targets, the one that is worst off.
    ("Callback", "string", '.status.conditions[?(@.type=="CallbackDelivered")].reason', 0),
    ("Duration", "string", ".status.duration", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("From", "string", ".status.dateRange.start", 1),
    ("To", "string", ".status.dateRange.end", 1),
    ("Job", "string", ".status.jobName", 1),
    ("Message", "string", ".status.message", 1),
)


def build_crd() -> Schema:
    """Build the CustomResourceDefinition as JSON builtins."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": [SHORT_NAME],
                "categories": [CATEGORY],
            },
            "versions": [_build_version()],
        },
    }


def _build_version() -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": path} for path in SELECTABLE],
        "additionalPrinterColumns": [_build_column(*column) for column in _COLUMNS],
        "schema": {"openAPIV3Schema": _build_root_schema()},
    }


def _build_column(name: str, kind: str, path: str, priority: int) -> Schema:
    """Without a priority of 0, which the API server leaves out, too."""
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "priority": priority} if priority else column


def _build_root_schema() -> Schema:
    return {
        "type": "object",
        "description": "One pull of estimates from Attic Tech into PostgreSQL.",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _build_spec_schema(),
            "status": _build_status_schema(),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"self.metadata.name.size() <= {SYNC_NAME_MAX_LENGTH}",
                "message": f"metadata.name must be at most {SYNC_NAME_MAX_LENGTH} characters long",
            }
        ],
    }


def _build_spec_schema() -> Schema:
    schema = _build_schema(EstimateSyncSpec)
    for name, field in schema["properties"].items():
        if name not in _MUTABLE_FIELDS:
            field.setdefault("x-kubernetes-validations", []).append(
                {"rule": "self == oldSelf", "message": f"{name} cannot be changed; create a new {KIND} instead"}
            )
    schema["properties"]["dateRange"]["x-kubernetes-validations"].append(
        {"rule": "self.start <= self.end", "message": "dateRange.start must not be after dateRange.end"}
    )
    callback = schema["properties"]["callback"]
    callback["x-kubernetes-validations"].append(
        {
            "rule": "!(has(self.targets) && has(self.urlSecretRef))",
            "message": "callback: name targets or a urlSecretRef, not both",
        }
    )
    callback["properties"]["targets"]["x-kubernetes-list-type"] = "set"
    schema["properties"]["cancel"]["x-kubernetes-validations"] = [
        {"rule": "!oldSelf || self", "message": f"cancel cannot be taken back; create a new {KIND} instead"}
    ]
    # A field's own rule is not evaluated when the field appears or vanishes, so its presence is compared one level up.
    schema["x-kubernetes-validations"] = [
        {
            "rule": f"has(self.{name}) == has(oldSelf.{name})",
            "message": f"{name} cannot be added or removed; create a new {KIND} instead",
        }
        for name, field in schema["properties"].items()
        if "default" not in field
    ]
    return {**schema, "default": {}}


def _build_status_schema() -> Schema:
    schema = _build_schema(EstimateSyncStatus)
    schema["properties"]["conditions"] |= {
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    return schema


def _build_schema(model: type[msgspec.Struct]) -> Schema:
    """Turn msgspec's JSON schema into a structural one: no references, no null branches, no titles."""
    (root,), definitions = msgspec.json.schema_components([model])
    return _flatten(root, definitions)


def _flatten(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    schema = _resolve(_without_null(schema), definitions)
    flat = {key: value for key, value in schema.items() if key not in {"title", "$ref"}}
    if "enum" in flat:
        flat["type"] = "string"
    if ("default" in flat and flat["default"] is None) or flat.get("type") == "array":
        flat.pop("default", None)
    if "properties" in flat:
        flat["properties"] = {name: _flatten(child, definitions) for name, child in flat["properties"].items()}
    if not flat.get("required"):
        flat.pop("required", None)
    if "items" in flat:
        flat["items"] = _flatten(flat["items"], definitions)
    return flat


def _resolve(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Replace a reference by what it names; what stands next to the reference (description, default) wins."""
    if "$ref" not in schema:
        return schema
    target = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _without_null(schema: Schema) -> Schema:
    """An optional field of ours is absent in Kubernetes, never null."""
    if "anyOf" not in schema:
        return schema
    (branch,) = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return {**branch, **rest}


def format_crd() -> str:
    """Write the CustomResourceDefinition as the YAML file that the chart carries."""
    import yaml  # noqa: PLC0415 - only who generates the file needs PyYAML, not everyone who imports the contract

    # Read back, because PyYAML would write what stands in two places as a reference.
    crd = msgspec.json.decode(msgspec.json.encode(build_crd()))
    body: str = yaml.safe_dump(crd, sort_keys=False, allow_unicode=True, width=120)
    return f"# Generated by `make crd`; do not edit.\n{body}"


if __name__ == "__main__":
    sys.stdout.write(format_crd())
