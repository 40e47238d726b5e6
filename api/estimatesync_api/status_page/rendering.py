"""Writes HTML: templates of this package, with everything from outside escaped and nothing undefined left blank."""

import hashlib
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import falcon
from falcon.asgi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from estimatesync_api.status_page.assets import ASSETS
from estimatesync_api.status_page.core import addresses
from estimatesync_api.status_page.core.session import build_form_token
from estimatesync_api.status_page.page_request import Visit, get_visit

NONCE_BYTES: Final = 16
PART: Final = "live"
"""The block of a template that the page's script asks for again and again."""

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("estimatesync_api.status_page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def load_templates() -> None:
    """Compile every template now, and not with the first request: a fault in one is told at the start."""
    for name in _ENVIRONMENT.list_templates():
        _ENVIRONMENT.get_template(name)


def send_page(req: Request, resp: Response, template: str, **values: Any) -> None:  # noqa: ANN401 - a template takes anything
    """Answer with a page, or with its changing part if it has one, unless the script has that very part."""
    visit = get_visit(req)
    resp.content_type = falcon.MEDIA_HTML
    if not visit.is_part or PART not in _ENVIRONMENT.get_template(template).blocks:
        resp.text = _format(visit, template, values)
        return
    part = _format_part(visit, template, values).encode()
    tag = falcon.ETag(hashlib.sha256(part).hexdigest()[:32])
    resp.etag = tag.dumps()
    if tag in (req.if_none_match or []):
        resp.status = HTTPStatus.NOT_MODIFIED
        return
    resp.data = part


def create_nonce() -> str:
    """Draw what nobody can guess: 128 bits as hex."""
    return secrets.token_hex(NONCE_BYTES)


def _format(visit: Visit, template: str, values: Mapping[str, Any]) -> str:
    return _ENVIRONMENT.get_template(template).render(_build_context(visit, values))


def _format_part(visit: Visit, template: str, values: Mapping[str, Any]) -> str:
    found = _ENVIRONMENT.get_template(template)
    context = found.new_context(_build_context(visit, values))
    return "".join(found.blocks[PART](context))


def _build_context(visit: Visit, values: Mapping[str, Any]) -> dict[str, Any]:
    def token(address: str) -> str:
        if visit.session is None:
            raise RuntimeError("a form of somebody who is not signed in has no token")
        return build_form_token(visit.session, address, nonce=create_nonce())

    return {
        "visit": visit,
        "tongue": visit.tongue,
        "say": visit.tongue.say,
        "address": addresses,
        "assets": ASSETS.addresses,
        "token": token,
        "refresh_seconds": 0,
        **values,
    }
