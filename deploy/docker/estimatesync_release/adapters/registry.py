"""Fetches an image by its digest from a registry, or from an archive: each blob is compared with its digest.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md, https://distribution.github.io/distribution/spec/auth/token/
"""

import json
import re
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import httpx

from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.images import DOCKER_INDEX, DOCKER_MANIFEST, INDEX, LAYER_TYPES, MANIFEST, Base
from estimatesync_release.core.layers import compute_digest

REFERENCE: Final = re.compile(r"(?P<host>[^/]+[.:][^/]*)/(?P<name>[^@:]+)(?::[^@]+)?@(?P<digest>sha256:[0-9a-f]{64})")
ACCEPTED: Final = f"{INDEX}, {MANIFEST}, {DOCKER_INDEX}, {DOCKER_MANIFEST}"
HOSTS: Final = {"docker.io": "registry-1.docker.io"}
MAX_BYTES: Final = 500_000_000
SECONDS: Final = 60.0

Read = Callable[[str, str], bytes]
"""Reads what has a digest: the kind (`manifests` or `blobs`) and the digest."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An image in a registry."""

    host: str
    name: str
    digest: str


def parse_reference(text: str) -> Reference:
    """Read a reference with a digest.

    Raises:
        ReleaseError: it has none, or no host.
    """
    found = REFERENCE.fullmatch(text)
    if found is None:
        raise ReleaseError(
            f"BASE={text} names no image by digest: give one such as docker.io/library/python:3.13-slim@sha256:…, "
            "the path of an OCI archive, or `debian`"
        )
    return Reference(**found.groupdict())


def fetch_base(text: str, architecture: str) -> Base:
    """Fetch a base image for an architecture.

    Raises:
        ReleaseError: it cannot be fetched, is not what its digest says, or is of another architecture.
    """
    reference = parse_reference(text)
    # Only an address of this machine may be asked without TLS, as other programs for registries have it.
    scheme = "http" if _is_own(reference.host) else "https"
    base_url = f"{scheme}://{HOSTS.get(reference.host, reference.host)}/v2/{reference.name}"
    try:
        with httpx.Client(timeout=SECONDS, follow_redirects=True) as client:
            return read_base(text, reference.digest, architecture, lambda *what: _fetch(client, base_url, *what))
    except httpx.HTTPError as error:
        # What follows the first line is for programmers.
        reason = str(error).partition("\n")[0]
        raise ReleaseError(f"{text} cannot be fetched: {reason}") from error


def _is_own(host: str) -> bool:
    name = host.rpartition(":")[0] or host
    try:
        return name == "localhost" or ip_address(name).is_private
    except ValueError:
        return False


def _fetch(client: httpx.Client, base_url: str, kind: str, digest: str) -> bytes:
    def ask() -> httpx.Response:
        return client.get(f"{base_url}/{kind}/{digest}", headers={"Accept": ACCEPTED} if kind == "manifests" else {})

    answer = ask()
    if answer.status_code == httpx.codes.UNAUTHORIZED and "Authorization" not in client.headers:
        client.headers["Authorization"] = f"Bearer {_fetch_token(client, answer.headers['WWW-Authenticate'])}"
        answer = ask()
    return answer.raise_for_status().content


def _fetch_token(client: httpx.Client, challenge: str) -> str:
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = asked.pop("realm", "")
    answer = client.get(realm, params=asked).raise_for_status().json()
    return str(answer.get("token") or answer.get("access_token"))


def read_archive(path: Path, architecture: str) -> Base:
    """Read a base image from an OCI archive (a tar file).

    Raises:
        ReleaseError: it is no such archive, or of another architecture.
    """
    try:
        with tarfile.open(path) as archive:

            def read(name: str) -> bytes:
                member = archive.extractfile(name)
                return member.read() if member else b""

            listed = json.loads(read("index.json"))["manifests"]
            found = [each for each in listed if _is_for(each, architecture)] or listed
            return read_base(
                path.name, found[0]["digest"], architecture, lambda _, each: read(f"blobs/{each.replace(':', '/')}")
            )
    except (OSError, KeyError, IndexError, tarfile.TarError, ValueError) as error:
        raise ReleaseError(f"{path} is no OCI archive: {error}") from error


def read_base(name: str, digest: str, architecture: str, read: Read) -> Base:
    """Read an image, or from an index that of an architecture, and compare every part of it with its digest."""

    def read_checked(kind: str, expected: str) -> bytes:
        content = read(kind, expected)
        if compute_digest(content) != expected:
            raise ReleaseError(f"{name}: what came for {expected} is {compute_digest(content)}")
        return content

    manifest = json.loads(read_checked("manifests", digest))
    if "manifests" in manifest:
        found = [each["digest"] for each in manifest["manifests"] if _is_for(each, architecture)]
        if not found:
            raise ReleaseError(f"{name} has no image for {architecture}")
        digest = found[0]
        manifest = json.loads(read_checked("manifests", digest))
    if sum(each["size"] for each in manifest["layers"]) > MAX_BYTES:
        raise ReleaseError(f"{name} is larger than {MAX_BYTES // 1_000_000} MB: name a slim image")
    if strange := {each["mediaType"] for each in manifest["layers"]} - LAYER_TYPES.keys():
        raise ReleaseError(f"{name} has layers of another kind than tar with gzip: {', '.join(strange)}")
    config = json.loads(read_checked("blobs", manifest["config"]["digest"]))
    if config["architecture"] != architecture:
        raise ReleaseError(f"{name} is for {config['architecture']}, not for {architecture}")
    layers = tuple(read_checked("blobs", each["digest"]) for each in manifest["layers"])
    return Base(name=name, digest=digest, architecture=architecture, config=config, layers=layers)


def _is_for(descriptor: Mapping[str, Any], architecture: str) -> bool:
    platform = descriptor.get("platform", {})
    return bool(platform.get("architecture") == architecture and platform.get("os") == "linux")
