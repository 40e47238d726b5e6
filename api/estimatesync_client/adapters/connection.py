"""Opens the HTTP client for the API, and diagnoses why a connection failed.

Redirects are never followed: they would carry the key elsewhere.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from estimatesync_contract.connection_faults import ConnectionFault, classify_connection_error
from estimatesync_contract.proxies import ProxyFaultError, find_proxy
from estimatesync_contract.tls_trust import FILE_VARIABLE

from estimatesync_client.core.diagnoses import Diagnosis
from estimatesync_client.core.errors import UsageError
from estimatesync_client.settings import Address, ApiKey

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)

CONNECTION_ERRORS: Final = (httpx.RequestError, OSError, UnicodeError)
"""What a connection may raise; the last one for names that DNS cannot represent."""


@contextmanager
def open_client(address: Address, key: ApiKey | None) -> Iterator[httpx.Client]:
    """Open a connection pool; the environment's proxies are used, except to this machine.

    Raises:
        UsageError: the certificate authorities or the proxy that the environment names cannot be used.
    """
    headers = {"User-Agent": "estimatesync-client", "Accept-Encoding": "identity"}
    if key is not None:
        headers["X-API-KEY"] = key.value
    with httpx.Client(
        base_url=address.url,
        headers=headers,
        timeout=_TIMEOUT,
        follow_redirects=False,
        proxy=find_environment_proxy(address.url),
        # httpx would read the environment by itself, and break on what it cannot read.
        trust_env=False,
        verify=create_tls_context(),
    ) as client:
        yield client


def find_environment_proxy(url: str) -> str | None:
    """Find the proxy that the environment names for a URL; None where it is reached directly.

    Raises:
        UsageError: the variable that decides cannot be used.
    """
    try:
        return find_proxy(os.environ, url)
    except ProxyFaultError as error:
        name, _, rest = str(error).partition(" ")
        raise UsageError(f"{name} cannot be used.", cure=f"It {rest}") from error


def create_tls_context() -> ssl.SSLContext:
    """Trust the authorities that the environment names.

    Raises:
        UsageError: They cannot be read.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise UsageError(
            f"The certificate authorities in the file of {FILE_VARIABLE} cannot be read.",
            cure=f"Set {FILE_VARIABLE} to a PEM file with certificates, or unset it",
        ) from error


def classify_error(error: BaseException) -> tuple[Diagnosis, str]:
    """Find the diagnosis and its detail; a socket that is opened here has no other limit than that on connecting."""
    fault, detail = classify_connection_error(error)
    is_unconnected = fault is ConnectionFault.NO_ANSWER and isinstance(error, TimeoutError)
    return Diagnosis.OUT_OF_REACH if is_unconnected else Diagnosis[fault.name], detail
