"""The API's own description: for programs, and for people. Made once, when the application is."""

import falcon
import msgspec
from falcon.asgi import Request, Response

from estimatesync_api.docs_page import CONTENT_SECURITY_POLICY, format_page
from estimatesync_api.openapi import build_document


class OpenApiResource:
    """GET: the OpenAPI document. Public, so that tools can read it; it holds no secret."""

    is_public = True

    def __init__(self) -> None:
        self._body = msgspec.json.encode(build_document())

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Show it."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._body


class DocsResource:
    """GET: the same as a page."""

    is_public = True

    def __init__(self) -> None:
        self._body = format_page(build_document()).encode()

    async def on_get(self, _req: Request, resp: Response) -> None:
        """Show it."""
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        resp.data = self._body
