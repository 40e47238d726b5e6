"""Which error an answer of the API server becomes, and what a person reads of it."""

from datetime import timedelta

import pytest
from estimatesync_kubernetes.client import build_path
from estimatesync_kubernetes.errors import (
    AlreadyExistsError,
    ApiStatus,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidObjectError,
    NotFoundError,
    NotInstalledError,
    StatusError,
    ThrottledError,
    UnreachableError,
    build_api_error,
    parse_api_status,
)


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        pytest.param(400, b'{"reason": "BadRequest"}', InvalidObjectError, id="denied by a webhook"),
        pytest.param(401, b"{}", ForbiddenError, id="token expired"),
        pytest.param(403, b"{}", ForbiddenError, id="rights or quota"),
        pytest.param(404, b'{"details": {"name": "est-1"}}', NotFoundError, id="no such object"),
        pytest.param(404, b'{"details": {}}', NotInstalledError, id="no such resource"),
        pytest.param(404, b"404 page not found", NotInstalledError, id="not even JSON"),
        pytest.param(409, b'{"reason": "AlreadyExists"}', AlreadyExistsError, id="the name is taken"),
        pytest.param(409, b'{"reason": "Conflict"}', ConflictError, id="two requests met"),
        pytest.param(409, b"", ConflictError, id="no words at all"),
        pytest.param(410, b'{"reason": "Expired"}', GoneError, id="version no longer kept"),
        pytest.param(422, b'{"reason": "Invalid"}', InvalidObjectError, id="against a rule"),
        pytest.param(429, b'{"reason": "TooManyRequests"}', ThrottledError, id="too many requests"),
        pytest.param(500, b"{}", StatusError, id="broken"),
        pytest.param(504, b"<html>", StatusError, id="a proxy gave up"),
    ],
)
def test_each_answer_is_one_error(code: int, body: bytes, expected: type[StatusError]) -> None:
    error = build_api_error(code, parse_api_status(body), retry_after=timedelta(seconds=1))

    assert type(error) is expected
    assert (error.code, error.retry_after) == (code, timedelta(seconds=1))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"message": "exceeded quota"}', "HTTP 500: exceeded quota", id="a Status"),
        pytest.param(b"<html>bad gateway</html>", "HTTP 500: HTTP words", id="a proxy's page"),
        pytest.param(b"[]", "HTTP 500: HTTP words", id="another shape"),
        pytest.param(b"", "HTTP 500: HTTP words", id="nothing"),
        pytest.param(b'{"message": "\xff"}', "HTTP 500: HTTP words", id="JSON that is not UTF-8"),
    ],
)
def test_an_error_is_explained_in_the_best_words_there_are(body: bytes, expected: str) -> None:
    assert str(build_api_error(500, parse_api_status(body), http_reason="HTTP words")) == expected


def test_an_answer_without_any_words_says_so() -> None:
    assert str(build_api_error(500, ApiStatus())) == "HTTP 500: no reason given"


def test_the_message_of_a_lost_connection_names_no_address_and_its_detail_does() -> None:
    error = UnreachableError(ConnectionRefusedError("10.0.0.1:443"))

    assert str(error) == "the API server cannot be reached: ConnectionRefusedError"
    assert error.detail == "ConnectionRefusedError: 10.0.0.1:443"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param(("v1", "ns", "pods"), "/api/v1/namespaces/ns/pods", id="core"),
        pytest.param(("batch/v1", "ns", "jobs", "a"), "/apis/batch/v1/namespaces/ns/jobs/a", id="one object"),
        pytest.param(("v1", "ns", "pods", "a", "log"), "/api/v1/namespaces/ns/pods/a/log", id="subresource"),
    ],
)
def test_paths_are_those_of_the_api_server(parts: tuple[str, ...], expected: str) -> None:
    assert build_path(*parts) == expected
