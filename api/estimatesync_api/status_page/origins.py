"""Where a request comes from: over which scheme, for which host, and from whose page. Pure."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_OWN_SITES = frozenset({"same-origin", "none"})
"""`none`: the person herself, by a bookmark or the address line."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What the browser sees in its address line."""

    is_secure: bool
    host: str
    """With the port, unless it is the usual one."""

    @property
    def is_exposed(self) -> bool:
        """Others on the way can read what is sent."""
        return not self.is_secure and not _is_this_machine(_find_hostname(self.host))


def read_origin(*, scheme: str, host: str, headers: Mapping[str, str], is_proxy_trusted: bool) -> Origin:
    """Find out how the browser names us.

    A claim of https is believed from anyone: it can only make the cookie stricter. A host is believed from a trusted
    proxy alone, since it decides whose forms are taken.

    Args:
        scheme: Of the connection.
        host: The Host header.
        headers: X-Forwarded-Proto and X-Forwarded-Host, in upper case, if there are any.
        is_proxy_trusted: The connection comes from one of the trusted proxies.
    """
    claimed = _first(headers.get("X-FORWARDED-PROTO", ""))
    forwarded_host = _first(headers.get("X-FORWARDED-HOST", "")) if is_proxy_trusted else ""
    return Origin(is_secure="https" in {scheme, claimed.lower()}, host=(forwarded_host or host).lower())


def is_from_own_page(origin: Origin, *, fetch_site: str, sent_origin: str) -> bool:
    """Tell whether a form was sent by one of our own pages.

    Args:
        origin: How the browser names us.
        fetch_site: Sec-Fetch-Site, which browsers send over https and to this machine, and no page can forge.
        sent_origin: The Origin header, which every browser sends along with a form for another site.
    """
    if fetch_site:
        return fetch_site in _OWN_SITES
    # Neither header: no browser, so nobody's session is misused.
    return not sent_origin or sent_origin.partition("://")[2].lower() == origin.host


def _find_hostname(host: str) -> str:
    """Drop the port; whoever sends something that is no host at all is told the careful thing."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _first(text: str) -> str:
    return text.partition(",")[0].strip()


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
