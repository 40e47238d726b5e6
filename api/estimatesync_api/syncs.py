"""The addresses of existing syncs: list them, show one, stop one, have its callback sent again."""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from zoneinfo import ZoneInfo

import falcon
import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import SYNC_NAME_MAX_LENGTH
from estimatesync_contract.spec import DNS_SUBDOMAIN_PATTERN
from falcon.asgi import Response

from estimatesync_api.core.listing import parse_sync_query
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.core.representation import (
    CANCEL_REQUESTED,
    CANCEL_TOO_LATE,
    REDELIVERY_REQUESTED,
    to_list_body,
    to_redelivered_body,
    to_request_body,
    to_sync_body,
)
from estimatesync_api.core.sync_request import (
    build_redelivery,
    parse_redelivery,
    parse_redelivery_filter,
    require_redeliverable,
)
from estimatesync_api.redelivery import request_failed_again, request_redelivery
from estimatesync_api.request import Request, Resource
from estimatesync_api.start import read_body
from estimatesync_api.status_page.core.addresses import build_sync_address
from estimatesync_api.waiter import Pause


class SyncListResource(Resource):
    """GET: syncs, newest first, a page at a time."""

    def __init__(self, store: SyncStore, *, time_zone: ZoneInfo, public_url: str = "") -> None:
        self._store = store
        self._time_zone = time_zone
        self._public_url = public_url

    async def on_get(self, req: Request, resp: Response) -> None:
        page = await self._store.list_page(parse_sync_query(req.params, time_zone=self._time_zone))
        resp.media = to_list_body(page, public_url=self._public_url)


class SyncResource(Resource):
    """GET: one sync, as it is now."""

    def __init__(self, store: SyncStore, *, has_page: bool = False, public_url: str = "") -> None:
        """Show syncs of the store; `has_page`: whether a browser can be shown each, too."""
        self._store = store
        self._has_page = has_page
        self._public_url = public_url

    async def on_get(self, req: Request, resp: Response, sync_id: str) -> None:
        """Show the sync, or 304 when the caller already has it like this."""
        sync = require_found(await self._store.fetch(require_sync_name(sync_id)), req)
        body = msgspec.json.encode(to_sync_body(sync, public_url=self._public_url))
        tag = falcon.ETag(hashlib.sha256(body).hexdigest()[:32])
        resp.etag = tag.dumps()
        if self._has_page:
            resp.append_link(build_sync_address(sync.name), "alternate", type_hint=falcon.MEDIA_HTML)
        resp.cache_control = ("no-cache",)
        if is_known(tag, req):
            resp.status = HTTPStatus.NOT_MODIFIED
            return
        resp.content_type = falcon.MEDIA_JSON
        resp.data = body


class CancelResource(Resource):
    """POST: stop a sync."""

    def __init__(self, store: SyncStore, *, public_url: str = "") -> None:
        self._store = store
        self._public_url = public_url

    async def on_post(self, req: Request, resp: Response, sync_id: str) -> None:
        """Request the stop; a second request changes nothing."""
        name = require_sync_name(sync_id)
        sync = require_found(await self._store.fetch(name), req)
        if sync.is_finished:
            resp.media = to_request_body(CANCEL_TOO_LATE, sync, public_url=self._public_url)
            return
        if not sync.spec.cancel:
            sync = require_found(await self._store.request_cancel(name, by=req.context.key_name or ""), req)
        resp.status = HTTPStatus.ACCEPTED
        resp.media = to_request_body(CANCEL_REQUESTED, sync, public_url=self._public_url)


class RedeliverResource(Resource):
    """POST: send a finished sync's callback again."""

    def __init__(self, store: SyncStore, *, token: Callable[[], str], public_url: str = "") -> None:
        """`token` names a request that is made now."""
        self._store = store
        self._token = token
        self._public_url = public_url

    async def on_post(self, req: Request, resp: Response, sync_id: str) -> None:
        """Request a delivery, or of several those that the body names; each request is one more."""
        name = require_sync_name(sync_id)
        body = await read_body(req)
        found = require_found(await self._store.fetch(name), req)
        require_redeliverable(found)
        targets = parse_redelivery(body, found)
        build = partial(build_redelivery, token=self._token(), targets=targets)
        sync = require_found(await request_redelivery(self._store, name, build, by=req.context.key_name or ""), req)
        resp.status = HTTPStatus.ACCEPTED
        resp.media = to_request_body(REDELIVERY_REQUESTED, sync, public_url=self._public_url)


class RedeliverAllResource(Resource):
    """POST: send all callbacks again that were given up."""

    def __init__(
        self,
        store: SyncStore,
        *,
        time_zone: ZoneInfo,
        token: Callable[[], str],
        pause: Pause,
    ) -> None:
        """As above; `pause` sleeps between two of the syncs."""
        self._store = store
        self._time_zone = time_zone
        self._token = token
        self._pause = pause

    async def on_post(self, req: Request, resp: Response) -> None:
        """Look at a hundred syncs that have ended."""
        page = await self._store.list_page(parse_redelivery_filter(await read_body(req), time_zone=self._time_zone))
        by = req.context.key_name or ""
        requested = await request_failed_again(self._store, page.syncs, token=self._token(), by=by, pause=self._pause)
        resp.status = HTTPStatus.ACCEPTED
        resp.media = to_redelivered_body(requested, page.end)


def require_sync_name(text: str) -> str:
    """Make sure that a sync can have this name, which spares the store a pointless request.

    Raises:
        ApiError: None can.
    """
    if len(text) > SYNC_NAME_MAX_LENGTH or re.fullmatch(DNS_SUBDOMAIN_PATTERN, text) is None:
        raise ApiError(Problem.SYNC_NOT_FOUND)
    return text


def require_found(sync: EstimateSync | None, req: Request) -> EstimateSync:
    """Make sure that there is a sync, and name it in the log.

    Raises:
        ApiError: There is none.
    """
    if sync is None:
        raise ApiError(Problem.SYNC_NOT_FOUND)
    req.context.sync_id = sync.name
    return sync


def is_known(tag: falcon.ETag, req: Request) -> bool:
    """True when the caller already has exactly this answer (RFC 9110 section 13.1.2)."""
    known = req.if_none_match or []
    return any(other in ("*", tag) for other in known)
