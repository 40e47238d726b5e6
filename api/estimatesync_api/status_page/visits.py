"""One request of a browser, as everything on the page needs to know it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from falcon.asgi import Request

from estimatesync_api.status_page.origins import Origin
from estimatesync_api.status_page.sessions import Session
from estimatesync_api.status_page.tongue import Tongue

PART_HEADER: Final = "X-Page-Part"
"""Sent by the page's own script, which wants nothing but the parts that change."""


STILL: Final = "still"
"""In the query of a page that is to stay as it is."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Who asks, from where, in which language, and when."""

    tongue: Tongue
    origin: Origin
    now: datetime
    client: str
    """The address that limits count by."""
    wanted: str
    """The address that was asked for, with its query."""
    is_part: bool
    is_still: bool = False
    """The person wants a page that does not load itself anew."""
    session: Session | None = None

    @property
    def still_address(self) -> str:
        """The same page, which then stays as it is."""
        return f"{self.wanted}{'&' if '?' in self.wanted else '?'}{STILL}=1"

    @property
    def may_act(self) -> bool:
        """Some keys may only look."""
        return self.session is not None and not self.session.key.is_read_only


def get_visit(req: Request) -> Visit:
    """The visit that the door has written down."""
    visit: Visit = req.context.visit
    return visit


def require_session(req: Request) -> Session:
    """The session, where the door lets nobody in without one."""
    session = get_visit(req).session
    if session is None:
        raise RuntimeError(f"{req.path} was reached without a session")
    return session
