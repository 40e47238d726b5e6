import json

import pytest
from estimatesync_api.adapters.kubernetes_store import to_store_error
from estimatesync_api.core.problems import StoreUnavailableError, SyncExistsError, SyncRefusedError
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_kubernetes.errors import (
    ApiStatus,
    NotFoundError,
    UnreachableError,
    build_api_error,
    parse_api_status,
)

INVALID = 'EstimateSync.botzilla.io "est-1" is invalid: spec.pageSize: Invalid value: 0: must be at least 1'
DENIED = 'admission webhook "rules.internal" denied the request: no syncs on Mondays'
POLICY = "\"est-1\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no syncs on Mondays"


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        pytest.param(409, "AlreadyExists", SyncExistsError, id="name taken"),
        pytest.param(409, "Conflict", StoreUnavailableError, id="quota being counted"),
        pytest.param(400, "BadRequest", SyncRefusedError, id="denied by a webhook"),
        pytest.param(422, "Invalid", SyncRefusedError, id="against a rule"),
        pytest.param(401, "Unauthorized", StoreUnavailableError, id="token expired"),
        pytest.param(403, "Forbidden", StoreUnavailableError, id="rights missing or quota used up"),
        pytest.param(404, "", StoreUnavailableError, id="resource not installed"),
        pytest.param(429, "TooManyRequests", StoreUnavailableError, id="too many requests"),
        pytest.param(500, "InternalError", StoreUnavailableError, id="broken"),
        pytest.param(504, "Timeout", StoreUnavailableError, id="too slow"),
    ],
)
def test_only_a_refused_sync_is_refused_for_good(code: int, reason: str, expected: type[Exception]) -> None:
    assert isinstance(to_store_error(build_api_error(code, ApiStatus(reason=reason, message="why"))), expected)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        pytest.param(INVALID, "spec.pageSize: Invalid value: 0: must be at least 1", id="rule"),
        pytest.param(DENIED, "no syncs on Mondays", id="webhook"),
        pytest.param(POLICY, "no syncs on Mondays", id="policy"),
        pytest.param("a: b", "a: b", id="anything else"),
        pytest.param("", "the cluster gave no reason", id="nothing"),
    ],
)
def test_a_refusal_gives_the_cause_and_not_the_names_of_cluster_objects(message: str, cause: str) -> None:
    assert str(to_store_error(build_api_error(422, ApiStatus(message=message)))) == cause


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"kind": "Status", "reason": "NotFound", "details": {"name": "est-1"}}, True, id="the object"),
        pytest.param({"kind": "Status", "reason": "NotFound", "details": {}}, False, id="the resource"),
        pytest.param("404 page not found", False, id="not even JSON"),
    ],
)
def test_a_missing_object_is_distinguished_from_a_missing_resource(body: object, *, expected: bool) -> None:
    text = body if isinstance(body, str) else json.dumps(body)

    assert isinstance(build_api_error(404, parse_api_status(text)), NotFoundError) is expected


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        pytest.param(403, SpecificCause.API_SERVER_REFUSES, id="rights or quota"),
        pytest.param(404, SpecificCause.API_SERVER_REFUSES, id="not installed"),
        pytest.param(429, SpecificCause.API_SERVER_BUSY, id="busy"),
        pytest.param(500, SpecificCause.API_SERVER_BUSY, id="broken"),
    ],
)
def test_a_caller_is_told_how_the_api_server_answers_and_no_name_of_an_object(code: int, cause: SpecificCause) -> None:
    error = to_store_error(build_api_error(code, ApiStatus(message="User system:serviceaccount:x may not")))

    assert isinstance(error, StoreUnavailableError)
    assert error.cause is cause


def test_an_api_server_that_does_not_answer_is_named() -> None:
    error = to_store_error(UnreachableError(TimeoutError()))

    assert isinstance(error, StoreUnavailableError)
    assert error.cause is SpecificCause.API_SERVER_UNREACHABLE
