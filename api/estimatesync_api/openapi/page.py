"""Serves the OpenAPI document: for programs as it is, for people as HTML in their language.

Each is made when it is first asked for, and kept. The HTML is made here and not in the browser, so nothing is
fetched from anywhere, and no asset needs to be kept up to date. The status page frames it (`status_page/docs_page.py`);
where that is switched off, `DocsResource` shows it alone.
"""

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

import falcon
import msgspec
from falcon.asgi import Response

from estimatesync_api.openapi.document import build_document
from estimatesync_api.request import Access, Request, Resource
from estimatesync_api.status_page.assets import ASSETS
from estimatesync_api.status_page.core.localization import LANGUAGES, choose_language

Schema = dict[str, Any]
Say = Callable[[str], str]
"""Puts a text of the document into the reader's language."""

CONTENT_SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_PROGRAMS: Final = "For programs"
_KEY: Final = "Send your key as `X-API-KEY`, except where it says public."
_PUBLIC: Final = "public"
_BODY: Final = "Body, optional"


@cache
def read_translations() -> Mapping[str, Mapping[str, str]]:
    """Read what each text of the document is in the other languages; English is the document's own."""
    text = files("estimatesync_api.openapi").joinpath("translations.toml").read_text("utf-8")
    return {language: tomllib.loads(text)[language] for language in LANGUAGES[1:]}


def format_body(document: Schema, language: str) -> str:
    """Format the document as HTML without its frame."""
    info, texts = document["info"], read_translations().get(language, {})

    def say(text: str) -> str:
        return texts.get(text, text)

    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    parts = [
        f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>",
        f'<p class="lead">{_mark(say(info["description"]))}</p>',
        f'<p>{say(_PROGRAMS)}: <a href="/openapi.json">/openapi.json</a>. {_mark(say(_KEY))}</p>',
        '<ul class="card contents">',
        *[f'<li><a href="#{o["operationId"]}">{escape(say(o["summary"]))}</a></li>' for _, _, o in operations],
        "</ul>",
        *[part for method, path, each in operations for part in _iterate_operation(method, path, each, say)],
    ]
    return "\n".join(parts)


def format_page(document: Schema, language: str) -> str:
    """Format the document as a page of its own, which looks like the status page and leads nowhere else."""
    return "\n".join(
        [
            f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(document['info']['title'])} API</title>",
            f"<style>{ASSETS.read_text('css')}</style></head>",
            f'<body><main class="docs">{format_body(document, language)}</main></body></html>',
        ]
    )


def _iterate_operation(method: str, path: str, operation: Schema, say: Say) -> Iterator[str]:
    note = f" <small>{say(_PUBLIC)}</small>" if operation.get("security") == [] else ""
    yield f'<section class="card" aria-labelledby="{operation["operationId"]}">'
    yield f'<h2 id="{operation["operationId"]}">{escape(say(operation["summary"]))}{note}</h2>'
    yield f"<p><code>{method.upper()} {escape(path)}</code></p>"
    if description := operation.get("description", ""):
        yield f"<p>{_mark(say(description))}</p>"
    if parameters := operation.get("parameters"):
        yield "<ul>"
        for parameter in parameters:
            name = f"<code>{escape(parameter['name'])}</code> <small>{parameter['in']}</small>"
            yield f"<li>{name} {_mark(say(parameter['description']))}</li>"
        yield "</ul>"
    if body := operation.get("requestBody"):
        yield from _iterate_examples(escape(say(_BODY)), body.get("content", {}))
    for status, response in operation["responses"].items():
        title = f"<strong>{status}</strong> {escape(say(response['description']))}"
        yield from _iterate_examples(title, response.get("content", {}))
    yield "</section>"


def _iterate_examples(title: str, content: Schema) -> Iterator[str]:
    """Fold the examples away below a title that is HTML already."""
    examples = list(_iterate_texts(content))
    if not examples:
        yield f"<p>{title}</p>"
        return
    yield f"<details><summary>{title}</summary>"
    for name, text in examples:
        yield (f"<p>{escape(name)}</p>" if name else "") + f'<pre class="command" tabindex="0">{escape(text)}</pre>'
    yield "</details>"


def _iterate_texts(content: Schema) -> Iterator[tuple[str, str]]:
    for media in content.values():
        named = {"": media["example"]} if "example" in media else {}
        named |= {name: example["value"] for name, example in media.get("examples", {}).items()}
        for name, example in named.items():
            yield name, example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)


def _mark(text: str) -> str:
    """Show what stands between backticks as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


class OpenApiResource(Resource):
    """GET: the OpenAPI document. Public, so that tools can read it; it holds no secret."""

    access = Access.PUBLIC

    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = falcon.MEDIA_JSON
        resp.data = _encode_document()


class DocsResource(Resource):
    """GET: the same, as a page for people; where there is a status page, it shows this instead."""

    access = Access.PUBLIC

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        resp.vary = ("Accept-Language",)
        resp.data = _encode_page(choose_language("", req.get_header("Accept-Language") or ""))


@cache
def _encode_document() -> bytes:
    return msgspec.json.encode(build_document())


@cache
def _encode_page(language: str) -> bytes:
    return format_page(build_document(), language).encode()
