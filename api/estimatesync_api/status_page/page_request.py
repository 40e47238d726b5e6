"""One request of a browser, as everything on the page needs to know it.

Reads what a form has sent, and makes sure that it is one of ours.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from falcon.asgi import Request

from estimatesync_api.request_body import read_body
from estimatesync_api.status_page.core.localization import Tongue
from estimatesync_api.status_page.core.session import Origin, Session, read_form_nonce

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


TOKEN_FIELD = "token"  # noqa: S105 - the name of a field
_MOST_FIELDS = 20


class FormRefusedError(Exception):
    """A form that is not of this session, or not from one of our pages; nothing was done."""


async def read_form(req: Request) -> dict[str, str]:
    """Read the fields of a form.

    Raises:
        ApiError: The body is too large or cut off.
        FormRefusedError: It is no form of ours.
    """
    body = await read_body(req)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise FormRefusedError from error
    return dict(fields)


async def read_sealed_form(req: Request) -> tuple[dict[str, str], str]:
    """Read a form that changes something; answers its fields and its nonce, which is the same when it is sent twice.

    Raises:
        ApiError: The body is too large or cut off.
        FormRefusedError: Its token is not of this session and this address.
    """
    fields = await read_form(req)
    nonce = read_form_nonce(require_session(req), req.path, fields.get(TOKEN_FIELD, ""))
    if nonce is None:
        raise FormRefusedError
    return fields, nonce
