"""Secrets that hold webhook URLs. The chart grants `get` on those allowed by name, on no other, and no `list`."""

import base64
import binascii
from collections.abc import Mapping

import msgspec
from estimatesync_kubernetes.client import KubernetesClient, build_path
from estimatesync_kubernetes.errors import NotFoundError

from estimatesync_operator.adapters.kubernetes_api import translate_failures


class _Secret(msgspec.Struct, frozen=True):
    data: Mapping[str, str] = {}


class KubernetesSecrets:
    """The callback sender's SecretReader on a cluster."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """Read one key; None when the Secret or the key is missing, or not text.

        Raises:
            BackendUnavailableError: It cannot be read now.
        """
        with translate_failures(f"reading Secret {name}"):
            try:
                body = await self._client.get(build_path("v1", namespace, "secrets", name))
            except NotFoundError:
                return None
        return _decode(msgspec.json.decode(body, type=_Secret).data.get(key))


def _decode(value: str | None) -> str | None:
    try:
        return None if value is None else base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
