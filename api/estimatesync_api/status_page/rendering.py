"""Renders the templates: everything from outside is escaped, and an undefined value is an error, never a blank."""

import hashlib
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import falcon
from estimatesync_contract.names import START_PATH
from falcon.asgi import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from estimatesync_api.request import Request
from estimatesync_api.status_page.assets import ASSETS
from estimatesync_api.status_page.core import addresses
from estimatesync_api.status_page.core.session import build_form_token
from estimatesync_api.status_page.page_request import PageRequest, get_page_request

NONCE_BYTES: Final = 16
PART: Final = "live"
"""The block of a template that the page's script requests repeatedly."""

# Compiling every template takes longer than the rest of the application's start: each is compiled with its first page.
ENVIRONMENT: Final = Environment(
    loader=PackageLoader("estimatesync_api.status_page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def send_page(req: Request, resp: Response, template: str, **values: Any) -> None:  # noqa: ANN401 - a template takes anything
    """Answer with a page; the page's script gets the changing part alone, or a 304 if it has that part already."""
    page_request = get_page_request(req)
    resp.content_type = falcon.MEDIA_HTML
    if not page_request.is_part or PART not in ENVIRONMENT.get_template(template).blocks:
        resp.text = _format(page_request, template, values)
        return
    part = _format_part(page_request, template, values).encode()
    tag = falcon.ETag(hashlib.sha256(part).hexdigest()[:32])
    resp.etag = tag.dumps()
    if tag in (req.if_none_match or []):
        resp.status = HTTPStatus.NOT_MODIFIED
        return
    resp.data = part


def redirect(resp: Response, address: str) -> None:
    """Answer with a redirect, which the browser follows with a GET."""
    resp.status = HTTPStatus.SEE_OTHER
    resp.location = address


def create_nonce() -> str:
    """Create 128 random bits as hex."""
    return secrets.token_hex(NONCE_BYTES)


def _format(page_request: PageRequest, template: str, values: Mapping[str, Any]) -> str:
    return ENVIRONMENT.get_template(template).render(_build_context(page_request, values))


def _format_part(page_request: PageRequest, template: str, values: Mapping[str, Any]) -> str:
    found = ENVIRONMENT.get_template(template)
    context = found.new_context(_build_context(page_request, values))
    return "".join(found.blocks[PART](context))


def _build_context(page_request: PageRequest, values: Mapping[str, Any]) -> dict[str, Any]:
    def token(address: str) -> str:
        if page_request.session is None:
            raise RuntimeError("a form has no token without a session")
        return build_form_token(page_request.session, address, nonce=create_nonce())

    return {
        "request": page_request,
        "localizer": page_request.localizer,
        "translate": page_request.localizer.translate,
        "address": addresses,
        "assets": ASSETS.addresses,
        "token": token,
        "start_path": START_PATH,
        "refresh_seconds": 0,
        **values,
    }
