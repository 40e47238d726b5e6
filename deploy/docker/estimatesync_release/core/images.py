"""Builds an image from a base and one layer, and its archive, byte by byte.

https://github.com/opencontainers/image-spec: config.md, manifest.md, image-index.md, image-layout.md.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from estimatesync_release.core.layers import Entry, build_gzip, build_tar, compute_digest

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
LAYER_TYPES: Final = {LAYER: LAYER, DOCKER_LAYER: LAYER}
"""What a base's layers are called, and what they are called in an OCI image."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """An image that another one is built on.

    Attributes:
        name: Where it comes from, for a person.
        digest: Of its manifest.
        architecture: amd64 or arm64.
        config: Its whole configuration.
        layers: Its compressed layers, lowest first.
    """

    name: str
    digest: str
    architecture: str
    config: Mapping[str, Any]
    layers: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True)
class Image:
    """A finished image: its manifest, and every blob by digest, the manifest among them."""

    architecture: str
    manifest: bytes
    blobs: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        return compute_digest(self.manifest)


def build_base(name: str, tree: bytes, *, architecture: str, environment: Mapping[str, str]) -> Base:
    """Build a base image from the file tree of a system (a tar archive)."""
    layer = build_gzip(tree)
    config = {
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": [f"{key}={value}" for key, value in environment.items()]},
        "rootfs": {"type": "layers", "diff_ids": [compute_digest(tree)]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": name}],
    }
    manifest = _build_manifest(_encode(config), [layer], {})
    return Base(name=name, digest=compute_digest(manifest), architecture=architecture, config=config, layers=(layer,))


def build_image(
    base: Base,
    entries: Mapping[str, Entry],
    *,
    config: Mapping[str, Any],
    epoch: int,
    created: str,
    annotations: Mapping[str, str],
) -> Image:
    """Build an image of one layer on a base."""
    tree = build_tar(entries, epoch=epoch)
    layer = build_gzip(tree)
    history = [*base.config.get("history", []), {"created": created, "created_by": "estimatesync_release"}]
    whole = {
        "created": created,
        "architecture": base.architecture,
        **({"variant": base.config["variant"]} if "variant" in base.config else {}),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [*base.config["rootfs"]["diff_ids"], compute_digest(tree)]},
        "history": history,
    }
    layers = [*base.layers, layer]
    described = {
        **annotations,
        "org.opencontainers.image.base.name": base.name,
        "org.opencontainers.image.base.digest": base.digest,
    }
    manifest = _build_manifest(_encode(whole), layers, described)
    blobs = {compute_digest(each): each for each in (*layers, _encode(whole), manifest)}
    return Image(architecture=base.architecture, manifest=manifest, blobs=blobs)


def _build_manifest(config: bytes, layers: Iterable[bytes], annotations: Mapping[str, str]) -> bytes:
    return _encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _describe(config, CONFIG),
            "layers": [_describe(layer, LAYER) for layer in layers],
            **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
        }
    )


def _describe(blob: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": compute_digest(blob), "size": len(blob)}


def _encode(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def build_index(images: Iterable[Image]) -> bytes:
    """Build the index under which the images of all architectures are one."""
    manifests = [
        {
            **_describe(image.manifest, MANIFEST),
            "platform": {"architecture": image.architecture, "os": "linux"}
            | ({"variant": "v8"} if image.architecture == "arm64" else {}),
        }
        for image in sorted(images, key=lambda each: each.architecture)
    ]
    return _encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def build_archive(image: Image, *, reference: str, epoch: int) -> bytes:
    """Build the archive of one image: an OCI layout, which also has what `docker load` of any version reads.

    Args:
        image: what is in it.
        reference: its full name, such as `docker.io/library/estimatesync-api:1.0.0`, for `ctr images import`.
        epoch: the time of every file in it.
    """
    manifest = json.loads(image.manifest)
    descriptor = {
        **_describe(image.manifest, MANIFEST),
        "platform": {"architecture": image.architecture, "os": "linux"},
        "annotations": {
            "io.containerd.image.name": reference,
            "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
        },
    }
    layout = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}
    docker = {
        "Config": _path(manifest["config"]["digest"]),
        "RepoTags": [reference.removeprefix("docker.io/library/")],
        "Layers": [_path(each["digest"]) for each in manifest["layers"]],
    }
    files = {
        "oci-layout": _encode({"imageLayoutVersion": "1.0.0"}),
        "index.json": _encode(layout),
        "manifest.json": _encode([docker]),
        **{_path(digest): blob for digest, blob in image.blobs.items()},
    }
    return build_tar({path: Entry(content=content) for path, content in files.items()}, epoch=epoch)


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
