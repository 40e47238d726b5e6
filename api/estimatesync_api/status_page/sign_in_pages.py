"""Signing in and out, and choosing a language: what somebody may do who is not signed in."""

from http import HTTPStatus
from typing import Final

import falcon
from falcon.asgi import Request, Response

from estimatesync_api.gate import Gate
from estimatesync_api.metrics import ApiMetrics
from estimatesync_api.problems import ApiError, Problem
from estimatesync_api.status_page.core import localization
from estimatesync_api.status_page.core.addresses import HOME, SIGN_IN, choose_next
from estimatesync_api.status_page.core.localization import LANGUAGES, Tongue
from estimatesync_api.status_page.core.session import build_session, choose_cookie_name
from estimatesync_api.status_page.page_request import Visit, get_visit, read_form, read_sealed_form
from estimatesync_api.status_page.rendering import create_nonce, send_page

_YEAR: Final = 31_536_000
_MESSAGES: Final = {Problem.KEY_MISSING: "sign_in.missing", Problem.TOO_MANY_GUESSES: "sign_in.too_many"}


class SignInResource:
    """GET: the form; POST: a key becomes a session. Guessing is slowed as it is for the API."""

    is_page = True
    is_open = True

    def __init__(self, gate: Gate, metrics: ApiMetrics, *, hours: int) -> None:
        self._gate = gate
        self._metrics = metrics
        self._hours = hours

    async def on_get(self, req: Request, resp: Response) -> None:
        """Show the form, unless somebody is signed in already."""
        wanted = choose_next(req.get_param("next") or HOME)
        if get_visit(req).session is not None:
            raise falcon.HTTPSeeOther(wanted)
        message = get_visit(req).tongue.say("sign_in.ended") if req.get_param("told") == "ended" else ""
        send_page(req, resp, "sign_in.html", wanted=wanted, message=message, fault="")

    async def on_post(self, req: Request, resp: Response) -> None:
        """Check the key."""
        visit, fields = get_visit(req), await read_form(req)
        wanted = choose_next(fields.get("next", HOME))
        try:
            key = self._gate.admit(presented=fields.get("key", "").strip(), method="GET", client=visit.client)
        except ApiError as error:
            self._record(error.problem)
            resp.status = error.problem.status
            fault = say_sign_in_fault(error, visit.tongue)
            send_page(req, resp, "sign_in.html", wanted=wanted, message="", fault=fault)
            return
        req.context.key_name = key.name
        session = build_session(key, now=visit.now, hours=self._hours, nonce=create_nonce())
        set_cookie(resp, visit, session.cookie, seconds=self._hours * 3600)
        _go_on(resp, wanted)

    def _record(self, problem: Problem) -> None:
        if problem in {Problem.TOO_MANY_REQUESTS, Problem.TOO_MANY_GUESSES}:
            self._metrics.record_limited(problem.code)
        else:
            self._metrics.record_stranger(problem.code)


class SignOutResource:
    """POST: the browser forgets the session."""

    is_page = True
    changes_nothing = True

    async def on_post(self, req: Request, resp: Response) -> None:
        """Take the cookie away."""
        await read_sealed_form(req)
        set_cookie(resp, get_visit(req), "", seconds=0)
        _go_on(resp, f"{SIGN_IN}?told=ended")


class LanguageResource:
    """POST: remember the language that a person has chosen. No token: there is nothing to gain by it."""

    is_page = True
    is_open = True

    async def on_post(self, req: Request, resp: Response) -> None:
        """Keep it in a cookie, for a year."""
        fields = await read_form(req)
        language = fields.get("language", "")
        if language in LANGUAGES:
            is_secure = get_visit(req).origin.is_secure
            resp.set_cookie(
                localization.LANGUAGE_COOKIE,
                language,
                max_age=_YEAR,
                path="/",
                secure=is_secure,
                http_only=True,
                same_site="Lax",
            )
        _go_on(resp, choose_next(fields.get("next", HOME)))


def set_cookie(resp: Response, visit: Visit, value: str, *, seconds: int) -> None:
    """Hand the session to the browser, out of reach of scripts and of other sites' forms.

    Lax, not Strict: a link to a sync in a chat or a mail must open for who is signed in. What changes something is a
    POST, which Lax keeps the cookie from, and needs a token as well.
    """
    name = choose_cookie_name(is_secure=visit.origin.is_secure)
    resp.set_cookie(
        name, value, max_age=seconds, path="/", secure=visit.origin.is_secure, http_only=True, same_site="Lax"
    )


def say_sign_in_fault(error: ApiError, tongue: Tongue) -> str:
    """Say why a key was not taken."""
    if error.problem is Problem.TOO_MANY_REQUESTS:
        return tongue.say("error.too_many_text")
    return tongue.say(_MESSAGES.get(error.problem, "sign_in.wrong"), seconds=error.retry_after)


def _go_on(resp: Response, address: str) -> None:
    resp.status = HTTPStatus.SEE_OTHER
    resp.location = address
