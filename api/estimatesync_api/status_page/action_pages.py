"""The pages that act: start a sync, cancel one, send its callback again. Each asks for a confirmation first.

The rules are the API's own. A form that is sent twice acts once: its nonce is the Idempotency-Key of a start, and the
name of a redelivery; cancelling twice is the same as cancelling once.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import compute_default_range
from falcon.asgi import Response

from estimatesync_api.core.listing import FINAL_PHASES, PAGE_LIMIT_MAX, SyncQuery
from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import (
    ApiError,
    Problem,
    StoreUnavailableError,
    build_problem_headers,
    map_exception,
)
from estimatesync_api.core.sync_request import (
    SyncRequest,
    build_redelivery,
    parse_sync_request,
    require_redeliverable,
)
from estimatesync_api.redelivery import request_failed_again, request_redelivery
from estimatesync_api.request import Access, Request, Resource
from estimatesync_api.start import SyncStarter
from estimatesync_api.status_page.core.addresses import HOME, build_sync_address
from estimatesync_api.status_page.core.detail_view import can_be_redelivered
from estimatesync_api.status_page.core.error_messages import (
    find_start_errors,
    format_refused_days,
    format_store_cause,
    is_outcome_unknown,
)
from estimatesync_api.status_page.core.list_view import build_sync_row
from estimatesync_api.status_page.core.start_view import build_presets
from estimatesync_api.status_page.page_request import TOKEN_FIELD, PageRequest, get_page_request, read_sealed_form
from estimatesync_api.status_page.rendering import redirect, send_page
from estimatesync_api.syncs import require_found, require_sync_name
from estimatesync_api.waiter import Pause

_logger: Final = logging.getLogger(__name__)


class StartPageResource(Resource):
    """GET: the form with the days; POST: start a sync of them, or offer the one that is active on them already."""

    access = Access.SESSION

    def __init__(self, starter: SyncStarter, *, clock: Callable[[], datetime]) -> None:
        self._starter = starter
        self._clock = clock

    async def on_get(self, req: Request, resp: Response) -> None:
        """Show the form, with the days of the link that led here or with the default days."""
        page_request = _require_actor(get_page_request(req))
        days = compute_default_range(page_request.today)
        fields = {
            "from": req.get_param("from") or str(days.start),
            "to": req.get_param("to") or str(days.end),
            "changes": req.get_param("changes") or "",
        }
        _show_form(req, resp, fields)

    async def on_post(self, req: Request, resp: Response) -> None:
        """Start the sync; if one of these days is active, only when the form confirms that another one is wanted."""
        page_request = get_page_request(req)
        fields, nonce = await read_sealed_form(req)
        errors = find_start_errors(fields, page_request.localizer, today=page_request.today)
        if errors:
            _refuse_days(req, resp, fields, errors)
            return
        try:
            request = _parse_request(fields, nonce, page_request, caller=req.context.key_name or "")
        except ApiError as error:
            _logger.warning("the days of a form were refused: %s", error)
            _refuse_days(req, resp, fields, format_refused_days(page_request.localizer))
            return
        name = self._starter.choose_name(request, self._clock())
        active = None if fields.get("again") else await self._find_active_sync(request)
        if active is not None and active.name != name:
            resp.status = HTTPStatus.CONFLICT
            _show_form(req, resp, fields, active=active)
            return
        req.context.sync_id = name
        req.context.is_acting = True
        try:
            sync = await self._starter.start(request, name)
        except (StoreUnavailableError, TimeoutError, ConnectionError) as error:
            _logger.warning("sync=%s it could not be stored for the page: %s", name, error)
            _answer_unanswered(req, resp, fields, map_exception(error))
            return
        _redirect_to_sync(resp, sync.name, "started")

    async def _find_active_sync(self, request: SyncRequest) -> EstimateSync | None:
        # When in doubt, start one: one sync too many does no harm, one too few would.
        with suppress(StoreUnavailableError, TimeoutError, ConnectionError):
            return await self._starter.find_active(request.work)
        return None


class CancelPageResource(Resource):
    """GET: ask for confirmation; POST: request the cancellation."""

    access = Access.SESSION

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, sync_id: str) -> None:
        page_request = _require_actor(get_page_request(req))
        sync = require_found(await self._store.fetch(require_sync_name(sync_id)), req)
        refusal = page_request.localizer.translate("cancel.late") if sync.is_finished else ""
        _show_confirmation(req, resp, sync, action="cancel", refusal=refusal)

    async def on_post(self, req: Request, resp: Response, sync_id: str) -> None:
        await read_sealed_form(req)
        name = require_sync_name(sync_id)
        sync = require_found(await self._store.fetch(name), req)
        if sync.is_finished:
            _redirect_to_sync(resp, name, "too_late")
            return
        req.context.is_acting = True
        if not sync.spec.cancel:
            require_found(await self._store.request_cancel(name, by=req.context.key_name or ""), req)
        _redirect_to_sync(resp, name, "cancelled")


class RedeliverPageResource(Resource):
    """GET: ask for confirmation; POST: request another delivery of the callback."""

    access = Access.SESSION

    def __init__(self, store: SyncStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response, sync_id: str) -> None:
        page_request = _require_actor(get_page_request(req))
        sync = require_found(await self._store.fetch(require_sync_name(sync_id)), req)
        refusal = "" if can_be_redelivered(sync) else page_request.localizer.translate("redeliver.cannot")
        _show_confirmation(req, resp, sync, action="redeliver", refusal=refusal)

    async def on_post(self, req: Request, resp: Response, sync_id: str) -> None:
        _, nonce = await read_sealed_form(req)
        name = require_sync_name(sync_id)
        require_redeliverable(require_found(await self._store.fetch(name), req))
        build = partial(build_redelivery, token=f"page-{nonce}", targets=())
        req.context.is_acting = True
        require_found(await request_redelivery(self._store, name, build, by=req.context.key_name or ""), req)
        _redirect_to_sync(resp, name, "redelivered")


class RedeliverFailedResource(Resource):
    """POST: request all callbacks again that were given up, of the newest hundred syncs that have ended.

    The list has the button while one of those that its summary is built from has such a callback.
    """

    access = Access.SESSION

    def __init__(self, store: SyncStore, *, pause: Pause) -> None:
        self._store = store
        self._pause = pause

    async def on_get(self, _req: Request, resp: Response) -> None:
        redirect(resp, HOME)

    async def on_post(self, req: Request, resp: Response) -> None:
        _, nonce = await read_sealed_form(req)
        page = await self._store.list_page(SyncQuery(limit=PAGE_LIMIT_MAX, phases=FINAL_PHASES))
        by = req.context.key_name or ""
        req.context.is_acting = True
        await request_failed_again(self._store, page.syncs, token=f"page-{nonce}", by=by, pause=self._pause)
        redirect(resp, f"{HOME}?flash=redelivered_all")


def _parse_request(fields: dict[str, str], nonce: str, page_request: PageRequest, *, caller: str) -> SyncRequest:
    """Parse the form as the API parses its body; other days or the other mode in the same form are another request."""
    first, last = fields.get("from", "").strip(), fields.get("to", "").strip()
    mode = "changes" if fields.get("changes") else ""
    return parse_sync_request(
        query={},
        body=msgspec.json.encode({"startDate": first, "endDate": last, "mode": mode}),
        idempotency_key=f"page-{nonce}-{first}-{last}{mode and f'-{mode}'}",
        today=page_request.today,
        caller=caller,
    )


def _require_actor(page_request: PageRequest) -> PageRequest:
    if not page_request.may_act:
        raise ApiError(Problem.KEY_READ_ONLY)
    return page_request


def _refuse_days(req: Request, resp: Response, fields: dict[str, str], errors: tuple[tuple[str, str], ...]) -> None:
    resp.status = HTTPStatus.BAD_REQUEST
    _show_form(req, resp, fields, errors=errors)


def _answer_unanswered(req: Request, resp: Response, fields: dict[str, str], error: ApiError) -> None:
    """Show the form as it was sent, with its token: should it have been stored all the same, it is found again."""
    resp.status = error.problem.status
    resp.set_headers(dict(build_problem_headers(error)))
    cause = format_store_cause(error.cause, get_page_request(req).localizer) if error.cause else ""
    unanswered = "unsure" if is_outcome_unknown(error) else "unanswered"
    _show_form(req, resp, fields, unanswered=unanswered, cause=cause)


def _show_form(
    req: Request,
    resp: Response,
    fields: dict[str, str],
    *,
    errors: tuple[tuple[str, str], ...] = (),
    active: EstimateSync | None = None,
    unanswered: str = "",
    cause: str = "",
) -> None:
    page_request = get_page_request(req)
    row = build_sync_row(active, page_request.localizer, now=page_request.now) if active else None
    first, last = fields.get("from", ""), fields.get("to", "")
    send_page(
        req,
        resp,
        "start.html",
        first=first,
        last=last,
        changes=bool(fields.get("changes")),
        errors=dict(errors),
        active=row,
        cause=cause,
        is_confirmed=active is not None or (bool(unanswered) and bool(fields.get("again"))),
        unanswered=unanswered,
        form_token=fields.get(TOKEN_FIELD, "") if unanswered else "",
        presets=build_presets(page_request.today, page_request.localizer, first=first, last=last),
    )


def _show_confirmation(req: Request, resp: Response, sync: EstimateSync, *, action: str, refusal: str) -> None:
    page_request = get_page_request(req)
    row = build_sync_row(sync, page_request.localizer, now=page_request.now)
    send_page(req, resp, "confirm.html", row=row, action=action, refusal=refusal)


def _redirect_to_sync(resp: Response, name: str, flash: str) -> None:
    redirect(resp, f"{build_sync_address(name)}?flash={flash}")
