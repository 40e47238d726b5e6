"""Signing in and out, and choosing a language: the pages that work without a session."""

from typing import Final

import falcon
from falcon.asgi import Response

from estimatesync_api.core.problems import ApiError
from estimatesync_api.middleware import Authentication
from estimatesync_api.request import Access, Request, Resource
from estimatesync_api.status_page.core import localization
from estimatesync_api.status_page.core.addresses import HOME, SIGN_IN, choose_next
from estimatesync_api.status_page.core.error_messages import format_sign_in_error
from estimatesync_api.status_page.core.localization import LANGUAGES
from estimatesync_api.status_page.core.session import build_session, choose_cookie_name
from estimatesync_api.status_page.page_request import PageRequest, get_page_request, read_form, read_sealed_form
from estimatesync_api.status_page.rendering import create_nonce, redirect, send_page

_YEAR: Final = 31_536_000


class SignInResource(Resource):
    """GET: the form; POST: exchange an API key for a session. Wrong keys count against the limit as for the API."""

    access = Access.SIGN_IN

    def __init__(self, authentication: Authentication, *, hours: int) -> None:
        self._authentication = authentication
        self._hours = hours

    async def on_get(self, req: Request, resp: Response) -> None:
        """Show the form, or go on if there is a session already."""
        next_page = choose_next(req.get_param("next") or HOME)
        page_request = get_page_request(req)
        if page_request.session is not None:
            raise falcon.HTTPSeeOther(next_page)
        message = page_request.localizer.translate("sign_in.ended") if req.get_param("flash") == "ended" else ""
        send_page(req, resp, "sign_in.html", next_page=next_page, message=message, error="")

    async def on_post(self, req: Request, resp: Response) -> None:
        page_request, fields = get_page_request(req), await read_form(req)
        next_page = choose_next(fields.get("next", HOME))
        try:
            key = self._authentication.authenticate(
                presented=fields.get("key", "").strip(), method="GET", client=page_request.client
            )
        except ApiError as error:
            resp.status = error.problem.status
            error_text = format_sign_in_error(error, page_request.localizer)
            send_page(req, resp, "sign_in.html", next_page=next_page, message="", error=error_text)
            return
        req.context.key_name = key.name
        session = build_session(key, now=page_request.now, hours=self._hours, nonce=create_nonce())
        set_cookie(resp, page_request, session.cookie, seconds=self._hours * 3600)
        redirect(resp, next_page)


class SignOutResource(Resource):
    """POST: delete the session cookie."""

    access = Access.SESSION_READING

    async def on_get(self, _req: Request, resp: Response) -> None:
        redirect(resp, HOME)

    async def on_post(self, req: Request, resp: Response) -> None:
        await read_sealed_form(req)
        set_cookie(resp, get_page_request(req), "", seconds=0)
        redirect(resp, f"{SIGN_IN}?flash=ended")


class LanguageResource(Resource):
    """POST: keep the chosen language in a cookie for a year. Without a token, since forging it gains nothing."""

    access = Access.SIGN_IN

    async def on_get(self, _req: Request, resp: Response) -> None:
        redirect(resp, HOME)

    async def on_post(self, req: Request, resp: Response) -> None:
        fields = await read_form(req)
        language = fields.get("language", "")
        if language in LANGUAGES:
            is_secure = get_page_request(req).origin.is_secure
            resp.set_cookie(
                localization.LANGUAGE_COOKIE,
                language,
                max_age=_YEAR,
                path="/",
                secure=is_secure,
                http_only=True,
                same_site="Lax",
            )
        redirect(resp, choose_next(fields.get("next", HOME)))


def set_cookie(resp: Response, page_request: PageRequest, value: str, *, seconds: int) -> None:
    """Set the session cookie, out of reach of scripts and of forms on other sites.

    Lax, not Strict: a link to a sync in a chat or an email must open in a signed-in browser. Whatever changes something
    is a POST, with which Lax does not send the cookie across sites, and needs a token as well.
    """
    name = choose_cookie_name(is_secure=page_request.origin.is_secure)
    resp.set_cookie(
        name, value, max_age=seconds, path="/", secure=page_request.origin.is_secure, http_only=True, same_site="Lax"
    )
