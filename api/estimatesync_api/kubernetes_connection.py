"""Finds the API server and the namespace: a kubeconfig when one is named, the pod's service account otherwise."""

import os
from pathlib import Path
from typing import Any, Final

from estimatesync_contract.environment_reader import SettingsError
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

_SERVICE_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


async def create_api_client(*, kubeconfig: str | None, namespace: str | None) -> tuple[ApiClient, str]:
    """Prepare a client; no connection is made yet.

    Args:
        kubeconfig: Path (or paths) of kubeconfig files.
        namespace: The chosen namespace; the one of the kubeconfig's context or of the pod when None.

    Raises:
        SettingsError: Neither a usable kubeconfig nor a service account is there.
    """
    configuration = Configuration()
    try:
        own = await _load_credentials(configuration, kubeconfig)
    except (ConfigException, OSError) as error:
        fault = (
            f"KUBECONFIG must name a usable kubeconfig, unless the API runs in a pod with a service account: {error}"
        )
        raise SettingsError([fault]) from error
    return ApiClient(configuration), namespace or own


async def _load_credentials(configuration: Configuration, kubeconfig: str | None) -> str:
    """Fill in address and credentials; answers the namespace that comes with them."""
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # has no types
        return _SERVICE_ACCOUNT_NAMESPACE.read_text().strip()
    loader: Any = await load_kube_config(  # type: ignore[no-untyped-call] # has no types
        kubeconfig, client_configuration=configuration, persist_config=False
    )
    return str(loader.current_context["context"].get("namespace") or "default")
