"""What a person does: start a sync, cancel one, have its callback sent again. Each asks before it acts.

The rules are the API's own. A form that is sent twice acts once: its nonce is the Idempotency-Key of a start, and the
name of a redelivery; cancelling twice is cancelling.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus

import falcon
import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import compute_default_range
from falcon.asgi import Request, Response

from estimatesync_api.listing import may_be_joined
from estimatesync_api.ports import StoreUnavailableError, SyncStore
from estimatesync_api.problems import ApiError, Problem
from estimatesync_api.redelivery import require_redeliverable
from estimatesync_api.settings import RepeatedRequests
from estimatesync_api.status_page.core.addresses import build_sync_address
from estimatesync_api.status_page.core.detail_view import can_be_redelivered
from estimatesync_api.status_page.core.error_messages import find_start_faults
from estimatesync_api.status_page.core.list_view import see_sync
from estimatesync_api.status_page.page_request import Visit, get_visit, read_sealed_form
from estimatesync_api.status_page.rendering import send_page
from estimatesync_api.sync_request import SyncRequest, parse_sync_request
from estimatesync_api.sync_resources import require_found, require_sync_name
from estimatesync_api.sync_starter import SyncStarter


class StartPageResource:
    """GET: which days; POST: a sync of them, or the one that is at work on them already."""

    is_page = True

    def __init__(
        self,
        store: SyncStore,
        starter: SyncStarter,
        *,
        clock: Callable[[], datetime],
        repeated_requests: RepeatedRequests,
    ) -> None:
        self._store = store
        self._starter = starter
        self._clock = clock
        self._repeated_requests = repeated_requests

    async def on_get(self, req: Request, resp: Response) -> None:
        """Show the form: with the days of a link, or with those that Make.com asks for."""
        visit = _require_actor(get_visit(req))
        days = compute_default_range(visit.now.astimezone(visit.tongue.time_zone).date())
        fields = {"from": req.get_param("from") or str(days.start), "to": req.get_param("to") or str(days.end)}
        _show_form(req, resp, fields)

    async def on_post(self, req: Request, resp: Response) -> None:
        """Start the sync, unless one of these days is at work and the person has not insisted."""
        visit = get_visit(req)
        fields, nonce = await read_sealed_form(req)
        faults = find_start_faults(fields, visit.tongue)
        if faults:
            resp.status = HTTPStatus.BAD_REQUEST
            _show_form(req, resp, fields, faults=faults)
            return
        request = _parse_request(fields, nonce, visit)
        name = self._starter.choose_name(request, self._clock())
        busy = None if fields.get("again") else await self._find_at_work(request)
        if busy is not None and busy.name != name:
            resp.status = HTTPStatus.CONFLICT
            _show_form(req, resp, fields, busy=busy)
            return
        req.context.sync_id = name
        sync = await self._starter.start(request, name)
        _go_on(resp, sync.name, "started")

    async def _find_at_work(self, request: SyncRequest) -> EstimateSync | None:
        if self._repeated_requests is RepeatedRequests.START:
            return None
        # One sync too many does no harm; one too few would.
        with suppress(StoreUnavailableError):
            name = await self._store.find_at_work(request.date_range)
            sync = await self._store.fetch(name) if name else None
            return sync if sync and may_be_joined(sync) else None
        return None


class CancelPageResource:
    """GET: the question; POST: the sync is stopped."""

    is_page = True

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, sync_id: str) -> None:
        """Ask."""
        visit = _require_actor(get_visit(req))
        sync = require_found(await self._store.fetch(require_sync_name(sync_id)), req)
        refusal = visit.tongue.say("cancel.late") if sync.is_finished else ""
        _ask(req, resp, sync, question="cancel", refusal=refusal)

    async def on_post(self, req: Request, resp: Response, sync_id: str) -> None:
        """Have it stopped."""
        await read_sealed_form(req)
        name = require_sync_name(sync_id)
        sync = require_found(await self._store.fetch(name), req)
        if sync.is_finished:
            _go_on(resp, name, "too_late")
            return
        require_found(await self._store.request_cancel(name), req)
        _go_on(resp, name, "cancelled")


class RedeliverPageResource:
    """GET: the question; POST: the callback is sent again."""

    is_page = True

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, sync_id: str) -> None:
        """Ask."""
        visit = _require_actor(get_visit(req))
        sync = require_found(await self._store.fetch(require_sync_name(sync_id)), req)
        refusal = "" if can_be_redelivered(sync) else visit.tongue.say("redeliver.cannot")
        _ask(req, resp, sync, question="redeliver", refusal=refusal)

    async def on_post(self, req: Request, resp: Response, sync_id: str) -> None:
        """Have it sent."""
        _, nonce = await read_sealed_form(req)
        name = require_sync_name(sync_id)
        require_redeliverable(require_found(await self._store.fetch(name), req))
        require_found(await self._store.request_redelivery(name, f"page-{nonce}"), req)
        _go_on(resp, name, "redelivered")


def _parse_request(fields: dict[str, str], nonce: str, visit: Visit) -> SyncRequest:
    """Read it as the API would; other days in the same form are another request."""
    first, last = fields.get("from", "").strip(), fields.get("to", "").strip()
    return parse_sync_request(
        query={},
        body=msgspec.json.encode({"startDate": first, "endDate": last}),
        idempotency_key=f"page-{nonce}-{first}-{last}",
        today=visit.now.astimezone(visit.tongue.time_zone).date(),
    )


def _require_actor(visit: Visit) -> Visit:
    if not visit.may_act:
        raise ApiError(Problem.KEY_READ_ONLY)
    return visit


def _show_form(
    req: Request,
    resp: Response,
    fields: dict[str, str],
    *,
    faults: tuple[tuple[str, str], ...] = (),
    busy: EstimateSync | None = None,
) -> None:
    visit = get_visit(req)
    seen = see_sync(busy, visit.tongue, now=visit.now) if busy else None
    first, last = fields.get("from", ""), fields.get("to", "")
    send_page(req, resp, "start.html", first=first, last=last, faults=dict(faults), busy=seen)


def _ask(req: Request, resp: Response, sync: EstimateSync, *, question: str, refusal: str) -> None:
    visit = get_visit(req)
    seen = see_sync(sync, visit.tongue, now=visit.now)
    send_page(req, resp, "question.html", seen=seen, question=question, refusal=refusal)


def _go_on(resp: Response, name: str, told: str) -> None:
    resp.status = falcon.HTTP_303
    resp.location = f"{build_sync_address(name)}?told={told}"
