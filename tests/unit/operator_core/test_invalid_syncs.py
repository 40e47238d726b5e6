from datetime import UTC, datetime
from typing import Any

from estimatesync_contract.estimate_sync import MalformedSyncError
from estimatesync_operator.core.lifecycle import compute_invalid_status

NOW = datetime(2025, 10, 16, 14, 9, 0, 5, tzinfo=UTC)
ERROR = MalformedSyncError("not a valid EstimateSync: Expected `int`, got `str` - at `$.spec.pageSize`")


def _raw(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "bad", "generation": 3}, "spec": {"pageSize": "many"}, **fields}


def test_an_object_that_cannot_be_read_fails_with_the_field_in_its_message() -> None:
    refusal = compute_invalid_status(_raw(), ERROR, now=NOW)

    assert refusal is not None
    assert refusal["spec"] == {"pageSize": "many"}
    status = refusal["status"]
    assert (status["phase"], status["reason"], status["observedGeneration"]) == ("Failed", "Malformed", 3)
    assert "$.spec.pageSize" in status["message"]
    assert {each["type"]: each["status"] for each in status["conditions"]}["Finished"] == "True"


def test_an_object_that_has_begun_is_left_to_an_operator_that_can_read_it() -> None:
    assert compute_invalid_status(_raw(status={"phase": "Paused"}), ERROR, now=NOW) is None
