"""The page that connects Make.com: what to import there, with this server's address filled in."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import falcon
from falcon.asgi import Response

from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.request import Access, Request, Resource
from estimatesync_api.status_page.core.connect_view import SECTIONS, SUFFIX, fill_in, list_blueprints
from estimatesync_api.status_page.page_request import get_page_request
from estimatesync_api.status_page.rendering import send_page


def read_blueprints() -> Mapping[str, str]:
    """Read the files of the package, by name; they are few and small."""
    folder = files("estimatesync_api").joinpath("blueprints")
    return {each.name: each.read_text("utf-8") for each in folder.iterdir() if each.name.endswith(SUFFIX)}


BLUEPRINTS: Final = read_blueprints()


class ConnectPageResource(Resource):
    """GET: the steps, and the files to import."""

    access = Access.SESSION

    async def on_get(self, req: Request, resp: Response) -> None:
        blueprints = list_blueprints(BLUEPRINTS, get_page_request(req).localizer)
        send_page(req, resp, "connect.html", blueprints=blueprints, sections=SECTIONS)


class BlueprintResource(Resource):
    """GET: one file, to be saved and imported."""

    access = Access.SESSION

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        if name not in BLUEPRINTS:
            raise ApiError(Problem.NOT_FOUND)
        resp.content_type = falcon.MEDIA_JSON
        resp.downloadable_as = name
        resp.text = fill_in(BLUEPRINTS[name], get_page_request(req).server_url)
