"""One request of a browser: what every page needs to know about it, and the form that came with it."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from urllib.parse import parse_qsl

from estimatesync_api.request import Request
from estimatesync_api.start import read_body
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_api.status_page.core.session import Origin, Session, is_this_machine, read_form_nonce

PART_HEADER: Final = "X-Page-Part"
"""Sent by the page's own script, which wants only the part that changes."""
NO_REFRESH_PARAMETER: Final = "still"
"""In the query of a page that must not refresh itself."""
TOKEN_FIELD: Final = "token"  # noqa: S105 - the name of a field
_MAX_FIELDS: Final = 20


class FormRefusedError(Exception):
    """A form that does not belong to this session, or did not come from one of our pages; nothing was done."""


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """Who asks, from where, in which language, and when."""

    localizer: Localizer
    origin: Origin
    now: datetime
    today: date
    """Where the server is: the days of a sync do not depend on who asks."""
    server_url: str
    """The address of this server for others, without a path."""
    client: str
    """The address that limits count by."""
    address: str
    """What was requested, with its query."""
    is_part: bool
    is_form: bool = False
    """A form was sent, so the answer can be reloaded only by sending it again."""
    is_auto_refresh_off: bool = False
    session: Session | None = None

    @property
    def is_address_local(self) -> bool:
        """True if only this machine can reach the address of this server, so Make.com cannot."""
        return is_this_machine(self.server_url)

    @property
    def address_without_refresh(self) -> str:
        """The same page with its refresh switched off."""
        return f"{self.address}{'&' if '?' in self.address else '?'}{NO_REFRESH_PARAMETER}=1"

    @property
    def may_act(self) -> bool:
        """False without a session, and for a key that is read-only."""
        return self.session is not None and not self.session.key.is_read_only


def get_page_request(req: Request) -> PageRequest:
    """Return what the session middleware has found out about the request."""
    page_request: PageRequest = req.context.page_request
    return page_request


def require_session(req: Request) -> Session:
    """Return the session, on a page that cannot be reached without one.

    Raises:
        RuntimeError: There is none: a defect.
    """
    session = get_page_request(req).session
    if session is None:
        raise RuntimeError(f"{req.path} was reached without a session")
    return session


async def read_form(req: Request) -> dict[str, str]:
    """Read the fields of a form.

    Raises:
        ApiError: The body is too large or cut off.
        FormRefusedError: The body is not a form of ours.
    """
    body = await read_body(req)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise FormRefusedError from error
    return dict(fields)


async def read_sealed_form(req: Request) -> tuple[dict[str, str], str]:
    """Read a form that changes something: its fields, and its nonce, which is the same when the form is sent twice.

    Raises:
        ApiError: The body is too large or cut off.
        FormRefusedError: Its token does not belong to this session and this address.
    """
    fields = await read_form(req)
    nonce = read_form_nonce(require_session(req), req.path, fields.get(TOKEN_FIELD, ""))
    if nonce is None:
        raise FormRefusedError
    return fields, nonce
