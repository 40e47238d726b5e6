"""Finds the API server and the namespace: a kubeconfig when one is named, the pod's service account otherwise.

The token of a service account is short-lived; the kubelet writes a new one long before the old one ends. It is read
again whenever its file has changed.
https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
"""

import os
from pathlib import Path
from typing import Any
from urllib.request import getproxies

from estimatesync_contract.settings import SettingsError
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_kube_config

from estimatesync_kubernetes.pod_environment import SERVICE_ACCOUNT_DIRECTORY, build_server_url


async def create_api_client(
    *, kubeconfig: str | None = None, service_account: Path = Path(SERVICE_ACCOUNT_DIRECTORY), connections: int = 100
) -> tuple[ApiClient, str]:
    """Prepare a client; no connection is made yet.

    Args:
        kubeconfig: Path (or paths) of kubeconfig files; outside a pod, None is what KUBECONFIG names.
        service_account: Directory with a pod's credentials, used when no kubeconfig is named.
        connections: Calls that may be under way at once.

    Returns:
        The client, and the namespace of the pod or of the kubeconfig's context.

    Raises:
        SettingsError: Neither a usable kubeconfig nor a service account is there.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = connections
    # Without a proxy, nothing of the environment matters: aiohttp would look for a .netrc at each call, in a thread.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    try:
        if kubeconfig is None and (server := build_server_url(os.environ)):
            namespace = _load_service_account(configuration, server, service_account)
        else:
            namespace = await _load_kubeconfig(configuration, kubeconfig)
        return _create_client(configuration), namespace
    except (ConfigException, OSError) as error:
        fault = (
            "KUBECONFIG must name a usable kubeconfig, unless the program runs in a pod with a service account:"
            f" {error}"
        )
        raise SettingsError([fault]) from error


def _create_client(configuration: Configuration) -> ApiClient:
    """Create the client, which reads the certificates; OpenSSL's own error names no file."""
    try:
        return ApiClient(configuration)
    except OSError as error:  # ssl.SSLError is one
        files = " or ".join(str(file) for file in (configuration.ssl_ca_cert, configuration.cert_file) if file)
        raise ConfigException(f"the certificates in {files} cannot be read: {error}") from error


async def _load_kubeconfig(configuration: Configuration, kubeconfig: str | None) -> str:
    loader: Any = await load_kube_config(  # type: ignore[no-untyped-call] # has no types
        kubeconfig, client_configuration=configuration, persist_config=False
    )
    return str(loader.current_context["context"].get("namespace") or "default")


def _load_service_account(configuration: Configuration, server: str, directory: Path) -> str:
    configuration.host = server
    configuration.ssl_ca_cert = str(directory / "ca.crt")
    token = TokenFile(directory / "token")
    token.write_into(configuration)
    configuration.refresh_api_key_hook = token.write_into  # type: ignore[assignment] # declared as None
    # Only who needs the namespace misses a file that a volume of one's own may lack.
    namespace = directory / "namespace"
    return namespace.read_text().strip() if namespace.exists() else ""


class TokenFile:
    """A token, and what its file looked like when it was read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None

    def write_into(self, configuration: Configuration) -> None:
        """Read the file if it has changed; called before each request.

        A program that renews the token without replacing the file leaves it empty for a moment: the old token stays.
        """
        found = self._path.stat()
        if (found.st_ino, found.st_mtime_ns) != self._identity:
            token = self._path.read_text().strip()
            if token:
                configuration.api_key["BearerToken"] = f"Bearer {token}"
                self._identity = (found.st_ino, found.st_mtime_ns)
            elif self._identity is None:
                raise ConfigException(f"{self._path} is empty")
