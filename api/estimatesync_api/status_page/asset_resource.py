"""The address of the style, the script and the icon: for everybody, for they hold nothing but themselves."""

from http import HTTPStatus
from typing import Final

import falcon
from falcon.asgi import Request, Response

from estimatesync_api.problems import ApiError, Problem
from estimatesync_api.status_page.asset_files import ASSETS

_YEAR: Final = 31_536_000


class AssetResource:
    """GET: one file."""

    is_page = True
    is_public = True

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        """Send it, to be kept for good: another content has another address."""
        file = ASSETS.by_name.get(name)
        if file is None:
            raise ApiError(Problem.NOT_FOUND)
        tag = falcon.ETag(file.digest[:32])
        resp.etag = tag.dumps()
        resp.cache_control = ("public", f"max-age={_YEAR}", "immutable")
        if tag in (req.if_none_match or []):
            resp.status = HTTPStatus.NOT_MODIFIED
            return
        resp.content_type, resp.data = file.media, file.content
