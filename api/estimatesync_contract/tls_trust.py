"""Points the OpenSSL inside psycopg's wheel to the certificate authorities that this system trusts.

By itself it looks in a directory that no machine has, so that `sslrootcert=system` would trust no one. Every program
that connects to PostgreSQL calls it first; what a deployment has set stays.
"""

import ssl
from collections.abc import MutableMapping
from typing import Final

FILE_VARIABLE: Final = "SSL_CERT_FILE"
DIRECTORY_VARIABLE: Final = "SSL_CERT_DIR"
"""What OpenSSL reads, and httpx: https://docs.openssl.org/master/man7/openssl-env/."""

UNREADABLE: Final = (
    f"the certificate authorities in the file that {FILE_VARIABLE} names cannot be read."
    " Correct that file; in the chart it is the key ca.crt of network.caConfigMap"
)
"""What each part says of a file that is missing, empty or no PEM."""


def name_system_authorities(environment: MutableMapping[str, str]) -> None:
    """Name the system's authorities in the environment, unless it names some."""
    if environment.keys() & {FILE_VARIABLE, DIRECTORY_VARIABLE}:
        return
    places = ssl.get_default_verify_paths()
    if places.cafile:
        environment[FILE_VARIABLE] = places.cafile
    elif places.capath:
        environment[DIRECTORY_VARIABLE] = places.capath
