"""The connection to the Kubernetes API and the translation of its failures; every other adapter goes through here."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException

from estimatesync_operator.ports import WorldUnavailableError

NOT_FOUND: Final = 404
CONFLICT: Final = 409
REQUEST_TIMEOUT: Final = 30.0
"""Seconds for one call, all in all."""

_CONNECTIONS: Final = 32
"""Calls under way at once: a thousand syncs together must not look like an attack to the API server."""


@asynccontextmanager
async def open_kubernetes_api() -> AsyncIterator[ApiClient]:
    """Connect as the pod's service account, or, outside a cluster, as KUBECONFIG says."""
    configuration = Configuration()
    configuration.connection_pool_maxsize = _CONNECTIONS
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # the client is untyped here
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # and here
    async with ApiClient(configuration) as client:
        yield client


@contextmanager
def translate_failures(action: str) -> Iterator[None]:
    """Turn whatever keeps a call from being answered into WorldUnavailableError; `action` says what was tried."""
    try:
        yield
    except ApiException as error:
        raise WorldUnavailableError(f"{action}: HTTP {error.status}: {explain(error)}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise WorldUnavailableError(f"{action}: {type(error).__name__}: {error}") from error


def explain(error: ApiException) -> str:
    """The sentence of the API server's Status object, or its HTTP reason."""
    return _get_status_field(error, "message") or error.reason or "no reason given"


def is_already_there(error: ApiException) -> bool:
    """Tell a name that is taken from two requests that met at a quota: both are answered with 409."""
    return error.status == CONFLICT and _get_status_field(error, "reason") == "AlreadyExists"


def _get_status_field(error: ApiException, name: str) -> str:
    try:
        return str(json.loads(error.body or "")[name])
    except (TypeError, ValueError, KeyError):
        return ""


async def read_json(response: Any) -> dict[str, Any]:  # noqa: ANN401 - the client does not type its raw responses
    """Decode a raw response.

    Raises:
        ApiException: The answer is not 2xx.
    """
    body = await response.read()
    if response.status >= 300:  # noqa: PLR2004 - the first status that is not a success
        raise ApiException(status=response.status, reason=response.reason, body=body.decode(errors="replace"))
    decoded: dict[str, Any] = json.loads(body)
    return decoded
