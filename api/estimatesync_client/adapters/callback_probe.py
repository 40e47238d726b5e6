"""Probes from this machine whether callbacks can reach their target: name, addresses, TLS. Nothing is posted.

`doctor` calls it. The path of a webhook is a secret and is never shown.
"""

import socket
import ssl
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx

from estimatesync_client.adapters.connection import CONNECTION_ERRORS, classify_error
from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, build_finding
from estimatesync_client.target_settings import ALLOW_HTTP, WEBHOOK_URL, CallbackTarget

_SECONDS: Final = 5.0
_PORTS: Final = {"https": 443, "http": 80}
_HIDDEN: Final = (
    IPv4Network("168.63.129.16/32"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("2002::/16"),
    IPv6Network("3fff::/20"),
)
"""Special, although the `ipaddress` module of some Python calls them global: a cloud's own, reserved, tunnels."""
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")


def check_callback(target: CallbackTarget) -> Finding:
    """Resolve the name, look at the addresses, and shake hands."""
    if fault := find_url_fault(target):
        return _build(Diagnosis.TARGET_UNUSABLE, detail=fault)
    parts = urlsplit(target.url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        addresses = _read_addresses(host, port)
        refused = [address for address in addresses if not is_public(address)]
        if refused and not target.allow_private:
            return _build(Diagnosis.TARGET_PRIVATE, host=host, detail=refused[0])
        _send_nothing(host, port, is_encrypted=parts.scheme == "https")
    except CONNECTION_ERRORS as error:
        diagnosis, detail = classify_error(error)
        return _build(diagnosis, host=host, detail=detail)
    is_plain = refused or parts.scheme == "http"
    return _build(Diagnosis.TARGET_READY_HERE if is_plain else Diagnosis.TARGET_READY, host=host)


def find_url_fault(target: CallbackTarget) -> str:
    """Say what is wrong with the URL, without showing it; empty when nothing is."""
    try:
        parts = urlsplit(target.url)
        is_readable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_readable = False
    if not is_readable or parts.scheme not in _PORTS or not target.url.isprintable():
        return "is not an address that begins with https://"
    if "@" in parts.netloc:
        return "holds a user name or password"
    if parts.scheme == "http" and not target.allow_http:
        return f"begins with http://, which is refused unless {ALLOW_HTTP}=true"
    return ""


def is_public(text: str) -> bool:
    """Tell whether the operator calls this address without being allowed to."""
    address: IPv4Address | IPv6Address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address not in _GLOBAL_IPV6:
            return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _HIDDEN)


def _read_addresses(host: str, port: int) -> Iterable[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def _send_nothing(host: str, port: int, *, is_encrypted: bool) -> None:
    with socket.create_connection((host, port), timeout=_SECONDS) as connection:
        if is_encrypted:
            with _create_context().wrap_socket(connection, server_hostname=host.removesuffix(".")):
                pass


def _create_context() -> ssl.SSLContext:
    """Trust what the operator trusts: SSL_CERT_FILE, or the authorities that come along with httpx."""
    return httpx.create_ssl_context()


def _build(diagnosis: Diagnosis, **details: object) -> Finding:
    return build_finding(Check.CALLBACK, diagnosis, setting=WEBHOOK_URL, **details)
