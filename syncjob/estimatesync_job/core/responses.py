"""What an HTTP response of Attic Tech means: its content, or which error it is and whether another attempt may help.

Pure; `attic_tech` does the I/O. Error texts quote at most the first message of Payload's own error JSON. What stands in
front of Attic Tech answers, too: a web page in place of JSON is never taken for a refusal by Attic Tech itself.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from estimatesync_contract.attic_tech import is_foreign
from estimatesync_contract.foreign_text import clean_line
from estimatesync_contract.specific_causes import SpecificCause

from estimatesync_job.core.errors import (
    CredentialsRefusedError,
    LoginFailedError,
    SourceInvalidError,
    TransientSourceError,
)
from estimatesync_job.core.pages import AnyPageBody, PageBody, decode_page
from estimatesync_job.core.record_split import split_page, strip_byte_order_mark
from estimatesync_job.core.rows import UNREADABLE

LOGIN_FAILED: Final = "Login to Attic Tech failed: "
INVALID_CREDENTIALS: Final = "Invalid credentials"
_TOKEN_REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_LOGIN_REFUSALS: Final = frozenset({HTTPStatus.BAD_REQUEST, *_TOKEN_REFUSALS})
_LENGTH_REFUSALS: Final = frozenset({
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
})  # fmt: skip
"""How a server may answer that allows no long line: a closing pass asks in a longer one than the pages."""
_UNRELATED_TO_FIELDS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
_TRANSIENT: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_OWN_PAGES: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR})
_CREDENTIAL_WORDS: Final = ("incorrect", "invalid", "credential")
_QUOTE_LENGTH: Final = 200
_REDIRECTION: Final = 3
"""The class of statuses that begin with this digit."""

_TOKENLESS: Final = (
    "Attic Tech answered the login with JSON of an unknown shape: it holds no token. Check ATTIC_TECH_URL, and what "
    "answers in front of Attic Tech."
)
_COOKIE_ONLY: Final = (
    "Attic Tech accepts the login but gives its token only as a cookie. Let the login's answer contain it, too: in "
    "Payload, without auth.removeTokenFromResponses."
)
_DATE_LAG: Final = timedelta(seconds=5)
"""A server may renew its Date header just once a second, or later when it is busy, and several have several clocks."""

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP response; header names in lower case, their values as lines that can be shown."""

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray

    @property
    def content_type(self) -> str:
        """As the header has it; empty where there is none."""
        return self.headers.get("content-type", "")

    @property
    def is_foreign(self) -> bool:
        """Whether something in front of Attic Tech has sent it."""
        return is_foreign(content_type=self.content_type, body=self.body)


class TokenRefusedError(Exception):
    """The token of a request is not, or no longer, accepted; `attic_tech` handles it by another login."""

    def __init__(self, status: int) -> None:
        """Keep the status, 401 or 403: Payload answers an expired token with either."""
        super().__init__(f"HTTP {status}")
        self.status = status


class FieldsDoubtedError(Exception):
    """A request that names fields has failed, perhaps because of them; `attic_tech` finds out without them."""


class _Message(msgspec.Struct, frozen=True):
    message: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    """Payload's error JSON: a list of errors, or one bare message."""

    errors: tuple[_Message, ...] = ()
    message: str = ""


class _Login(msgspec.Struct, frozen=True):
    token: Any = None
    exp: Any = None


@dataclass(frozen=True, kw_only=True)
class Token:
    """What a login gives out.

    Attributes:
        text: for the header of a request.
        expires_at: by the server's clock; None where it does not say.
    """

    text: str = field(repr=False)
    expires_at: datetime | None

    def has_expired(self, clock: datetime | None) -> bool:
        """Whether it may have expired by the time that the server's Date shows; not where either is unknown."""
        return bool(self.expires_at and clock and self.expires_at <= clock + _DATE_LAG)


def parse_token(response: Response) -> Token:
    """Read the token from the response to a login.

    Raises:
        LoginFailedError: Nobody is let in; CredentialsRefusedError where mail or password is the cause.
        TransientSourceError: Another attempt may help.
        SourceInvalidError: Neither a token nor a refusal.
    """
    if response.status in _LOGIN_REFUSALS and not response.is_foreign:
        kind = CredentialsRefusedError if _is_about_credentials(response) else LoginFailedError
        cause = SpecificCause.ACCOUNT_LOCKED if _is_about_a_lock(response) else None
        raise kind(f"{LOGIN_FAILED}{_format_login_refusal(response)}", cause=cause)
    _check_status(response)
    login = _decode(response, _Login)
    if not isinstance(login.token, str):
        if _has_token_cookie(response):
            raise SourceInvalidError(_COOKIE_ONLY, cause=SpecificCause.TOKEN_IN_COOKIE)
        raise SourceInvalidError(_TOKENLESS, cause=SpecificCause.TOKEN_MISSING)
    if not login.token.isascii() or not login.token.isprintable() or not login.token:
        raise SourceInvalidError("Attic Tech answered the login with a token that no request can carry.")
    return Token(text=login.token, expires_at=_parse_expiry(login.exp))


def _has_token_cookie(response: Response) -> bool:
    """Payload calls the cookie by its prefix, which may be configured, and `-token`."""
    return "-token=" in response.headers.get("set-cookie", "")


def _parse_expiry(exp: object) -> datetime | None:
    """Read seconds since 1970, as a JWT counts (RFC 7519, section 4.1.4); anything else counts as not said."""
    if isinstance(exp, bool) or not isinstance(exp, int | float):
        return None
    try:
        return datetime.fromtimestamp(exp, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def may_refuse_fields(response: Response | None, *, were_accepted: bool) -> bool:
    """Whether a request that names fields may have failed because of them, and whole records be sent.

    A server that knows no such parameter, a hook that lacks a field, and a firewall that takes `select` for SQL fail in
    whatever way they like, as long as nothing has shown that they let such a request pass.

    Args:
        response: None where none has come.
        were_accepted: whether another request that named them has been answered with a page.
    """
    if response is None:
        return not were_accepted
    if were_accepted:
        return response.status in _LENGTH_REFUSALS
    asks_to_wait = response.status == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" in response.headers
    return response.status not in _UNRELATED_TO_FIELDS and not asks_to_wait


def parse_page_response(response: Response, *, number: int | None) -> AnyPageBody:
    """Read one page; `number` is the one that was requested, None where none was.

    Raises:
        TokenRefusedError: Log in again.
        TransientSourceError: Another attempt may help.
        SourceInvalidError: Not a page, or not the requested one.
    """
    if response.status in _TOKEN_REFUSALS and not response.is_foreign:
        raise TokenRefusedError(response.status)
    _check_status(response)
    content = _decode_page(response)
    if number is not None and content.page not in {None, number}:
        raise SourceInvalidError(f"Attic Tech was asked for page {number} and sent page {content.page}.")
    return content


def build_access_error(refusal: TokenRefusedError) -> LoginFailedError | SourceInvalidError:
    """Build the error for a request that is refused even with a token fresh from a login, which has not expired."""
    if refusal.status == HTTPStatus.FORBIDDEN:
        return SourceInvalidError(
            "Attic Tech accepts the login but does not let it list estimates (HTTP 403). "
            "Give the account of ATTIC_TECH_EMAIL access to job-estimates.",
            cause=SpecificCause.LIST_REFUSED,
        )
    return LoginFailedError(
        f"{LOGIN_FAILED}the token that it gave out is refused (HTTP {refusal.status})",
        cause=SpecificCause.TOKEN_REFUSED,
    )


def _check_status(response: Response) -> None:
    """Raise for every status but success; RFC 9110, section 15, says which may be retried."""
    status = response.status
    # The page of a defect is a web server's own, and one that is not found, or leads on, says that the URL is wrong.
    has_own_page = status in _OWN_PAGES or status // 100 == _REDIRECTION
    if response.is_foreign and not has_own_page:
        raise _build_transient(response, _format_foreign(response), SpecificCause.SOURCE_SHIELDED)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise _build_transient(response, SpecificCause.SOURCE_BUSY.format_happened(), SpecificCause.SOURCE_BUSY)
    if status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        happened = SpecificCause.SOURCE_FAILING.format_happened(status=status)
        raise _build_transient(response, happened, SpecificCause.SOURCE_FAILING)
    if status // 100 == _REDIRECTION:
        host = urlsplit(response.headers.get("location", "")).hostname or "another path"
        raise SourceInvalidError(
            f"Attic Tech redirects to {host} (HTTP {status}). Credentials are never sent on: correct ATTIC_TECH_URL.",
            cause=SpecificCause.SOURCE_REDIRECTS,
        )
    if status == HTTPStatus.NOT_FOUND:
        raise SourceInvalidError(
            "There is no Attic Tech API at this address (HTTP 404): correct ATTIC_TECH_URL.",
            cause=SpecificCause.SOURCE_NOT_FOUND,
        )
    if status >= HTTPStatus.BAD_REQUEST:
        raise SourceInvalidError(
            f"Attic Tech refuses the request (HTTP {status}): {_quote(response) or 'no reason'}",
            cause=SpecificCause.REQUEST_REFUSED,
        )


def _build_transient(response: Response, happened: str, cause: SpecificCause) -> TransientSourceError:
    return TransientSourceError(happened, cause=cause, retry_after=response.headers.get("retry-after"))


def _decode(response: Response, shape: type[Shape]) -> Shape:
    """Decode JSON. What is malformed may have been cut short on its way; another shape is their fault."""
    try:
        return msgspec.json.decode(strip_byte_order_mark(response.body), type=shape)
    except msgspec.ValidationError as error:
        said = _quote(response)
        what = f"an error in place of what was asked for: {said}" if said else f"JSON of an unknown shape: {error}"
        raise SourceInvalidError(f"Attic Tech sent {what}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        cause = SpecificCause.SOURCE_CUT_SHORT
        raise TransientSourceError(cause.format_happened(), cause=cause) from error


def _format_foreign(response: Response) -> str:
    kind = f"Content-Type {response.content_type[:60] or 'missing'}"
    return (
        f"HTTP {response.status} with something other than JSON ({kind}), as a firewall, a bot check, a sign-in page "
        "or a proxy in front of Attic Tech answers: it must let this program pass"
    )


def _decode_page(response: Response) -> AnyPageBody:
    """Decode a page; where one of its records is broken, each is left raw, to be judged by itself."""
    with suppress(*UNREADABLE):
        return decode_page(strip_byte_order_mark(response.body))
    try:
        return _decode(response, PageBody[msgspec.Raw])
    except TransientSourceError:
        split = split_page(bytes(response.body))
        if split is None:
            raise
    rest, records = split
    page = _decode(msgspec.structs.replace(response, body=rest), PageBody[msgspec.Raw])
    return msgspec.structs.replace(page, docs=tuple(map(msgspec.Raw, records)))


def _format_login_refusal(response: Response) -> str:
    """Say `Invalid credentials` where that is the cause, else what Attic Tech says, such as a locked account."""
    if _is_about_credentials(response):
        return INVALID_CREDENTIALS
    said = _quote(response)
    if not said and response.status == HTTPStatus.UNAUTHORIZED:
        return INVALID_CREDENTIALS
    return said or f"HTTP {response.status}"


def _is_about_credentials(response: Response) -> bool:
    """Whether Attic Tech says so; a lock is looked for before the password is, and so says nothing about it."""
    said = _quote(response).lower()
    if any(word in said for word in _CREDENTIAL_WORDS):
        return True
    return response.status == HTTPStatus.UNAUTHORIZED and bool(said) and not _is_about_a_lock(response)


def _is_about_a_lock(response: Response) -> bool:
    return "locked" in _quote(response).lower()


def _quote(response: Response) -> str:
    try:
        refusal = msgspec.json.decode(response.body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    first = refusal.errors[0].message if refusal.errors else refusal.message
    return clean_line(first, max_length=_QUOTE_LENGTH)
