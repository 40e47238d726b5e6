"""The addresses of the page, in one place: all but the list and the API's documentation are below `/page`. Pure."""

from typing import Final
from urllib.parse import quote, urlencode

from estimatesync_contract.names import PAGE_PATH, build_page_path

HOME: Final = "/"
BASE: Final = PAGE_PATH
SIGN_IN: Final = f"{BASE}/sign-in"
SIGN_OUT: Final = f"{BASE}/sign-out"
LANGUAGE: Final = f"{BASE}/language"
START: Final = f"{BASE}/start"
TRENDS: Final = f"{BASE}/trends"
CONNECT: Final = f"{BASE}/connect"
BLUEPRINT: Final = f"{CONNECT}/{{name}}"
SYNC: Final = build_page_path("{sync_id}")
ASSET: Final = f"{BASE}/assets/{{name}}"
DOCS: Final = "/docs"
"""Served without the status page, too."""
CANCEL_STEP: Final = "cancel"
REDELIVER_STEP: Final = "redeliver"
REDELIVER_FAILED: Final = f"{BASE}/redeliver"
LOG_STEP: Final = "log"

_NEXT_MAX_LENGTH: Final = 512


def is_page_path(path: str) -> bool:
    """Return whether an address is one of the page, for browsers, and not one for programs."""
    return path in {HOME, BASE, DOCS} or path.startswith(f"{BASE}/")


def build_sync_address(name: str, step: str = "") -> str:
    """Address the page of one sync, or one of the steps below it."""
    address = build_page_path(quote(name, safe=""))
    return f"{address}/{step}" if step else address


def build_blueprint_address(name: str) -> str:
    """Address a file that Make.com imports."""
    return BLUEPRINT.format(name=quote(name, safe=""))


def build_sign_in_address(requested: str) -> str:
    """Address the sign-in form, which goes on to the requested page."""
    return SIGN_IN if requested == HOME else f"{SIGN_IN}?{urlencode({'next': requested})}"


def choose_next(requested: str) -> str:
    """Choose where to go on: the requested page if it is one of ours, else the list. Anyone can write such a link."""
    is_plain = all("!" <= character <= "~" for character in requested) and "\\" not in requested
    path = requested.partition("?")[0].partition("#")[0]
    # Two leading slashes would name another host, which is not a path of the page; two dots lead out of it.
    is_ours = is_page_path(path) and ".." not in path
    return requested if is_plain and is_ours and len(requested) <= _NEXT_MAX_LENGTH else HOME
