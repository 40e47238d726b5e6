"""Probes the Attic Tech login from this machine: one login, one listing of a few estimates. `doctor` calls it."""

import os
from http import HTTPStatus
from typing import Any, Final

import httpx
import msgspec
from estimatesync_contract.attic_tech import ESTIMATES_PATH, LOGIN_PATH, RELATIONS, is_foreign, shows_only_id
from estimatesync_contract.job_environment import ATTIC_TECH_URL
from estimatesync_contract.proxies import NO_PROXY, ProxyFaultError, find_proxy, format_skipped_exceptions
from estimatesync_contract.settings import is_http_url

from estimatesync_client.adapters.connection import CONNECTION_ERRORS, classify_error, create_tls_context
from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, Verdict, build_finding
from estimatesync_client.core.formatting import strip_control_characters
from estimatesync_client.core.problems import parse_body
from estimatesync_client.settings import SourceSettings

_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
_REFUSALS: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_QUOTE_LENGTH: Final = 100
_MAX_BYTES: Final = 20_000_000
_LISTING: Final = {"limit": "5", "depth": "2"}


class _Response(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: dict[str, Any] | None
    is_foreign: bool

    @property
    def is_page(self) -> bool:
        return self.status == HTTPStatus.OK and not self.is_foreign

    @property
    def is_refusal(self) -> bool:
        return self.status in _REFUSALS and not self.is_foreign


def check_source(login: SourceSettings) -> Finding:
    """Log in and list; redirects are not followed, since they would carry the password elsewhere."""
    if not is_http_url(login.url):
        return _build(Diagnosis.URL_UNUSABLE, detail=f"{ATTIC_TECH_URL} is not a URL")
    host = httpx.URL(login.url).host
    try:
        proxy = find_proxy(os.environ, login.url)
    except ProxyFaultError as error:
        return _build(Diagnosis.PROXY_UNUSABLE, detail=error)
    try:
        with httpx.Client(
            base_url=login.url,
            timeout=_TIMEOUT,
            follow_redirects=False,
            proxy=proxy,
            trust_env=False,
            verify=create_tls_context(),
        ) as client:
            finding = _probe(client, login, host)
    except CONNECTION_ERRORS as error:
        diagnosis, detail = classify_error(error)
        finding = _build(diagnosis, host=host, detail=detail)
    return _note_skipped(finding, format_skipped_exceptions(os.environ, login.url))


def _note_skipped(finding: Finding, skipped: str) -> Finding:
    """Point out exceptions to the proxy that have no effect: they may be why it is asked, or refuses."""
    if not skipped:
        return finding
    return msgspec.structs.replace(
        finding,
        verdict=Verdict.UNKNOWN if finding.verdict is Verdict.OK else finding.verdict,
        cause=f"{finding.cause}; {skipped}",
        cure=finding.cure or f"Correct {NO_PROXY} where the sync program runs, and here",
    )


def _probe(client: httpx.Client, login: SourceSettings, host: str) -> Finding:
    credentials = {"email": login.email, "password": login.password}
    answer = _send(client, client.build_request("POST", LOGIN_PATH, json=credentials))
    token = (answer.body or {}).get("token")
    if answer.is_page and isinstance(token, str):
        headers = {"Authorization": f"Bearer {token}"}
        listing = client.build_request("GET", ESTIMATES_PATH, params=_LISTING, headers=headers)
        return _judge_list(_send(client, listing), host)
    if answer.is_refusal:
        return _build(Diagnosis.SOURCE_DENIES_LOGIN, host=host, detail=_format_refusal(answer))
    return _judge_other(answer, host, lacks="a token")


def _judge_list(listed: _Response, host: str) -> Finding:
    if listed.is_refusal:
        return _build(Diagnosis.SOURCE_DENIES_LIST, host=host, detail=listed.status)
    count = (listed.body or {}).get("totalDocs")
    if not listed.is_page or not isinstance(count, int):
        return _judge_other(listed, host, lacks="totals")
    if unshown := _find_unshown((listed.body or {}).get("docs")):
        return _build(Diagnosis.SOURCE_SHOWS_LESS, host=host, fields=", ".join(unshown))
    return _build(Diagnosis.SOURCE_READY, host=host, count=count)


def _judge_other(answer: _Response, host: str, *, lacks: str) -> Finding:
    """Judge what is neither a refusal nor what was asked for."""
    if answer.is_foreign:
        return _build(Diagnosis.SOURCE_SHIELDED, host=host, detail=f"HTTP {answer.status}")
    detail = f"HTTP {answer.status}" + (f" without {lacks}" if answer.is_page and answer.body else "")
    return _build(Diagnosis.NOT_ATTIC_TECH, host=host, detail=detail)


def _find_unshown(docs: object) -> list[str]:
    """Find the relations that none of the estimates shows; that one refers to what was deleted says nothing."""
    records = [record for record in docs if isinstance(record, dict)] if isinstance(docs, list) else []
    return [
        name
        for name in RELATIONS
        if records and all(name not in record or shows_only_id(record[name]) for record in records)
    ]


def _send(client: httpx.Client, request: httpx.Request) -> _Response:
    """Send a request and read its response; of an endless body, or one that unpacks to one, only the beginning."""
    response = client.send(request, stream=True)
    try:
        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _MAX_BYTES:
                break
        return _read(response, body)
    finally:
        response.close()


def _read(response: httpx.Response, body: bytes) -> _Response:
    # A page that is found there, is not, or leads elsewhere, says that the address is wrong.
    is_misplaced = response.status_code in {HTTPStatus.OK, HTTPStatus.NOT_FOUND} or response.is_redirect
    content_type = response.headers.get("content-type", "")
    return _Response(
        status=response.status_code,
        body=parse_body(body),
        is_foreign=not is_misplaced and is_foreign(content_type=content_type, body=body),
    )


def _format_refusal(response: _Response) -> str:
    """Quote Payload's own error: a list of errors, each with a message."""
    errors = (response.body or {}).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    said = first.get("message") if isinstance(first, dict) else None
    return strip_control_characters(str(said))[:_QUOTE_LENGTH].rstrip(".") if said else f"HTTP {response.status}"


def _build(diagnosis: Diagnosis, **details: object) -> Finding:
    return build_finding(Check.SOURCE, diagnosis, setting=ATTIC_TECH_URL, **details)
