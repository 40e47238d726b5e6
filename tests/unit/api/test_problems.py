import msgspec
import pytest
from estimatesync_api.core.problems import (
    ApiError,
    Problem,
    StoreUnavailableError,
    SyncRefusedError,
    map_exception,
    map_status,
)
from estimatesync_api.core.representation import to_problem_body
from estimatesync_contract.specific_causes import SpecificCause


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        pytest.param(StoreUnavailableError("10.0.0.1"), Problem.UNAVAILABLE, id="store away"),
        pytest.param(TimeoutError(), Problem.UNAVAILABLE, id="timeout"),
        pytest.param(ConnectionResetError(), Problem.UNAVAILABLE, id="connection lost"),
        pytest.param(SyncRefusedError("not today"), Problem.SYNC_REFUSED, id="refused"),
        pytest.param(ApiError(Problem.KEY_WRONG), Problem.KEY_WRONG, id="one of ours"),
        pytest.param(KeyError("bug"), Problem.INTERNAL_ERROR, id="a bug"),
    ],
)
def test_what_may_pass_is_503_and_only_a_bug_is_500(error: Exception, problem: Problem) -> None:
    answer = map_exception(error)

    assert answer.problem is problem
    assert "10.0.0.1" not in str(answer)


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        pytest.param(
            SpecificCause.DATABASE_UNREACHABLE,
            "The database cannot be used now: it cannot be reached. Send the request again a little later.",
            id="database",
        ),
        pytest.param(
            SpecificCause.API_SERVER_UNREACHABLE,
            "The API server does not answer. Send the request again a little later.",
            id="API server",
        ),
    ],
)
def test_the_part_that_does_not_answer_is_named_with_what_to_do(cause: SpecificCause, message: str) -> None:
    answer = to_problem_body(map_exception(StoreUnavailableError("10.0.0.1", cause=cause)))

    assert (answer.code, answer.message, answer.cure) == ("unavailable", message, cause.cure)


def test_codes_are_unique_and_only_a_bug_has_a_status_that_make_gives_up_on_for_our_fault() -> None:
    assert len({problem.code for problem in Problem}) == len(Problem)
    assert [problem for problem in Problem if problem.status >= 500 and problem.status not in {503, 504}] == [
        Problem.INTERNAL_ERROR
    ]


def test_programs_find_each_problem_by_the_status_and_code_that_it_has_always_had() -> None:
    assert {problem.code: problem.status.value for problem in Problem} == {
        "invalid_json": 400,
        "invalid_request": 400,
        "body_incomplete": 400,
        "api_key_missing": 401,
        "api_key_wrong": 403,
        "api_key_read_only": 403,
        "not_found": 404,
        "sync_not_found": 404,
        "method_not_allowed": 405,
        "sync_not_finished": 409,
        "callback_not_configured": 409,
        "body_too_large": 413,
        "content_encoding_unsupported": 415,
        "idempotency_key_reused": 422,
        "sync_refused": 422,
        "too_many_requests": 429,
        "too_many_wrong_keys": 429,
        "internal_error": 500,
        "unavailable": 503,
        "body_too_slow": 503,
        "api_keys_unavailable": 503,
        "restarting": 503,
        "sync_still_running": 504,
    }


def test_what_passes_by_itself_is_asked_for_again_after_ten_seconds_unless_it_is_known_better() -> None:
    assert (ApiError(Problem.UNAVAILABLE).retry_after, ApiError(Problem.UNAVAILABLE, retry_after=3).retry_after) == (
        10,
        3,
    )


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (404, Problem.NOT_FOUND),
        (405, Problem.METHOD_NOT_ALLOWED),
        (413, Problem.BODY_TOO_LARGE),
        (400, Problem.INVALID_REQUEST),
        (499, Problem.INVALID_REQUEST),
        (500, Problem.INTERNAL_ERROR),
        (501, Problem.INTERNAL_ERROR),
    ],
)
def test_answers_of_the_framework_get_our_codes(status: int, problem: Problem) -> None:
    assert map_status(status).problem is problem


@pytest.mark.parametrize(
    ("faults", "body"),
    [
        pytest.param((), {"message": Problem.INVALID_REQUEST.message}, id="none"),
        pytest.param(("a",), {"message": "a"}, id="one"),
        pytest.param(("a", "b"), {"message": "a; b", "errors": ["a", "b"]}, id="several"),
    ],
)
def test_faults_are_listed_when_there_are_several(faults: tuple[str, ...], body: dict[str, object]) -> None:
    represented = to_problem_body(ApiError(Problem.INVALID_REQUEST, *faults))

    assert msgspec.to_builtins(represented) == {"success": False, "code": "invalid_request", **body}


def test_a_problem_names_the_sync_that_goes_on_all_the_same() -> None:
    represented = to_problem_body(ApiError(Problem.STILL_RUNNING, sync_id="est-1"))

    assert msgspec.to_builtins(represented)["sync_id"] == "est-1"
