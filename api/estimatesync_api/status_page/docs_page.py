"""The API's documentation as a page of the status page: its colours, its language, its way back."""

from functools import cache

from falcon.asgi import Response

from estimatesync_api.openapi.document import build_document
from estimatesync_api.openapi.page import format_body
from estimatesync_api.request import Access, Request, Resource
from estimatesync_api.status_page.page_request import get_page_request
from estimatesync_api.status_page.rendering import send_page


class DocsPageResource(Resource):
    """GET: every address of the API with its examples; for everyone, since it holds no secret."""

    access = Access.SIGN_IN

    async def on_get(self, req: Request, resp: Response) -> None:
        send_page(req, resp, "docs.html", body=_build_body(get_page_request(req).localizer.language))


@cache
def _build_body(language: str) -> str:
    return format_body(build_document(), language)
