"""Where a callback may go: which URLs are usable, and what of them may be shown. The path of a webhook is a secret.

The settings call it on start, the sender at each attempt. Which addresses may be called is decided next door.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_URL_MAX_LENGTH: Final = 8192
_URL_PATTERN: Final = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII but the space and the backslash, about which URL parsers disagree."""

_NAME_PATTERN: Final = re.compile(r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_PORT_MAX: Final = 65_535
_EXCERPT_MAX_LENGTH: Final = 200
_SECRET_MIN_LENGTH: Final = 6


class TargetRefusedError(ValueError):
    """The target is not usable or not allowed; the message says what to change and holds no secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackTarget:
    """A usable URL in parts. `host` is a name or an address without brackets; `path` holds the query, too."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)

    @property
    def server_name(self) -> str:
        """What the certificate must be for; a name's final dot only matters to DNS."""
        return self.host.removesuffix(".")

    @property
    def host_header(self) -> str:
        """The Host header, with the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.server_name
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """All of the URL that may be shown."""
        return f"{self.scheme}://{self.host}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of the URL must not be shown: the path and each of its parts, the query too."""
        return (self.path, *re.split(r"[/?&=]", self.path))


def parse_target(url: str, *, allow_insecure: bool) -> CallbackTarget:
    """Read a callback URL.

    Any port is fine, a receiver of one's own often has a high one. A user name or password is not: it would end up
    wherever the URL is shown, and there are an API key and signatures for that purpose.

    Raises:
        TargetRefusedError: The URL is malformed, or plain http where that is not allowed.
    """
    text = url.strip()
    if len(text) > _URL_MAX_LENGTH or not _URL_PATTERN.fullmatch(text):
        raise TargetRefusedError(
            "the callback URL is empty, too long, or holds a space, a backslash or a character beyond ASCII; "
            "percent-encode these, and write the host as xn--…"
        )
    parts = _split(text)
    _check_scheme(parts.scheme, allow_insecure=allow_insecure)
    if "@" in parts.netloc:
        raise TargetRefusedError(
            "the callback URL holds a user name or password; remove it, and use CALLBACK_MAKE_API_KEY or "
            "CALLBACK_SIGNING_SECRETS to authenticate"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return CallbackTarget(scheme=parts.scheme, host=_parse_host(parts), port=_parse_port(parts), path=path)


def represent_target(url: str) -> str:
    """Show a URL in logs and messages: scheme and host, nothing else."""
    try:
        return parse_target(url, allow_insecure=True).origin
    except TargetRefusedError:
        return "an unusable URL"


def represent_excerpt(body: bytes, *, secrets: Iterable[str]) -> str:
    """Shorten what a receiver answered to one line, without the secrets that it may have repeated."""
    text = " ".join(body.decode(errors="replace").split())
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_MIN_LENGTH:
            text = text.replace(secret, "…")
    return text[:_EXCERPT_MAX_LENGTH]


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        # The cause is not chained, here and below: it quotes parts of the URL.
        raise TargetRefusedError("the callback URL has no readable host; write https://host/path") from None


def _check_scheme(scheme: str, *, allow_insecure: bool) -> None:
    if scheme not in _DEFAULT_PORTS:
        raise TargetRefusedError("the callback URL does not start with https://")
    if scheme == "http" and not allow_insecure:
        raise TargetRefusedError(
            "the callback URL starts with http://, which anybody on the way can read; "
            "use https://, or set CALLBACK_ALLOW_HTTP=true"
        )


def _parse_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not (_NAME_PATTERN.fullmatch(host) or _is_ipv6(host)):
        raise TargetRefusedError("the callback URL has no readable host; write https://host/path")
    return host


def _is_ipv6(host: str) -> bool:
    """A zone (`%eth0`) names an interface of one machine and has no place in a URL."""
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _parse_port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise TargetRefusedError(f"the callback URL has an unreadable port; it must be 1 to {_PORT_MAX}") from None
    return port or _DEFAULT_PORTS[parts.scheme]
