"""The CustomResourceDefinition that the chart carries is the one that the contract's types make."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from estimatesync_contract.crd import build_crd, format_crd
from estimatesync_contract.spec import CallbackSpec, EstimateSyncSpec
from estimatesync_contract.status import ConditionType, EstimateSyncStatus

CRD_FILE = Path(__file__).parents[2] / "charts" / "estimatesync" / "files" / "crd.yaml"
VERSION = build_crd()["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]
SPEC, STATUS = ROOT["properties"]["spec"], ROOT["properties"]["status"]


def walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


def test_the_committed_file_is_up_to_date() -> None:
    assert CRD_FILE.read_text() == format_crd(), "run `make crd` and commit the result"
    assert yaml.safe_load(CRD_FILE.read_text()) == build_crd()


def test_every_field_of_the_contract_is_in_the_schema_under_its_wire_name() -> None:
    for schema, model in ((SPEC, EstimateSyncSpec), (STATUS, EstimateSyncStatus)):
        wire_names = {field.encode_name for field in msgspec.structs.fields(model)}
        assert set(schema["properties"]) == wire_names


def test_the_schema_is_structural_and_every_value_is_bounded() -> None:
    for path, schema in [*walk(SPEC, "spec"), *walk(STATUS, "status")]:
        assert "type" in schema, path
        assert not {"$ref", "anyOf", "title"} & set(schema), path
        if schema["type"] == "integer":
            assert {"minimum", "maximum"} <= set(schema), path
        if schema["type"] == "string":
            assert {"enum", "format", "maxLength"} & set(schema), path
        if schema["type"] == "array":
            assert "maxItems" in schema, path


def test_kubectl_can_explain_every_field() -> None:
    unexplained = [
        path
        for path, schema in (*walk(SPEC, "spec"), *walk(STATUS, "status"))
        if not path.endswith("[]") and "description" not in schema
    ]

    assert unexplained == []


def test_the_defaults_are_the_contracts() -> None:
    defaults = {name: field["default"] for name, field in SPEC["properties"].items() if "default" in field}

    assert SPEC["default"] == {}
    # What a deployment decides has none here: a default would be taken for what the caller has asked for.
    assert defaults == {"callback": {}, "cancel": False, "suspend": False}
    assert SPEC["properties"]["callback"]["properties"]["enabled"]["default"] is CallbackSpec().enabled is True


def test_every_spec_field_but_cancel_and_suspend_is_immutable() -> None:
    def is_immutable(field: dict[str, Any]) -> bool:
        return any(rule["rule"] == "self == oldSelf" for rule in field.get("x-kubernetes-validations", []))

    mutable = {name for name, field in SPEC["properties"].items() if not is_immutable(field)}

    assert mutable == {"cancel", "suspend"}


def test_optional_fields_without_a_default_may_not_appear_or_vanish() -> None:
    required = set(SPEC.get("required", []))
    optional = {name for name, field in SPEC["properties"].items() if "default" not in field} - required

    rules = {rule["rule"] for rule in SPEC["x-kubernetes-validations"]}

    assert rules == {f"has(self.{name}) == has(oldSelf.{name})" for name in optional}


def test_people_see_the_promised_columns() -> None:
    columns = [(column["name"], column.get("priority", 0)) for column in VERSION["additionalPrinterColumns"]]

    narrow = ["Phase", "Reason", "Progress", "Fetched", "New", "Updated", "Callback", "Duration", "Age"]
    assert columns == [(name, 0) for name in narrow] + [(name, 1) for name in ("From", "To", "Job", "Message")]


def test_the_column_of_the_callback_is_about_all_targets() -> None:
    """`status.callback` is the first of several, which may be delivered while another one is given up."""
    (path,) = (each["jsonPath"] for each in VERSION["additionalPrinterColumns"] if each["name"] == "Callback")

    assert path == f'.status.conditions[?(@.type=="{ConditionType.CALLBACK_DELIVERED}")].reason'


def test_phase_and_reason_can_be_selected() -> None:
    assert VERSION["selectableFields"] == [{"jsonPath": ".status.phase"}, {"jsonPath": ".status.reason"}]


def test_names_status_and_conditions_are_as_kubernetes_users_expect() -> None:
    names = build_crd()["spec"]["names"]

    assert (names["shortNames"], names["categories"]) == (["esync"], ["botzilla"])
    assert VERSION["subresources"] == {"status": {}}
    conditions = STATUS["properties"]["conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])
