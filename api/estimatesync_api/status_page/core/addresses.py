"""The addresses of the page, in one place: everything but the list itself is below `/page`. Pure."""

from typing import Final
from urllib.parse import quote, urlencode

HOME: Final = "/"
BASE: Final = "/page"
SIGN_IN: Final = f"{BASE}/sign-in"
SIGN_OUT: Final = f"{BASE}/sign-out"
LANGUAGE: Final = f"{BASE}/language"
START: Final = f"{BASE}/start"
TRENDS: Final = f"{BASE}/trends"
SYNC: Final = f"{BASE}/syncs/{{sync_id}}"
ASSET: Final = f"{BASE}/assets/{{name}}"
CANCEL_STEP: Final = "cancel"
REDELIVER_STEP: Final = "redeliver"
LOG_STEP: Final = "log"

_NEXT_MAX_LENGTH: Final = 512


def is_page_path(path: str) -> bool:
    """Tell whether a person's browser is answered there, and not a program."""
    return path in {HOME, BASE} or path.startswith(f"{BASE}/")


def build_sync_address(name: str, step: str = "") -> str:
    """Where one sync is shown, or something is done about it."""
    address = SYNC.format(sync_id=quote(name, safe=""))
    return f"{address}/{step}" if step else address


def build_sign_in_address(wanted: str) -> str:
    """Where a person signs in, and goes on to where she wanted to be."""
    return SIGN_IN if wanted == HOME else f"{SIGN_IN}?{urlencode({'next': wanted})}"


def choose_next(wanted: str) -> str:
    """Where to go on: to a page of ours, whatever somebody wrote into a link."""
    is_plain = all("!" <= character <= "~" for character in wanted) and "\\" not in wanted
    path = wanted.partition("?")[0].partition("#")[0]
    # Two slashes in front would name another host, and are no path of the page; two dots lead out of it.
    is_ours = is_page_path(path) and ".." not in path
    return wanted if is_plain and is_ours and len(wanted) <= _NEXT_MAX_LENGTH else HOME
