"""`deploy/release/publish.sh` pushes a release that is whole, and nothing else; what would push only notes its call."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy" / "release" / "publish.sh"
NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >>"$CALLS"\n'
PUSHED = 'echo "Digest: sha256:c4a57"\n'
Publish = Callable[[], subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a release of one image for one architecture."""
    (tmp_path / "deploy" / "release").mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / "deploy" / "release")
    images = tmp_path / "build" / "release" / "images"
    images.mkdir(parents=True)
    layout = tmp_path / "layout"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    archive = images / "estimatesync-api-amd64.oci.tar"
    subprocess.run(["tar", "--create", f"--file={archive}", f"--directory={layout}", "."], check=True)  # noqa: S607
    manifest = {"digest": "sha256:a12c4", "platform": {"architecture": "amd64"}}
    (images / "estimatesync-api.index.json").write_text(json.dumps({"manifests": [manifest]}))
    (images.parent / "estimatesync-1.0.0.tgz").write_text("a chart")
    write_checksums(images.parent)
    return tmp_path


def write_checksums(release: Path) -> None:
    files = sorted(path for path in release.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(release)}\n" for path in files]
    (release / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def publish(checkout: Path, tmp_path: Path) -> Publish:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("skopeo", "cosign", "helm"):
        (programs / name).write_text(NOTE + (PUSHED if name == "helm" else ""))
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls")}

    def run() -> subprocess.CompletedProcess[str]:
        command = [checkout / "deploy" / "release" / "publish.sh", "registry.test/owner", "1.0.0"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_what_is_pushed_is_signed_by_the_digest_that_the_release_names(publish: Publish, tmp_path: Path) -> None:
    index = tmp_path / "build" / "release" / "images" / "estimatesync-api.index.json"
    digest = f"sha256:{hashlib.sha256(index.read_bytes()).hexdigest()}"

    answer = publish()

    assert answer.returncode == 0, answer.stderr
    image = "registry.test/owner/estimatesync-api"
    push, *others = (tmp_path / "calls").read_text().splitlines()
    assert push.startswith("skopeo copy --quiet --all --preserve-digests ")
    assert push.endswith(f" docker://{image}:1.0.0")
    assert others == [
        f"cosign sign --yes --recursive {image}@{digest}",
        f"cosign attest --yes --type spdxjson --predicate estimatesync-api-amd64.spdx.json {image}@sha256:a12c4",
        "helm push estimatesync-1.0.0.tgz oci://registry.test/owner/charts",
        "cosign sign --yes registry.test/owner/charts/estimatesync@sha256:c4a57",
        "cosign sign-blob --yes --bundle SHA256SUMS.sigstore.json SHA256SUMS",
    ]
    assert f"{image}:1.0.0@{digest}" in answer.stdout


def test_a_release_that_is_not_what_its_checksums_say_is_not_pushed(publish: Publish, tmp_path: Path) -> None:
    (tmp_path / "build" / "release" / "estimatesync-1.0.0.tgz").write_text("another chart")

    answer = publish()

    assert answer.returncode != 0
    assert "estimatesync-1.0.0.tgz" in answer.stdout + answer.stderr
    assert not (tmp_path / "calls").exists()


def test_a_version_that_was_not_built_is_not_pushed(publish: Publish, tmp_path: Path) -> None:
    (tmp_path / "build" / "release" / "estimatesync-1.0.0.tgz").rename(tmp_path / "estimatesync-1.0.0.tgz")

    answer = publish()

    assert answer.returncode == 1
    assert answer.stderr == "There is no release 1.0.0 here: make release VERSION=1.0.0\n"
    assert not (tmp_path / "calls").exists()
