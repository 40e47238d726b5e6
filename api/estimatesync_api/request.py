"""What resources and middleware share about a request: who may send it, and what is known of it so far."""

from collections.abc import Callable
from contextlib import ExitStack
from enum import Enum, auto
from typing import Any, ClassVar

import falcon
import falcon.asgi
from estimatesync_tracing.spans import Span
from falcon.asgi import Response

from estimatesync_api.core.access import Network, compute_client, parse_forwarded
from estimatesync_api.core.problems import ApiError


class Access(Enum):
    """What a request must present before its resource sees it."""

    KEY = auto()
    """An API key in the header."""
    PUBLIC = auto()
    """Nothing. Such requests are worth neither a line in the access log, unless they fail, nor a span."""
    SESSION = auto()
    """The cookie of a person who has signed in on the status page; the session's key decides what it may do."""
    SESSION_READING = auto()
    """The same, and a read-only key suffices whatever the method: the request changes nothing."""
    SIGN_IN = auto()
    """Nothing, but it belongs to the status page: a session is recognized, and forms of other sites are refused."""


class Resource:
    """A resource of Falcon's. It needs a key unless it says otherwise."""

    access: ClassVar[Access] = Access.KEY


def get_access(resource: object) -> Access:
    """What a resource asks for; anything that is not one of ours needs a key."""
    return resource.access if isinstance(resource, Resource) else Access.KEY


class RequestContext(falcon.Context):
    """Filled in as a request passes through the middleware and its resource."""

    started: float = 0.0
    """On the performance counter."""
    key_name: str | None = None
    sync_id: str | None = None
    problem: str | None = None
    """The code of what the answer says is wrong."""
    is_routine: bool = False
    """An open page asks for what is new: worth neither a line nor a span."""
    answer_as_page: Callable[[Any, Response, ApiError], None] | None = None
    """Set below the addresses of the status page: its errors are for people."""
    tracing: tuple[ExitStack, Span] | None = None
    is_acting: bool = False
    """A form of the status page is past all that only reads: should it fail now, it may have acted."""
    page_request: Any = None
    """The status page's own knowledge of the request."""


class Request(falcon.asgi.Request):
    """Falcon's request with a typed context."""

    context_type = RequestContext
    context: RequestContext


def find_client(req: Request, trusted: tuple[Network, ...]) -> str:
    """Name the client of a request, by the word of trusted proxies."""
    claimed = parse_forwarded(
        x_forwarded_for=req.get_header("X-Forwarded-For") or "", forwarded=req.get_header("Forwarded") or ""
    )
    return compute_client(req.remote_addr, claimed, trusted)
