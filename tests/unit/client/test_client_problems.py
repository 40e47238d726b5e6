"""What a response that is not a success means, and how the program then exits."""

import json
from typing import Any

import pytest
from estimatesync_client.core.diagnoses import Diagnosis
from estimatesync_client.core.errors import Exit, UnavailableError, to_error_object
from estimatesync_client.core.problems import (
    build_connection_error,
    build_response_error,
    format_origin,
    parse_body,
)


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
        pytest.param(504, problem("sync_still_running"), Exit.UNAVAILABLE, id="it takes longer"),
        pytest.param(501, problem("new_code"), Exit.REFUSED, id="another defect"),
        pytest.param(400, {**problem("invalid_request"), "success": True}, Exit.UNAVAILABLE, id="neither yes nor no"),
        pytest.param(400, {**problem("invalid_request"), "message": 7}, Exit.UNAVAILABLE, id="no words"),
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


@pytest.mark.parametrize(
    ("status", "body", "message", "cure", "code"),
    [
        pytest.param(
            401, problem("api_key_missing"), "No.", "Set ESTIMATESYNC_API_KEY to one of the API's keys",
            "api_key_missing", id="no key",
        ),
        pytest.param(
            403, problem("api_key_wrong"), "No.",
            "Check ESTIMATESYNC_API_KEY; `estimatesync doctor` shows what it may do", "api_key_wrong", id="wrong key",
        ),
        pytest.param(
            404, problem("sync_not_found"), "No.", "`estimatesync list` shows those that exist", "sync_not_found",
            id="no sync",
        ),
        pytest.param(409, problem("sync_not_finished"), "No.", "", "sync_not_finished", id="not now"),
        pytest.param(
            503, problem("unavailable"), "The server cannot answer now: No.",
            "Try again; `estimatesync doctor` may show why", "unavailable", id="busy",
        ),
        pytest.param(
            503, b"", "The server cannot answer now: HTTP 503.", "Try again; `estimatesync doctor` may show why",
            "unavailable", id="busy without a word",
        ),
        pytest.param(
            500, problem("internal_error"), "The server met an internal error: No.", "Check the log of the API",
            "internal_error", id="a defect",
        ),
        pytest.param(
            404, problem("not_found"), "What answers at sync.example.com is not an EstimateSync API (No).",
            "Check ESTIMATESYNC_URL: host, port, and path if a proxy adds one", "not_estimatesync", id="another path",
        ),
        pytest.param(
            418, b"tea", "What answers at sync.example.com is not an EstimateSync API (HTTP 418).",
            "Check ESTIMATESYNC_URL: host, port, and path if a proxy adds one", "not_estimatesync", id="a teapot",
        ),
        pytest.param(400, problem("x", "y" * 301), "y" * 300, "", "x", id="a long story"),
    ],
)  # fmt: skip
def test_a_problem_is_told_with_its_cure(status: int, body: Any, message: str, cure: str, code: str) -> None:
    error = answer(status, body)

    assert (error.message, error.cure, error.code) == (message, cure, code)


@pytest.mark.parametrize(("status", "is_redirect"), [(299, False), (300, True), (308, True), (399, True), (400, False)])
def test_what_lies_in_the_three_hundreds_is_a_redirect(status: int, *, is_redirect: bool) -> None:
    error = answer(status, problem("a"), location="https://other.example/")

    assert ("redirects to https://other.example" in error.message) is is_redirect


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        pytest.param("https://other.example:8443/secret?x=1", "https://other.example:8443", id="another host"),
        pytest.param("/other", "another path", id="another path"),
        pytest.param("https://[", "an unreadable address", id="nonsense"),
        pytest.param("https://a\x9bb/", "https://a�b", id="an escape"),
    ],
)
def test_where_a_redirect_leads_is_shown_without_its_path(location: str, shown: str) -> None:
    assert format_origin(location) == shown


@pytest.mark.parametrize(
    ("raw", "body"),
    [(b'{"a":1}', {"a": 1}), (b"[1]", None), (b"null", None), (b"", None), (b"\xff", None), (b"[" * 99_999, None)],
    ids=["object", "list", "null", "nothing", "noise", "deep"],
)
def test_a_body_is_an_object_or_nothing(raw: bytes, body: dict[str, Any] | None) -> None:
    assert parse_body(raw) == body


def test_faults_that_are_no_list_are_left_out_and_escapes_are_taken_out_of_the_others() -> None:
    assert answer(400, problem("a", errors="b")).faults == ()
    assert answer(400, problem("a", errors=["b\x1b", 7])).faults == ("b�", "7")


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


@pytest.mark.parametrize(
    ("diagnosis", "is_default_host", "cure"),
    [
        pytest.param(Diagnosis.NOTHING_LISTENS, True, "Start it, on one machine with: make local", id="not started"),
        pytest.param(Diagnosis.NOTHING_LISTENS, False, "Check host and port in ESTIMATESYNC_URL", id="elsewhere"),
        pytest.param(Diagnosis.NO_HTTP, True, "Check the port in ESTIMATESYNC_URL", id="something else there"),
    ],
)
def test_a_server_that_a_person_has_not_started_yet_is_to_be_started(
    diagnosis: Diagnosis, *, is_default_host: bool, cure: str
) -> None:
    error = build_connection_error(diagnosis, "", host="127.0.0.1:8080", is_default_host=is_default_host)

    assert error.cure.startswith(cure)


def test_a_connection_that_failed_says_why_and_what_to_check() -> None:
    errors = [
        build_connection_error(diagnosis, "expired", host="sync.example.com")
        for diagnosis in (Diagnosis.UNTRUSTED, Diagnosis.NO_TLS)
    ]

    assert [error.message for error in errors] == [
        "The certificate of sync.example.com is not trusted (expired).",
        "sync.example.com does not speak TLS.",
    ]
    assert errors[1].cure == "Check the port in ESTIMATESYNC_URL; without TLS, the URL begins with http://"
