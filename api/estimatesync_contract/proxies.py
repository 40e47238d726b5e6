"""Which proxy the environment names for an address, read once, with the other settings. Pure.

The variables are those that curl, Go and Python know: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, also in lower
case, which wins. An HTTP library that reads them by itself does so late, and breaks on an entry that it cannot read;
here such an exception is skipped, as those programs do, because it was probably written for another one. Of a proxy,
only what matters for the address is judged: a proxy that is not needed may be written in any way.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from estimatesync_contract.settings import is_host_name

NO_PROXY: Final = "NO_PROXY"
ALL_PROXY: Final = "ALL_PROXY"

_PROXY_BY_SCHEME: Final = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY"}
PROXY_VARIABLES: Final = tuple(
    spelling for name in (*_PROXY_BY_SCHEME.values(), ALL_PROXY, NO_PROXY) for spelling in (name, name.lower())
)
"""All variables that are read here. The machine's programs share them, so they are in no list of ours."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_ENTRY: Final = re.compile(r"(?P<host>[A-Za-z0-9_.*-]+)(?::(?P<port>[0-9]{1,5}))?")
_BRACKETED: Final = re.compile(r"\[(?P<host>[^\[\]]+)\](?::(?P<port>[0-9]{1,5}))?")
_USER_PART: Final = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")
_HOW_TO_WRITE: Final = (
    "must be an address such as http://user:password@proxy.example.com:3128; "
    "in user and password, write # as %23, / as %2F, ? as %3F, @ as %40, % as %25"
)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ProxyFaultError(ValueError):
    """A proxy setting cannot be used; the message names the variable and holds no value."""


def find_proxy(environment: Mapping[str, str], url: str) -> str | None:
    """Find the proxy for an http(s) URL, as a URL; None where it is reached directly, as this machine always is.

    Raises:
        ProxyFaultError: The variable that decides cannot be used.
    """
    target = urlsplit(url)
    name, text = _find_variable(environment, target)
    if not text or _is_direct(_read(environment, NO_PROXY), target):
        return None
    try:
        return parse_proxy_url(text)
    except ValueError as error:
        raise ProxyFaultError(f"{name} {error}, or name {target.hostname} in {NO_PROXY}") from None


def format_skipped_exceptions(environment: Mapping[str, str], url: str) -> str:
    """Say which entries of NO_PROXY were skipped when a proxy was found for this URL; empty where none was found.

    Such entries are usual: other programs of the machine read them, each in its own way. They are named by their
    numbers, since what was meant for another variable may hold a password.
    """
    target = urlsplit(url)
    exceptions = _read(environment, NO_PROXY)
    if not _find_variable(environment, target)[1] or _is_direct(exceptions, target):
        return ""
    numbers = [str(number) for number, entry in enumerate(_split(exceptions), start=1) if not _is_readable(entry)]
    if not numbers:
        return ""
    which = (
        f"entry {numbers[0]} is" if len(numbers) == 1 else f"entries {', '.join(numbers[:-1])} and {numbers[-1]} are"
    )
    return (
        f"{NO_PROXY} holds host names, addresses and networks, separated by commas, like "
        f".example.com,10.0.0.0/8,[::1]; {which} none of these, and skipped"
    )


def parse_proxy_url(text: str) -> str:
    """Read the address of a proxy; one without a scheme speaks http.

    Raises:
        ValueError: It cannot be used; the message completes `NAME …`.
    """
    url = text if "://" in text else f"http://{text}"
    scheme = url.partition("://")[0].lower()
    if scheme.startswith("socks"):
        raise ValueError("must not name a SOCKS proxy, which is not supported; set it to an http:// proxy")
    if scheme not in _DEFAULT_PORTS:
        raise ValueError(_HOW_TO_WRITE)
    try:
        parts = urlsplit(url)
        has_place = is_host_name(parts.hostname or "") and parts.port != 0
    except ValueError:
        has_place = False
        parts = SplitResult("", "", "", "", "")
    user, _, _ = parts.netloc.rpartition("@")
    if not has_place or parts.path not in {"", "/"} or parts.query or parts.fragment or "#" in url or "?" in url:
        raise ValueError(_HOW_TO_WRITE)
    if "@" in user or not _USER_PART.fullmatch(user):
        raise ValueError(_HOW_TO_WRITE)
    return url


def _find_variable(environment: Mapping[str, str], target: SplitResult) -> tuple[str, str]:
    """Find the variable that decides, and what it holds; two empty texts where none is set."""
    names = (_PROXY_BY_SCHEME[target.scheme], ALL_PROXY)
    return next(((name, text) for name in names if (text := _read(environment, name))), ("", ""))


def _read(environment: Mapping[str, str], name: str) -> str:
    """A program that a web server has started gets a caller's `Proxy` header as HTTP_PROXY (https://httpoxy.org)."""
    lower = environment.get(name.lower(), "").strip()
    is_foreign = name == "HTTP_PROXY" and "REQUEST_METHOD" in environment
    return lower or ("" if is_foreign else environment.get(name, "").strip())


def _is_direct(no_proxy: str, target: SplitResult) -> bool:
    host = (target.hostname or "").removesuffix(".")
    address = _parse_address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    port = target.port or _DEFAULT_PORTS[target.scheme]
    return any(_matches(entry, host, address, port) for entry in _split(no_proxy))


def _matches(entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if (network := _parse_network(entry)) is not None:
        return address is not None and address in network
    found = _BRACKETED.fullmatch(entry) or _ENTRY.fullmatch(entry)
    if found is None or (found["port"] and int(found["port"]) != port):
        return False
    name = found["host"].lower().removesuffix(".")
    if address is not None:
        return _parse_address(name) == address
    if name.startswith(("*.", ".")):
        return host.endswith(name.removeprefix("*"))
    return host == name or host.endswith(f".{name}")


def _is_readable(entry: str) -> bool:
    return _parse_network(entry) is not None or bool(_ENTRY.fullmatch(entry)) or _parse_bracketed(entry)


def _split(text: str) -> list[str]:
    """Some people separate by blanks; a scheme in front of an entry says nothing."""
    return [entry.rpartition("://")[2].rstrip("/") for entry in re.split(r"[,\s]+", text) if entry]


def _parse_network(entry: str) -> _Network | None:
    """Read an address or a network, bare or with its address in brackets."""
    text = re.sub(r"^\[([^\[\]]+)\](/[0-9]+)?$", r"\1\2", entry)
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _parse_bracketed(entry: str) -> bool:
    found = _BRACKETED.fullmatch(entry)
    return found is not None and _parse_address(found["host"]) is not None


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
