"""Probes from this machine whether callbacks can reach their target: name, addresses, TLS. Nothing is posted.

`doctor` calls it. It decides by the contract's tables, as the operator does. The path of a webhook is a secret and is
never shown.
"""

import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import httpx
from estimatesync_contract.callback_url import (
    Address,
    CallbackTarget,
    TargetRefusedError,
    decide_address,
    parse_target,
    unwrap_mapped,
)

from estimatesync_client.adapters.connection import CONNECTION_ERRORS, classify_error
from estimatesync_client.core.diagnoses import Check, Diagnosis, Finding, Verdict, build_finding
from estimatesync_client.settings import CallbackSettings

_SECONDS: Final = 5.0


def check_callbacks(webhooks: Sequence[CallbackSettings]) -> Finding:
    """Try one after the other, and answer the first that is not well; when all are, the first."""
    first = check_callback(webhooks[0])
    if first.verdict is not Verdict.OK:
        return first
    others = map(check_callback, webhooks[1:])
    return next((finding for finding in others if finding.verdict is not Verdict.OK), first)


def check_callback(settings: CallbackSettings) -> Finding:
    """Resolve the name, check the addresses, and shake hands."""
    try:
        target = parse_target(settings.url, allow_insecure=settings.allow_http)
    except TargetRefusedError as error:
        return _build(settings, Diagnosis.TARGET_UNUSABLE, detail=error)
    try:
        addresses = _fetch_addresses(target)
        for address in addresses:
            if refusal := decide_address(address, allow_private=settings.allow_private):
                diagnosis = Diagnosis.TARGET_PRIVATE if refusal.can_be_allowed else Diagnosis.TARGET_REFUSED
                return _build(settings, diagnosis, host=target.host, address=address, detail=refusal.why)
        _shake_hands(target)
    except CONNECTION_ERRORS as error:
        diagnosis, detail = classify_error(error)
        return _build(settings, diagnosis, host=target.host, detail=detail)
    is_public = not any(decide_address(address, allow_private=False) for address in addresses)
    is_ready_anywhere = is_public and target.scheme == "https"
    ready = Diagnosis.TARGET_READY if is_ready_anywhere else Diagnosis.TARGET_READY_HERE
    return _build(settings, ready, host=target.host)


def _fetch_addresses(target: CallbackTarget) -> tuple[Address, ...]:
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(unwrap_mapped(ip_address(str(address[0]))) for *_, address in found))


def _shake_hands(target: CallbackTarget) -> None:
    with socket.create_connection((target.host, target.port), timeout=_SECONDS) as connection:
        if target.scheme == "https":
            with _create_context().wrap_socket(connection, server_hostname=target.server_name):
                pass


def _create_context() -> ssl.SSLContext:
    """Trust what the operator trusts: SSL_CERT_FILE, or the authorities that come with httpx."""
    return httpx.create_ssl_context()


def _build(settings: CallbackSettings, diagnosis: Diagnosis, **details: object) -> Finding:
    return build_finding(Check.CALLBACK, diagnosis, setting=settings.setting, **details)
