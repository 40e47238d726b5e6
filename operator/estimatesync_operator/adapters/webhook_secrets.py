"""Secrets that hold webhook URLs. The chart grants `get` on those allowed by name, on no other, and no `list`."""

import base64
import binascii

from kubernetes.aio.client import ApiClient, CoreV1Api
from kubernetes.aio.client.exceptions import ApiException

from estimatesync_operator.adapters.kubernetes_api import NOT_FOUND, REQUEST_TIMEOUT, read_json, translate_failures


class KubernetesSecrets:
    """The callback sender's SecretReader on a cluster."""

    def __init__(self, client: ApiClient) -> None:
        """Use `client`, which somebody else closes."""
        self._core = CoreV1Api(client)

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """Read one key; None when the Secret or the key is missing, or not text.

        Raises:
            WorldUnavailableError: It cannot be read now.
        """
        with translate_failures(f"reading Secret {name}"):
            try:
                response = await self._core.read_namespaced_secret_without_preload_content(
                    name, namespace, _request_timeout=REQUEST_TIMEOUT
                )
                secret = await read_json(response)
            except ApiException as error:
                if error.status == NOT_FOUND:
                    return None
                raise
        return _decode(secret.get("data", {}).get(key))


def _decode(value: str | None) -> str | None:
    try:
        return None if value is None else base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
