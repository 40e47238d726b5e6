"""Whom to trust over HTTPS: the authorities that the environment names, or httpx's own. `attic_tech` asks for it."""

import ssl

import httpx
from estimatesync_contract.tls_trust import UNREADABLE

from estimatesync_job.errors import ConfigurationError


def create_tls_context() -> ssl.SSLContext:
    """Read the authorities.

    Raises:
        ConfigurationError: They cannot be read.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise ConfigurationError(f"The sync cannot start: {UNREADABLE}.") from error
