"""What each HTTP answer means."""

from datetime import UTC, datetime

import msgspec
import pytest
from estimatesync_job.core.errors import (
    CredentialsRefusedError,
    LoginFailedError,
    SourceInvalidError,
    SyncError,
    TransientSourceError,
)
from estimatesync_job.core.responses import (
    Response,
    Token,
    TokenRefusedError,
    build_access_error,
    may_refuse_fields,
    parse_page_response,
    parse_token,
)

JSON = {"content-type": "application/json; charset=utf-8"}
NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)
EMPTY_PAGE = b'{"docs":[],"page":1}'


def build_answer(status: int = 200, body: bytes = EMPTY_PAGE, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers={**JSON, **named}, body=body)


def build_refusal(status: int, message: str) -> Response:
    return build_answer(status, msgspec.json.encode({"errors": [{"message": message}]}))


def build_challenge(status: int) -> Response:
    """What Cloudflare and others answer until a browser has passed their check."""
    headers = {"content_type": "text/html; charset=UTF-8", "retry_after": "7"}
    return build_answer(status, b"<!DOCTYPE html><title>Just a moment...</title>", **headers)


def test_a_page_and_a_token_are_read() -> None:
    assert parse_page_response(build_answer(), number=1).docs == ()
    token = parse_token(build_answer(body=b'{"message":"Passed","token":"a.b.c","exp":1}'))
    assert token == Token(text="a.b.c", expires_at=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    assert "a.b.c" not in repr(token)


@pytest.mark.parametrize(
    ("exp", "clock", "has_expired"),
    [
        pytest.param(b"1760616000", NOON, True, id="at that very second"),
        pytest.param(b"1760616005", NOON, True, id="about then: the server's Date may lag"),
        pytest.param(b"1760616006", NOON, False, id="some seconds before"),
        pytest.param(b"1760616000", None, False, id="unknown clock"),
        pytest.param(b"null", NOON, False, id="not said"),
        pytest.param(b'"soon"', NOON, False, id="not a number"),
        pytest.param(b"true", NOON, False, id="a truth"),
        pytest.param(b"1e300", NOON, False, id="beyond all calendars"),
    ],
)
def test_a_token_says_when_it_expires(exp: bytes, clock: datetime | None, has_expired: object) -> None:
    token = parse_token(build_answer(body=b'{"token":"a.b.c","exp":' + exp + b"}"))

    assert token.has_expired(clock) is has_expired


@pytest.mark.parametrize(
    ("answer", "doubted"),
    [
        pytest.param(build_refusal(400, "The following path cannot be selected: name"), "always", id="bad-request"),
        pytest.param(build_refusal(401, "Please log in"), "never", id="expired-token"),
        pytest.param(build_refusal(403, "Forbidden"), "at first", id="forbidden"),
        pytest.param(build_challenge(403), "at first", id="firewall"),
        pytest.param(build_challenge(200), "at first", id="blocked-with-success"),
        pytest.param(build_answer(414, b"", content_type=""), "always", id="line-too-long"),
        pytest.param(build_answer(429), "never", id="too-many-requests"),
        pytest.param(build_answer(431, b"", content_type=""), "always", id="head-too-large"),
        pytest.param(build_answer(500), "at first", id="a-hook-that-fails"),
        pytest.param(build_answer(503, retry_after="30"), "never", id="that-asks-to-wait"),
        pytest.param(None, "at first", id="closed-connection"),
    ],
)
def test_fields_are_in_doubt_until_they_are_accepted_and_then_only_by_their_length(
    answer: Response | None, doubted: str
) -> None:
    assert may_refuse_fields(answer, were_accepted=False) is (doubted != "never")
    assert may_refuse_fields(answer, were_accepted=True) is (doubted == "always")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        pytest.param(build_answer(500), TransientSourceError, "HTTP 500", id="server-error"),
        pytest.param(build_answer(429), TransientSourceError, "HTTP 429", id="too-many-requests"),
        pytest.param(build_answer(408), TransientSourceError, "HTTP 408", id="request-timeout"),
        pytest.param(build_answer(425), TransientSourceError, "HTTP 425", id="too-early"),
        pytest.param(
            build_answer(405), SourceInvalidError, r"refuses the request \(HTTP 405\): no reason", id="method"
        ),
        pytest.param(build_answer(300), SourceInvalidError, r"another path \(HTTP 300\)", id="redirect-to-nowhere"),
        pytest.param(
            build_answer(399, location="/login"), SourceInvalidError, r"another path \(HTTP 399\)", id="redirect-here"
        ),
        pytest.param(build_answer(body=b'{"docs":[{"id"'), TransientSourceError, "cut short", id="cut-short"),
        pytest.param(build_answer(body=b"<html>"), TransientSourceError, "malformed", id="called-json-but-not"),
        pytest.param(build_answer(content_type="text/html"), TransientSourceError, "text/html", id="html"),
        pytest.param(build_answer(content_type=""), TransientSourceError, "missing", id="no-content-type"),
        pytest.param(build_answer(body=b'{"docs":null}'), SourceInvalidError, "unknown shape", id="no-documents"),
        pytest.param(build_answer(body=b"[]"), SourceInvalidError, "unknown shape", id="not-an-object"),
        pytest.param(build_answer(body=b"{}"), SourceInvalidError, "unknown shape", id="an-empty-object"),
        pytest.param(
            build_refusal(200, "Something went wrong."),
            SourceInvalidError,
            "an error in place of what was asked for: Something went wrong",
            id="an-error-as-a-success",
        ),
        pytest.param(build_answer(body=b'{"docs":[],"page":2}'), SourceInvalidError, "sent page 2", id="another-page"),
        pytest.param(build_challenge(403), TransientSourceError, "bot check", id="challenge"),
        pytest.param(build_challenge(401), TransientSourceError, "sign-in page", id="sign-in-page"),
        pytest.param(build_challenge(503), TransientSourceError, "HTTP 503 .*bot check", id="challenge-503"),
        pytest.param(build_challenge(429), TransientSourceError, "HTTP 429 .*bot check", id="challenge-429"),
        pytest.param(build_challenge(202), TransientSourceError, "HTTP 202 .*bot check", id="challenge-202"),
        pytest.param(build_challenge(405), TransientSourceError, "HTTP 405 .*bot check", id="puzzle"),
        pytest.param(
            build_answer(403, b"Forbidden", content_type="text/plain"), TransientSourceError, "text/plain", id="proxy"
        ),
        pytest.param(build_answer(403, b"Forbidden", content_type=""), TransientSourceError, "missing", id="bare-text"),
        pytest.param(
            build_challenge(500),
            TransientSourceError,
            r"^it answers with an error \(HTTP 500\)$",
            id="page-of-a-defect",
        ),
        pytest.param(build_challenge(404), SourceInvalidError, "correct ATTIC_TECH_URL", id="page-not-found"),
        pytest.param(build_answer(404), SourceInvalidError, "correct ATTIC_TECH_URL", id="no-such-path"),
        pytest.param(
            build_answer(302, location="https://login.example/x?token=s"),
            SourceInvalidError,
            r"redirects to login\.example \(HTTP 302\)",
            id="redirect",
        ),
        pytest.param(
            build_refusal(400, "The following path cannot be queried: updatedAt"),
            SourceInvalidError,
            "cannot be queried: updatedAt",
            id="bad-request-is-quoted",
        ),
    ],
)
def test_what_is_not_the_page_is_an_error_of_the_right_kind(
    answer: Response, kind: type[SyncError], words: str
) -> None:
    with pytest.raises(kind, match=words) as raised:
        parse_page_response(answer, number=1)

    assert type(raised.value) is kind


@pytest.mark.parametrize("answer", [build_answer(503, retry_after="7"), build_challenge(403)])
def test_retry_after_travels_with_the_error(answer: Response) -> None:
    with pytest.raises(TransientSourceError) as raised:
        parse_page_response(answer, number=1)

    assert raised.value.retry_after == "7"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_distinguished_from_other_errors(status: int) -> None:
    with pytest.raises(TokenRefusedError) as raised:
        parse_page_response(build_answer(status), number=1)

    assert raised.value.status == status


@pytest.mark.parametrize(
    ("answer", "message", "kind"),
    [
        pytest.param(
            build_refusal(401, "The email or password provided is incorrect."),
            "Invalid credentials",
            CredentialsRefusedError,
            id="401",
        ),
        pytest.param(
            build_refusal(401, "Nope."), "Invalid credentials", CredentialsRefusedError, id="401-in-any-words"
        ),
        pytest.param(build_answer(401, b"<html>"), "Invalid credentials", LoginFailedError, id="401-without-json"),
        pytest.param(
            build_answer(401, b'{"message":"Wrong."}'),
            "Invalid credentials",
            CredentialsRefusedError,
            id="bare-message",
        ),
        pytest.param(
            build_refusal(400, "The following field is invalid: email"),
            "Invalid credentials",
            CredentialsRefusedError,
            id="400",
        ),
        pytest.param(build_refusal(400, "Nope."), "Nope.", LoginFailedError, id="400-in-other-words"),
        pytest.param(
            build_refusal(403, "Invalid credentials."), "Invalid credentials", CredentialsRefusedError, id="403"
        ),
        pytest.param(
            build_refusal(403, "Your CREDENTIALS!"), "Invalid credentials", CredentialsRefusedError, id="capitals"
        ),
        pytest.param(build_refusal(401, "This user is LOCKED."), "This user is LOCKED.", LoginFailedError, id="locked"),
        pytest.param(
            build_refusal(403, "Please verify your email."),
            "Please verify your email.",
            LoginFailedError,
            id="not-verified",
        ),
        pytest.param(build_answer(403, b""), "HTTP 403", LoginFailedError, id="403-without-a-word"),
    ],
)
def test_a_refused_login_says_why_and_whether_mail_or_password_is_the_cause(
    answer: Response, message: str, kind: type[LoginFailedError]
) -> None:
    with pytest.raises(LoginFailedError) as raised:
        parse_token(answer)

    assert str(raised.value) == f"Login to Attic Tech failed: {message}"
    assert type(raised.value) is kind


@pytest.mark.parametrize("status", [400, 401, 403, 503, 202, 200])
def test_a_challenge_is_not_a_refused_login(status: int) -> None:
    with pytest.raises(TransientSourceError, match="bot check"):
        parse_token(build_challenge(status))


def test_a_token_that_only_a_cookie_holds_is_said_to_be_there() -> None:
    cookie = "payload-token=a.b.c; Path=/; HttpOnly"

    with pytest.raises(SourceInvalidError, match="only as a cookie") as raised:
        parse_token(build_answer(body=b'{"message":"Passed","user":{}}', set_cookie=cookie))

    assert "a.b.c" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        pytest.param("no\r\n\u274c [SYNC] forged", "no \u274c [SYNC] forged", id="line-ends"),
        pytest.param("\x1b[2J\x1b]0;title\x07", "\ufffd[2J\ufffd]0;title\ufffd", id="escape-sequences"),
        pytest.param("a\u202eb\u2028c\x85d", "a\ufffdb c d", id="direction-and-separators"),
        pytest.param("x" * 5000, "x" * 200, id="endless"),
        pytest.param("\x00\x7f\x9b1m", "\ufffd\ufffd\ufffd1m", id="old-control-characters"),
    ],
)
def test_what_the_source_says_is_one_printable_line(said: str, shown: str) -> None:
    with pytest.raises(SourceInvalidError) as raised:
        parse_page_response(build_refusal(400, said), number=1)

    assert str(raised.value).endswith(f": {shown}")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b'{"message":"ok"}', "unknown shape", id="no-token"),
        pytest.param(b'{"token":null}', "unknown shape", id="null-token"),
        pytest.param(b'{"data":{"token":"a.b.c"}}', "unknown shape", id="token-elsewhere"),
        pytest.param(b'[{"token":"a.b.c"}]', "unknown shape", id="list"),
        pytest.param(b'"a.b.c"', "unknown shape", id="text"),
        pytest.param(b'{"token":""}', "no request can carry", id="empty-token"),
        pytest.param(b'{"token":"a\\r\\nX: y"}', "no request can carry", id="token-with-a-header-in-it"),
    ],
)
def test_a_login_without_a_usable_token_is_their_fault(body: bytes, words: str) -> None:
    with pytest.raises(SourceInvalidError, match=words):
        parse_token(build_answer(body=body))


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        pytest.param(401, LoginFailedError, "TokenRefused", id="401"),
        pytest.param(403, SourceInvalidError, "ListRefused", id="403"),
    ],
)
def test_a_fresh_token_that_is_refused_is_final_and_not_the_fault_of_the_password(
    status: int, kind: type[SyncError], code: str
) -> None:
    error = build_access_error(TokenRefusedError(status))

    assert isinstance(error, kind)
    assert error.cause is not None
    assert error.cause.code == code
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(build_answer(429), "SourceBusy", id="too many requests"),
        pytest.param(build_answer(503), "SourceFailing", id="away"),
        pytest.param(build_challenge(403), "SourceShielded", id="bot check"),
        pytest.param(build_answer(302, location="https://login.example"), "SourceRedirects", id="redirect"),
        pytest.param(build_answer(404), "SourceNotFound", id="no such path"),
        pytest.param(build_answer(body=b'{"docs":['), "SourceCutShort", id="cut short"),
        pytest.param(build_refusal(400, "no"), "RequestRefused", id="refused"),
        pytest.param(build_answer(body=b"{}"), None, id="only the reason is known"),
    ],
)
def test_an_answer_that_is_no_page_has_the_cause_that_fits(answer: Response, code: str | None) -> None:
    with pytest.raises(SyncError) as raised:
        parse_page_response(answer, number=1)

    assert (raised.value.cause and raised.value.cause.code) == code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(
            build_refusal(401, "This user is locked due to having too many failed login attempts."),
            "AccountLocked",
            id="locked",
        ),
        pytest.param(build_refusal(401, "The email or password provided is incorrect."), None, id="wrong password"),
        pytest.param(build_answer(body=b"{}"), "TokenMissing", id="no token"),
        pytest.param(build_answer(body=b"{}", set_cookie="payload-token=x"), "TokenInCookie", id="only a cookie"),
    ],
)
def test_a_login_that_gives_no_token_has_the_cause_that_fits(answer: Response, code: str | None) -> None:
    with pytest.raises(SyncError) as raised:
        parse_token(answer)

    assert (raised.value.cause and raised.value.cause.code) == code
