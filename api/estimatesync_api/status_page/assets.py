"""The style, the script and the icon, each under an address that changes with it, so that browsers may keep them.

The address of the style, the script and the icon: for everybody, for they hold nothing but themselves.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from typing import Final

import falcon
from falcon.asgi import Request, Response

from estimatesync_api.problems import ApiError, Problem
from estimatesync_api.status_page.core.addresses import ASSET

_MEDIA: Final = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"} | {
    "icon.svg": "image/svg+xml"
}


@dataclass(frozen=True, kw_only=True)
class AssetFile:
    """One file."""

    name: str
    """With a part of its digest in it."""
    media: str
    digest: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Assets:
    """All of them."""

    by_name: Mapping[str, AssetFile]
    addresses: Mapping[str, str]
    """Where each is served, by its plain name without an ending: `css`, `js`, `svg`."""


def read_assets() -> Assets:
    """Read them all; there are few and small ones."""
    found = {}
    for plain, media in _MEDIA.items():
        content = files("estimatesync_api.status_page").joinpath("assets", plain).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        stem, _, ending = plain.rpartition(".")
        name = f"{stem}.{digest[:12]}.{ending}"
        found[ending] = AssetFile(name=name, media=media, digest=digest, content=content)
    return Assets(
        by_name={file.name: file for file in found.values()},
        addresses={ending: ASSET.format(name=file.name) for ending, file in found.items()},
    )


ASSETS: Final = read_assets()


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
