"""The operator's connection to the API server, and what a call that fails means to the reconciler."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from estimatesync_kubernetes.client import KubernetesClient
from estimatesync_kubernetes.connection import create_api_client
from estimatesync_kubernetes.errors import KubernetesError, UnreachableError

from estimatesync_operator.core.ports import BackendUnavailableError

_TIMEOUT_SECONDS: Final = 30.0
"""For one call, all in all."""

_CONNECTIONS: Final = 32
"""Calls under way at once: a thousand syncs together must not look like an attack to the API server."""


@asynccontextmanager
async def open_kubernetes() -> AsyncIterator[KubernetesClient]:
    """Connect as the pod's service account, or, outside a cluster, as KUBECONFIG says.

    Raises:
        SettingsError: Neither can be used.
    """
    client, _ = await create_api_client(connections=_CONNECTIONS)
    async with KubernetesClient(client, timeout_seconds=_TIMEOUT_SECONDS) as kubernetes:
        yield kubernetes


@contextmanager
def translate_failures(action: str) -> Iterator[None]:
    """Turn every failure of a call into BackendUnavailableError; `action` says what was tried."""
    try:
        yield
    except UnreachableError as error:
        raise BackendUnavailableError(f"{action}: {error.detail}") from error
    except KubernetesError as error:
        raise BackendUnavailableError(f"{action}: {error}") from error
