"""The API's documentation as a page of the status page: its colours, its language, its way back."""

from falcon.asgi import Response

from estimatesync_api.openapi.document import build_document
from estimatesync_api.openapi.page import format_body
from estimatesync_api.request import Access, Request, Resource
from estimatesync_api.status_page.core.localization import LANGUAGES
from estimatesync_api.status_page.page_request import get_page_request
from estimatesync_api.status_page.rendering import send_page


class DocsPageResource(Resource):
    """GET: every address of the API with its examples; for everyone, since it holds no secret."""

    access = Access.SIGN_IN

    def __init__(self) -> None:
        document = build_document()
        self._bodies = {language: format_body(document, language) for language in LANGUAGES}

    async def on_get(self, req: Request, resp: Response) -> None:
        send_page(req, resp, "docs.html", body=self._bodies[get_page_request(req).localizer.language])
