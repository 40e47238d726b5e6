"""The few calls that the test kubelet makes to the API server, over httpx.

Every method returns raw JSON or values of manifests.py. Errors: ApiError for an answer that is not a success (its
status decides what that means), httpx.TransportError when there is no answer; may_try_again decides which of them pass.
"""

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import msgspec

from estimatesync_cluster.credentials import ApiConnection, build_cluster_entry, build_kubeconfig
from estimatesync_cluster.test_kubelet.environment import SECRET
from estimatesync_cluster.test_kubelet.manifests import Metadata, Pod, PodList, PodSpec

NOT_FOUND = 404
CONFLICT = 409
GONE = 410
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
REQUEST_SECONDS = 10.0
TOKEN_SECONDS = 86_400
# The API server ends a watch after this; the client gives up a little later, in case nothing ends it.
WATCH_SECONDS = 240
QUIET_SECONDS = 270.0


class ApiError(Exception):
    """The API server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def may_try_again(error: Exception) -> bool:
    """Decide whether the same request can succeed later."""
    if isinstance(error, ApiError):
        return error.status == TOO_MANY_REQUESTS or error.status >= SERVER_ERROR
    return isinstance(error, httpx.TransportError)


class KubernetesClient:
    """An authenticated connection to one API server."""

    def __init__(self, connection: ApiConnection) -> None:
        """Load the key material; close with `aclose`."""
        self._connection = connection
        # Every watch and every pod's reports share the pool; none of them may wait for another.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=10)
        self._http = httpx.AsyncClient(
            base_url=connection.server,
            verify=connection.create_tls_context(),
            trust_env=False,
            timeout=REQUEST_SECONDS,
            limits=limits,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def fetch_pods(self) -> PodList:
        """List every pod of the cluster."""
        return msgspec.json.decode(await self._request("GET", "/api/v1/pods"), type=PodList)

    async def watch_pods(self, resource_version: str) -> AsyncIterator[tuple[str, Pod]]:
        """Yield (ADDED | MODIFIED | DELETED | BOOKMARK, pod) until the server ends the watch.

        Raises:
            ApiError: 410 when the resource version is too old and everything must be listed again.
        """
        query = f"watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}"
        url = f"/api/v1/pods?{query}&resourceVersion={resource_version}"
        async with self._http.stream("GET", url, timeout=httpx.Timeout(REQUEST_SECONDS, read=QUIET_SECONDS)) as answer:
            if not answer.is_success:
                raise ApiError(answer.status_code, (await answer.aread()).decode(errors="replace"))
            async for line in answer.aiter_lines():
                event = msgspec.json.decode(line, type=dict[str, Any])
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", SERVER_ERROR), event["object"].get("message", ""))
                yield event["type"], _parse_pod(event)

    async def write_pod_status(self, pod: Metadata, status: Mapping[str, Any]) -> None:
        """Merge a status into the pod with exactly this uid; 409 when another pod has its name now.

        A strategic merge keeps conditions that others own, such as DisruptionTarget.
        """
        body = {"metadata": {"uid": pod.uid}, "status": status}
        await self._request("PATCH", f"{_pod_path(pod)}/status", body, media_type=STRATEGIC_MERGE)

    async def delete_pod(self, pod: Metadata) -> None:
        """Remove a pod whose processes are gone; 404 or 409 when it is gone itself."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}}
        await self._request("DELETE", _pod_path(pod), body)

    async def fetch_data(self, namespace: str, kind: str, name: str) -> dict[str, str] | None:
        """Fetch a Secret's (decoded) or ConfigMap's data; None when there is no such object."""
        collection = "secrets" if kind == SECRET else "configmaps"
        try:
            answer = await self._request("GET", f"/api/v1/namespaces/{namespace}/{collection}/{name}")
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        data: dict[str, str] = msgspec.json.decode(answer).get("data") or {}
        return {key: _decode(text) for key, text in data.items()} if kind == SECRET else data

    async def create_kubeconfig(self, pod: Pod) -> bytes:
        """Ask for a token of the pod's service account, valid a day, and write a kubeconfig around it."""
        namespace, account = pod.metadata.namespace, pod.spec.service_account_name
        body = {"spec": {"expirationSeconds": TOKEN_SECONDS}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        token = msgspec.json.decode(await self._request("POST", path, body))["status"]["token"]
        authority = self._connection.authority.read_bytes()
        cluster = build_cluster_entry(server=self._connection.server, authority=authority)
        return build_kubeconfig(cluster=cluster, user={"token": token}, namespace=namespace)

    async def create_object(self, collection: str, body: Mapping[str, Any]) -> None:
        """Create an object, or leave the one of this name as it is."""
        try:
            await self._request("POST", collection, body)
        except ApiError as error:
            if error.status != CONFLICT:
                raise

    async def write_object(self, path: str, changes: Mapping[str, Any], *, media_type: str = MERGE) -> None:
        """Merge changes into an object."""
        await self._request("PATCH", path, changes, media_type=media_type)

    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, media_type: str = "application/json"
    ) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        answer = await self._http.request(method, path, content=content, headers={"Content-Type": media_type})
        if answer.is_success:
            return answer.content
        raise ApiError(answer.status_code, _read_message(answer))


def _parse_pod(event: dict[str, Any]) -> Pod:
    if event["type"] == "BOOKMARK":
        # A bookmark's pod is a shell around its resource version: its containers are null, which no pod's are.
        return Pod(metadata=msgspec.convert(event["object"]["metadata"], Metadata), spec=PodSpec())
    return msgspec.convert(event["object"], Pod)


def _pod_path(pod: Metadata) -> str:
    return f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"


def _read_message(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message", answer.text))
    except ValueError:
        return answer.text


def _decode(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")
