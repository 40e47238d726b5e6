"""Opens the way to the API: the key, the proxies, and whom to trust. `program` and `doctor` ask for it.

Redirects are never followed: they would carry the key elsewhere.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from estimatesync_contract.tls_trust import FILE_VARIABLE

from estimatesync_client.errors import UsageError
from estimatesync_client.settings import Address, ApiKey

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)


@contextmanager
def open_client(address: Address, key: ApiKey | None) -> Iterator[httpx.Client]:
    """Open a connection pool; proxies of the environment are used, but not to this very machine.

    Raises:
        UsageError: The certificate authorities that the environment names cannot be read.
    """
    headers = {"User-Agent": "estimatesync-client", "Accept-Encoding": "identity"}
    if key is not None:
        headers["X-API-KEY"] = key.value
    with httpx.Client(
        base_url=address.url,
        headers=headers,
        timeout=_TIMEOUT,
        follow_redirects=False,
        trust_env=not address.is_here,
        # Without the environment's proxies, but with its SSL_CERT_FILE.
        verify=_create_tls_context(),
    ) as client:
        yield client


def _create_tls_context() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise UsageError(
            f"The certificate authorities in the file that {FILE_VARIABLE} names cannot be read.",
            cure=f"Let {FILE_VARIABLE} name a PEM file with certificates, or unset it",
        ) from error
