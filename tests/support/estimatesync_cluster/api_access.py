"""Asks the API server without kubectl: a program that polls would otherwise spend most of its time starting kubectl.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import httpx

from estimatesync_cluster.errors import CommandError

TIMEOUT_SECONDS: Final = 60.0
FIELD_MANAGER: Final = "kubectl"
"""What a person applies with kubectl afterwards then has no other owner."""
PATHS: Final = {
    "ClusterRole": "apis/rbac.authorization.k8s.io/v1/{}clusterroles",
    "ConfigMap": "api/v1/{}configmaps",
    "CronJob": "apis/batch/v1/{}cronjobs",
    "CustomResourceDefinition": "apis/apiextensions.k8s.io/v1/{}customresourcedefinitions",
    "EstimateSync": "apis/botzilla.io/v1/{}estimatesyncs",
    "Event": "api/v1/{}events",
    "Job": "apis/batch/v1/{}jobs",
    "Lease": "apis/coordination.k8s.io/v1/{}leases",
    "LimitRange": "api/v1/{}limitranges",
    "MutatingAdmissionPolicy": "apis/admissionregistration.k8s.io/v1/{}mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "apis/admissionregistration.k8s.io/v1/{}mutatingadmissionpolicybindings",
    "Namespace": "api/v1/{}namespaces",
    "Node": "api/v1/{}nodes",
    "Pod": "api/v1/{}pods",
    "PriorityClass": "apis/scheduling.k8s.io/v1/{}priorityclasses",
    "ResourceQuota": "api/v1/{}resourcequotas",
    "Role": "apis/rbac.authorization.k8s.io/v1/{}roles",
    "RoleBinding": "apis/rbac.authorization.k8s.io/v1/{}rolebindings",
    "Secret": "api/v1/{}secrets",
    "SubjectAccessReview": "apis/authorization.k8s.io/v1/{}subjectaccessreviews",
    "ServiceAccount": "api/v1/{}serviceaccounts",
}
Manifest = dict[str, Any]


class ApiAccess:
    """The API server, asked as the kubeconfig's current user."""

    def __init__(self, kubeconfig: Path) -> None:
        # Here, as its import takes a third of a second, which the programs that only start a cluster need not wait for.
        from kubernetes import config  # noqa: PLC0415
        from kubernetes.client import Configuration  # noqa: PLC0415

        login = Configuration()
        load: Callable[..., None] = config.load_kube_config
        load(config_file=str(kubeconfig), client_configuration=login)
        trust = ssl.create_default_context(cafile=login.ssl_ca_cert)
        if login.cert_file:
            trust.load_cert_chain(login.cert_file, login.key_file)
        token = login.get_api_key_with_prefix("authorization") or login.get_api_key_with_prefix("BearerToken")
        headers = {"Authorization": token} if token else {}
        self._client = httpx.Client(
            base_url=login.host, verify=trust, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def find(self, kind: str, name: str, *, namespace: str = "") -> Manifest | None:
        """Find an object; None if there is none of this name, or no such kind yet."""
        answer = self._client.get(f"{_build_path(kind, namespace)}/{name}")
        return None if answer.status_code == httpx.codes.NOT_FOUND else _read(answer)

    def find_all(self, kind: str, *, namespace: str = "", **selectors: str) -> list[Manifest]:
        """Find the objects of a kind: `labelSelector` and `fieldSelector` select."""
        found: list[Manifest] = _read(self._client.get(_build_path(kind, namespace), params=selectors))["items"]
        return found

    def create(self, manifest: Manifest, *, namespace: str = "", part_of: str = "", **options: str) -> Manifest:
        """Create an object, or what is part of one, such as a Binding, which is `part_of` `Pod/any/binding`."""
        kind, _, part = (part_of or manifest["kind"]).partition("/")
        path = f"{_build_path(kind, namespace)}/{part}" if part else _build_path(kind, namespace)
        return _read(self._client.post(path, json=manifest, params=options))

    def apply(self, manifests: Iterable[Manifest], *, namespace: str = "", **options: str) -> None:
        """Apply objects on the server's side, in this order, whoever owned their fields before."""
        for manifest in manifests:
            path = f"{_build_path(manifest['kind'], namespace)}/{manifest['metadata']['name']}"
            parameters = {"fieldManager": FIELD_MANAGER, "force": "true", **options}
            headers = {"Content-Type": "application/apply-patch+yaml"}
            _read(self._client.patch(path, json=manifest, params=parameters, headers=headers))

    def patch(self, kind: str, name: str, patch: Manifest | list[Manifest], *, namespace: str = "") -> Manifest:
        """Merge a patch into an object, or do the steps of a list; `any/status` as its name patches a subresource."""
        headers = {"Content-Type": f"application/{'json' if isinstance(patch, list) else 'merge'}-patch+json"}
        return _read(self._client.patch(f"{_build_path(kind, namespace)}/{name}", json=patch, headers=headers))

    def replace(self, manifest: Manifest, *, namespace: str = "", **options: str) -> Manifest:
        """Replace an object by another version of it, which says in its metadata which one it was made from."""
        path = f"{_build_path(manifest['kind'], namespace)}/{manifest['metadata']['name']}"
        return _read(self._client.put(path, json=manifest, params=options))

    def delete(self, kind: str, name: str, *, namespace: str = "", missing_ok: bool = False) -> None:
        """Delete an object, and in the background what belongs to it; return before it is gone."""
        parameters = {"propagationPolicy": "Background"}
        answer = self._client.delete(f"{_build_path(kind, namespace)}/{name}", params=parameters)
        if not (missing_ok and answer.status_code == httpx.codes.NOT_FOUND):
            _read(answer)

    def delete_all(self, kind: str, *, namespace: str, **options: str) -> None:
        """Delete a namespace's objects of a kind, and what belongs to them; there may be no such kind."""
        parameters = {"propagationPolicy": "Background", **options}
        answer = self._client.delete(_build_path(kind, namespace), params=parameters)
        if answer.status_code != httpx.codes.NOT_FOUND:
            _read(answer)

    def create_token(self, service_account: str, *, namespace: str, hours: int) -> str:
        """Create a token for a service account, by TokenRequest."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        path = f"{_build_path('ServiceAccount', namespace)}/{service_account}/token"
        answer = _read(self._client.post(path, json={**request, "spec": {"expirationSeconds": hours * 3600}}))
        return str(answer["status"]["token"])


def _build_path(kind: str, namespace: str) -> str:
    return f"/{PATHS[kind].format(f'namespaces/{namespace}/' if namespace else '')}"


def _read(answer: httpx.Response) -> Manifest:
    if answer.is_error:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise CommandError(f"{asked} was answered with {answer.status_code}: {answer.json().get('message', '')}")
    body: Manifest = answer.json()
    return body
