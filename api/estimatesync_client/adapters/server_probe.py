"""Probes the server: does it answer as EstimateSync, does it accept the key, could it store a sync. `doctor` calls it.

Every request is sent once: `doctor` reports the state of this moment.
"""

import time
from http import HTTPStatus
from typing import Final

import httpx
from estimatesync_contract.names import SYNCS_PATH

from estimatesync_client.adapters.connection import CONNECTION_ERRORS, classify_error
from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, Verdict, build_finding
from estimatesync_client.core.formatting import strip_control_characters
from estimatesync_client.core.problems import KEY_VARIABLE, URL_VARIABLE, format_origin, parse_body
from estimatesync_client.settings import Address

_HEALTH_PATH: Final = "/healthz"
_READY_PATH: Final = "/readyz"
_READY: Final = {"status": "ready"}
_CANCEL_OF_NO_SYNC: Final = f"{SYNCS_PATH}/no-sync-has-this-name/cancel"
"""Cancelling a sync that does not exist changes nothing, and shows whether this key may cancel."""

_TOO_MANY_WRONG_KEYS: Final = "too_many_wrong_keys"
"""The API no longer checks keys from this address, except those that have been accepted from it."""
NO_STORAGE: Final = "the storage of syncs has to answer first"
_SEE_LOG: Final = "See the log of the API, which says why"
_REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def check_server(client: httpx.Client, address: Address) -> Finding:
    """Request the health page, which depends on nothing."""
    began = time.monotonic()
    try:
        response = client.get(_HEALTH_PATH)
    except CONNECTION_ERRORS as error:
        diagnosis, detail = classify_error(error)
        return _build_server(diagnosis, address, detail=detail)
    milliseconds = round((time.monotonic() - began) * 1000)
    if response.is_redirect:
        return _build_server(Diagnosis.REDIRECTED, address, detail=format_origin(response.headers.get("location", "")))
    if parse_body(response.content) != {"status": "ok"}:
        return _build_server(Diagnosis.NOT_ESTIMATESYNC, address, detail=f"HTTP {response.status_code}")
    is_safe = address.is_encrypted or address.is_here
    diagnosis = Diagnosis.SERVER_ANSWERS if is_safe else Diagnosis.SERVER_UNENCRYPTED
    return _build_server(diagnosis, address, milliseconds=milliseconds)


def check_key(client: httpx.Client, *, has_storage: bool) -> Finding:
    """List with the key, then try to cancel a sync that does not exist."""
    listed = client.get(SYNCS_PATH, params={"limit": "1"})
    if listed.status_code in _REFUSALS or (parse_body(listed.content) or {}).get("code") == _TOO_MANY_WRONG_KEYS:
        return build_finding(Check.KEY, Diagnosis.KEY_REFUSED, setting=KEY_VARIABLE, detail=_read_message(listed))
    if not listed.is_success:
        detail = f"the list of syncs says: {_read_message(listed)}" if has_storage else NO_STORAGE
        return build_finding(Check.KEY, Diagnosis.NOT_TRIED, detail=detail)
    changed = client.post(_CANCEL_OF_NO_SYNC)
    diagnosis = Diagnosis.KEY_READ_ONLY if changed.status_code in _REFUSALS else Diagnosis.KEY_ACCEPTED
    return build_finding(Check.KEY, diagnosis, setting=KEY_VARIABLE)


def check_store(client: httpx.Client) -> Finding:
    """Request readiness: the server checks whether it could store a sync.

    Where the page is not published, another site may answer at its address, also with 200 and a page of its own.
    """
    response = client.get(_READY_PATH)
    if response.is_success and parse_body(response.content) == _READY:
        return build_finding(Check.STORAGE, Diagnosis.STORE_READY)
    if response.is_success or response.is_redirect or response.status_code == HTTPStatus.NOT_FOUND:
        return build_finding(Check.STORAGE, Diagnosis.READINESS_NOT_PUBLISHED)
    cure = (parse_body(response.content) or {}).get("cure")
    return build_finding(
        Check.STORAGE,
        Diagnosis.STORE_UNAVAILABLE,
        # What the server says next is meant for who has sent a request.
        detail=_read_message(response).partition(". ")[0],
        cure=strip_control_characters(cure) if isinstance(cure, str) else _SEE_LOG,
    )


def is_usable(finding: Finding) -> bool:
    """Return whether the checks that depend on this one make sense."""
    return finding.verdict is not Verdict.FAULT


def _read_message(response: httpx.Response) -> str:
    said = (parse_body(response.content) or {}).get("message")
    return strip_control_characters(said).rstrip(".") if isinstance(said, str) else f"HTTP {response.status_code}"


def _build_server(diagnosis: Diagnosis, address: Address, **details: object) -> Finding:
    return build_finding(Check.SERVER, diagnosis, host=address.url, setting=URL_VARIABLE, **details)
