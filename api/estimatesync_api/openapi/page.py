"""Serves the OpenAPI document: for programs as it is, for people as one page. Both are made once, with the application.

The page is plain HTML with its own style, made here and not in the browser: nothing is fetched from anywhere and no
script runs, as the page's Content-Security-Policy makes sure, and there is no asset to keep up to date.
"""

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

import falcon
import msgspec
from falcon.asgi import Response

from estimatesync_api.openapi.document import build_document
from estimatesync_api.request import Access, Request, Resource

Schema = dict[str, Any]

CONTENT_SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h2 { margin-top: 3rem; border-top: 1px solid #d0d7de; padding-top: 1.5rem; font-size: 1.2rem }
h2 small { font-weight: normal; color: #57606a; float: right }
code, pre { font: 0.85rem/1.45 ui-monospace, monospace; background: #f3f5f7; border-radius: 4px }
code { padding: 0.1em 0.3em } pre { padding: 0.8rem; overflow-x: auto } h2 code { font-size: 1rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: 0.3rem 0.8rem
0.3rem 0; border-bottom: 1px solid #e5e8eb } summary { cursor: pointer; padding: 0.2rem 0 }
@media (prefers-color-scheme: dark) { body { background: #14171a; color: #dfe3e7 } code, pre { background: #22272b }
td, th, h2 { border-color: #343b41 } a { color: #78b4ff } }
"""


def format_page(document: Schema) -> str:
    """Format the document as HTML."""
    info = document["info"]
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1><p>{_mark(info['description'])}</p>",
        "<p>For programs: <a href='/openapi.json'>/openapi.json</a>. ",
        "Send your key as <code>X-API-KEY</code>, except where it says public.</p><ul>",
        *[f'<li><a href="#{o["operationId"]}">{escape(o["summary"])}</a></li>' for _, _, o in operations],
        "</ul>",
        *[part for method, path, operation in operations for part in _iterate_operation(method, path, operation)],
        "</body></html>",
    ]
    return "\n".join(parts)


def _iterate_operation(method: str, path: str, operation: Schema) -> Iterator[str]:
    note = "<small>public</small>" if operation.get("security") == [] else ""
    yield f'<h2 id="{operation["operationId"]}"><code>{method.upper()} {escape(path)}</code> {note}</h2>'
    yield f"<p><strong>{escape(operation['summary'])}.</strong> {_mark(operation.get('description', ''))}</p>"
    if parameters := operation.get("parameters"):
        yield "<table>"
        for parameter in parameters:
            yield f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{parameter['in']}</td>"
            yield f"<td>{_mark(parameter['description'])}</td></tr>"
        yield "</table>"
    if body := operation.get("requestBody"):
        yield from _iterate_examples("Body, optional", body.get("content", {}))
    for status, response in operation["responses"].items():
        title = f"<strong>{status}</strong> {escape(response['description'])}"
        yield from _iterate_examples(title, response.get("content", {}))


def _iterate_examples(title: str, content: Schema) -> Iterator[str]:
    """Fold the examples away below a title that is HTML already."""
    yield f"<details><summary>{title}</summary>"
    for media in content.values():
        named = {"": media["example"]} if "example" in media else {}
        named |= {name: example["value"] for name, example in media.get("examples", {}).items()}
        for name, example in named.items():
            text = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
            yield (f"<p>{escape(name)}</p>" if name else "") + f"<pre>{escape(text)}</pre>"
    yield "</details>"


def _mark(text: str) -> str:
    """Show what stands between backticks as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


class OpenApiResource(Resource):
    """GET: the OpenAPI document. Public, so that tools can read it; it holds no secret."""

    access = Access.PUBLIC

    def __init__(self) -> None:
        self._body = msgspec.json.encode(build_document())

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._body


class DocsResource(Resource):
    """GET: the same, as a page for people."""

    access = Access.PUBLIC

    def __init__(self) -> None:
        self._body = format_page(build_document()).encode()

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        resp.data = self._body
