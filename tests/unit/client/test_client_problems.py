"""What a response that is not a success means, and how the program then exits."""

import json
from typing import Any

import pytest
from estimatesync_client.core.diagnoses import Diagnosis
from estimatesync_client.core.errors import Exit, UnavailableError, to_error_object
from estimatesync_client.core.problems import build_connection_error, build_response_error


def answer(status: int, body: Any = None, **options: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    defaults = {"location": "", "retry_after": None, "host": "sync.example.com"}
    return build_response_error(status, raw, **{**defaults, **options})


def problem(code: str, message: str = "No.", **fields: Any) -> dict[str, Any]:
    return {"success": False, "message": message, "code": code, **fields}


@pytest.mark.parametrize(
    ("status", "body", "exit_"),
    [
        pytest.param(400, problem("invalid_request"), Exit.REFUSED, id="bad request"),
        pytest.param(401, problem("api_key_missing"), Exit.NOT_ALLOWED, id="no key"),
        pytest.param(403, problem("api_key_wrong"), Exit.NOT_ALLOWED, id="wrong key"),
        pytest.param(404, problem("sync_not_found"), Exit.NOT_FOUND, id="no sync"),
        pytest.param(404, problem("not_found"), Exit.UNAVAILABLE, id="an older server, or another path"),
        pytest.param(409, problem("not_finished"), Exit.CONFLICT, id="not now"),
        pytest.param(422, problem("idempotency_key_reused"), Exit.REFUSED, id="key reused"),
        pytest.param(429, problem("too_many"), Exit.UNAVAILABLE, id="too many"),
        pytest.param(500, problem("internal_error"), Exit.REFUSED, id="their defect"),
        pytest.param(503, problem("unavailable"), Exit.UNAVAILABLE, id="not now at all"),
        pytest.param(502, b"<html>Bad Gateway</html>", Exit.UNAVAILABLE, id="a proxy without a server"),
        pytest.param(404, b"<html>Not Found</html>", Exit.UNAVAILABLE, id="another server"),
        pytest.param(403, {"message": "Forbidden"}, Exit.UNAVAILABLE, id="another gateway"),
        pytest.param(400, b"\xff[[[", Exit.UNAVAILABLE, id="noise"),
    ],
)
def test_each_answer_has_its_exit_code(status: int, body: Any, exit_: Exit) -> None:
    assert answer(status, body).exit is exit_


def test_every_fault_of_a_request_is_kept_for_people_and_programs() -> None:
    error = answer(400, problem("invalid_request", "a; b", errors=["a", "b"]))

    assert to_error_object(error) == {
        "success": False,
        "message": "a; b",
        "code": "invalid_request",
        "errors": ["a", "b"],
        "exit_code": 1,
    }


def test_a_busy_server_says_when_to_come_again() -> None:
    error = answer(429, problem("too_many", "Slow down."), retry_after=17.0)

    assert isinstance(error, UnavailableError)
    assert (error.code, error.retry_after, error.is_lasting) == ("too_many", 17.0, False)
    assert error.message == "The server cannot answer now: Slow down."
    assert "Try again in 17 s" in error.cure


def test_a_redirect_is_reported_without_its_path() -> None:
    error = answer(301, b"", location="https://other.example/secret-path")

    assert error.message == "sync.example.com redirects to https://other.example."
    assert error.exit is Exit.UNAVAILABLE


def test_the_words_of_a_server_cannot_repaint_a_terminal() -> None:
    error = answer(400, problem("invalid_request", "a\x1b[2Jb"))

    assert error.message == "a�[2Jb"


@pytest.mark.parametrize(
    ("diagnosis", "is_lasting"),
    [
        pytest.param(Diagnosis.UNTRUSTED, True, id="certificate"),
        pytest.param(Diagnosis.NO_TLS, True, id="no TLS"),
        pytest.param(Diagnosis.NOTHING_LISTENS, False, id="nothing listens"),
        pytest.param(Diagnosis.NO_ANSWER, False, id="no answer"),
    ],
)
def test_asking_again_is_not_worth_it_for_a_certificate(diagnosis: Diagnosis, *, is_lasting: bool) -> None:
    error = build_connection_error(diagnosis, "expired", host="sync.example.com")

    assert error.is_lasting is is_lasting
    assert "sync.example.com" in error.message
    assert error.cure
