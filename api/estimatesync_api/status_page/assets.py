"""The style sheet, the script and the icon: public, and each at an address that changes with its content.

Browsers may therefore keep them for good.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from typing import Final

import falcon
from falcon.asgi import Response

from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.request import Access, Request, Resource
from estimatesync_api.status_page.core.addresses import ASSET

_YEAR: Final = 31_536_000
_MEDIA: Final = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"} | {
    "icon.svg": "image/svg+xml"
}


@dataclass(frozen=True, kw_only=True)
class AssetFile:
    """One file, ready to be served."""

    name: str
    """With a part of the digest in it."""
    media: str
    digest: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Assets:
    """All files, by the name they are served under and by kind."""

    by_name: Mapping[str, AssetFile]
    addresses: Mapping[str, str]
    """Where each is served, by its suffix: `css`, `js`, `svg`."""

    def read_text(self, suffix: str) -> str:
        """Return the text of the file with this suffix, for a page that must stand alone."""
        return next(file.content.decode() for file in self.by_name.values() if file.name.endswith(f".{suffix}"))


def read_assets() -> Assets:
    """Read the files of the package; they are few and small."""
    by_suffix = {}
    for plain, media in _MEDIA.items():
        content = files("estimatesync_api.status_page").joinpath("assets", plain).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        stem, _, suffix = plain.rpartition(".")
        name = f"{stem}.{digest[:12]}.{suffix}"
        by_suffix[suffix] = AssetFile(name=name, media=media, digest=digest, content=content)
    return Assets(
        by_name={file.name: file for file in by_suffix.values()},
        addresses={suffix: ASSET.format(name=file.name) for suffix, file in by_suffix.items()},
    )


ASSETS: Final = read_assets()


class AssetResource(Resource):
    """GET: one file, to be cached for good, since changed content has another address."""

    access = Access.PUBLIC

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
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
