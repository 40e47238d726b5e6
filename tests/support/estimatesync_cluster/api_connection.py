"""How to reach one API server with a client certificate: used for readiness and by the test kubelet."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ApiConnection:
    """Address and key material of one client; the paths are PEM files."""

    server: str
    authority: Path
    certificate: Path
    key: Path

    def create_tls_context(self) -> ssl.SSLContext:
        """Load the key material; raises OSError or ssl.SSLError when a file is missing or no PEM."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        return context
