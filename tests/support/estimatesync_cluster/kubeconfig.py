"""Builds kubeconfig files: the administrator's by certificate, a service account's by token."""

import base64
from typing import Any

import yaml


def build_certificate_user(*, certificate: bytes, key: bytes) -> dict[str, str]:
    """Build the `user` entry of somebody who has a key pair (PEM)."""
    return {"client-certificate-data": _encode(certificate), "client-key-data": _encode(key)}


def build_cluster_entry(*, server: str, authority: bytes) -> dict[str, str]:
    """Build the `cluster` entry of a server (https URL) whose certificate an authority (PEM) signed."""
    return {"server": server, "certificate-authority-data": _encode(authority)}


def build_kubeconfig(*, cluster: dict[str, Any], user: dict[str, str], namespace: str = "default") -> bytes:
    """Build a kubeconfig of one cluster, one user and one current context."""
    name = "estimatesync"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def _encode(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
