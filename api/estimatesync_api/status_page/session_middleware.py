"""Runs around every request of the page: finds the session, asks for a sign-in, sets the security headers.

Errors are answered as pages. Requests outside the page's addresses pass through untouched.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import falcon
from falcon.asgi import Response

from estimatesync_api.adapters.key_store import KeyStore
from estimatesync_api.core.access import AccessControl, is_trusted_peer
from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.request import Access, Request, find_client, get_access
from estimatesync_api.settings import Settings
from estimatesync_api.status_page.core import localization
from estimatesync_api.status_page.core.addresses import HOME, build_sign_in_address, is_page_path
from estimatesync_api.status_page.core.error_messages import build_error_page, build_form_error_page
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_api.status_page.core.session import (
    Origin,
    Session,
    choose_cookie_name,
    find_session,
    is_from_own_page,
    read_origin,
)
from estimatesync_api.status_page.page_request import (
    NO_REFRESH_PARAMETER,
    PART_HEADER,
    FormRefusedError,
    PageRequest,
    get_page_request,
)
from estimatesync_api.status_page.rendering import send_page

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Other sites never see our addresses; without any referrer, browsers would not send the origin of a form.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_logger: Final = logging.getLogger(__name__)


class SessionMiddleware:
    """Authenticates requests of the page by their session cookie."""

    def __init__(
        self, key_store: KeyStore, access_control: AccessControl, settings: Settings, *, clock: Callable[[], datetime]
    ) -> None:
        self._key_store = key_store
        self._access_control = access_control
        self._settings = settings
        self._clock = clock

    async def process_request(self, req: Request, _resp: Response) -> None:
        """Note in the context what every page needs to know about the request."""
        if is_page_path(req.path):
            req.context.page_request = self._build_page_request(req)
            req.context.answer_as_page = answer_error

    async def process_resource(self, req: Request, resp: Response, resource: object, _params: dict[str, Any]) -> None:
        """Find the session; without one, redirect to the sign-in form unless the page is open to all.

        Raises:
            ApiError: The key may not do this, or has been used too often.
            FormRefusedError: Another site has sent a form.
        """
        access = get_access(resource)
        if access in {Access.KEY, Access.PUBLIC}:
            return
        resp.cache_control = ("no-store",)
        page_request = get_page_request(req)
        if req.method == "POST" and not _is_own_form(req, page_request.origin):
            _logger.warning("a form for %s came from another site and was refused", req.uri_template)
            raise FormRefusedError
        session = self._find_session(req, page_request)
        req.context.page_request = replace(page_request, session=session)
        if access is Access.SIGN_IN:
            return
        if session is None:
            raise self._build_sign_in_error(req, page_request)
        req.context.key_name = session.key.name
        req.context.is_routine = page_request.is_part
        method = "GET" if access is Access.SESSION_READING else req.method
        self._access_control.authorize(session.key, method=method)

    async def process_response(self, req: Request, resp: Response, _resource: object, _succeeded: bool) -> None:  # noqa: FBT001 - Falcon passes it by position
        """Set the security headers, on errors as well."""
        if is_page_path(req.path):
            resp.set_headers(dict(HEADERS))
            if not resp.get_header("Cache-Control"):
                resp.cache_control = ("no-store",)

    def _build_page_request(self, req: Request) -> PageRequest:
        trusted, now = self._settings.trusted_proxies, self._clock()
        language = localization.choose_language(
            read_cookie(req, localization.LANGUAGE_COOKIE), req.get_header("Accept-Language") or ""
        )
        server_zone = self._settings.time_zone
        zone, is_of_browser = localization.choose_time_zone(read_cookie(req, localization.ZONE_COOKIE), server_zone)
        address = f"{req.path}?{req.query_string}" if req.query_string and req.method == "GET" else req.path
        origin = read_origin(
            scheme=req.scheme,
            host=req.get_header("Host") or "",
            headers={name: req.get_header(name) or "" for name in ("X-FORWARDED-PROTO", "X-FORWARDED-HOST")},
            is_proxy_trusted=is_trusted_peer(req.remote_addr, trusted),
        )
        return PageRequest(
            localizer=Localizer(language=language, time_zone=zone, is_zone_of_browser=is_of_browser),
            today=now.astimezone(server_zone).date(),
            origin=origin,
            server_url=self._settings.public_url or origin.url,
            now=now,
            client=find_client(req, trusted),
            address=address,
            # A form never asks for a part, and what it does is always worth a line in the access log.
            is_form=req.method == "POST",
            is_part=req.method == "GET" and bool(req.get_header(PART_HEADER)),
            is_auto_refresh_off=bool(req.get_param(NO_REFRESH_PARAMETER)),
        )

    def _find_session(self, req: Request, page_request: PageRequest) -> Session | None:
        cookie = read_cookie(req, choose_cookie_name(is_secure=page_request.origin.is_secure))
        return find_session(cookie, self._key_store.list_keys(), now=page_request.now) if cookie else None

    def _build_sign_in_error(self, req: Request, page_request: PageRequest) -> Exception:
        has_cookie = bool(read_cookie(req, choose_cookie_name(is_secure=page_request.origin.is_secure)))
        if has_cookie and not self._key_store.is_complete():
            return ApiError(Problem.KEYS_UNAVAILABLE)
        if page_request.is_part:
            # The script then reloads the page, which leads to the form.
            return ApiError(Problem.KEY_MISSING)
        return falcon.HTTPSeeOther(build_sign_in_address(page_request.address if req.method == "GET" else HOME))


def read_cookie(req: Request, name: str) -> str:
    """Read a cookie; blank when there is none, or several of that name, since another site may have added one."""
    values = req.get_cookie_values(name) or []
    return values[0] if len(values) == 1 else ""


def answer_error(req: Request, resp: Response, error: ApiError) -> None:
    """Answer an error as a page; status and headers are set already."""
    page_request = get_page_request(req)
    if page_request.is_form:
        page = build_form_error_page(error, page_request.localizer, path=req.path, is_acting=req.context.is_acting)
        send_page(req, resp, "error.html", error=page)
        return
    page = build_error_page(error.problem, page_request.localizer, error)
    send_page(req, resp, "error.html", error=page, refresh_seconds=error.retry_after if page.is_temporary else 0)


async def answer_refused_form(req: Request, resp: Response, _error: FormRefusedError, _params: dict[str, Any]) -> None:
    """Answer a refused form as a page: nothing was done."""
    resp.status = HTTPStatus.FORBIDDEN
    send_page(req, resp, "error.html", error=build_error_page(None, get_page_request(req).localizer, None))


def _is_own_form(req: Request, origin: Origin) -> bool:
    return is_from_own_page(
        origin, fetch_site=req.get_header("Sec-Fetch-Site") or "", sent_origin=req.get_header("Origin") or ""
    )
