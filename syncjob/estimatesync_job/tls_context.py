"""Whom to trust over HTTPS: the authorities that the environment names, or httpx's own. `attic_tech` asks for it."""

import ssl
from typing import Final

import httpx

from estimatesync_job.errors import ConfigurationError

_UNREADABLE: Final = (
    "The sync cannot start: the certificate authorities in the file that SSL_CERT_FILE names cannot be read."
    " Correct that file; in the chart it is the key ca.crt of network.caConfigMap."
)


def create_tls_context() -> ssl.SSLContext:
    """Read the authorities.

    Raises:
        ConfigurationError: They cannot be read.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise ConfigurationError(_UNREADABLE) from error
