"""A release goes through a registry: published and signed as its workflow does, installed from nothing but that.

`make test-release` makes the release and runs this.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from estimatesync_release.adapters.registry import fetch_base
from estimatesync_release.core.systems import merge_layers
from estimatesync_release.core.wheels import find_interpreter

RELEASED = Path(os.environ["ESTIMATESYNC_TEST_RELEASE"])
PARTS = ("api", "operator", "sync")
ESTIMATES = 120


def read_digests() -> dict[str, str]:
    """The digest of each image, as the values of the release name it."""
    found = re.findall(r"^(\w+):\n  image:\n    digest: (\S+)$", (RELEASED / "images.yaml").read_text(), re.MULTILINE)
    return dict(found)


def test_images_and_chart_are_signed_and_no_other_key_verifies_them(published: Any) -> None:
    published.run("cosign", "generate-key-pair", "--output-key-prefix=other")
    images = [f"{published.address}/estimatesync-{part}@{digest}" for part, digest in read_digests().items()]
    chart = f"{published.address}/charts/estimatesync:{published.version}"

    assert len(images) == len(PARTS)
    for image in [*images, chart]:
        assert published.verify(image).returncode == 0, published.verify(image).stderr
        refused = published.verify(image, key="other.pub")
        assert refused.returncode != 0
        assert "no matching signatures" in refused.stderr
    bundle = RELEASED / "SHA256SUMS.sigstore.json"
    sums = ("--key=cosign.pub", "--insecure-ignore-tlog=true", f"--bundle={bundle}", str(RELEASED / "SHA256SUMS"))
    published.run("cosign", "verify-blob", *sums)


def test_the_bill_of_each_architecture_is_attached_to_its_image(published: Any) -> None:
    options = ("--insecure-ignore-tlog=true", "--allow-http-registry", "--allow-insecure-registry")

    for index in sorted((RELEASED / "images").glob("*.index.json")):
        name = index.name.removesuffix(".index.json")
        manifests = json.loads(index.read_text())["manifests"]
        assert [each["platform"]["architecture"] for each in manifests] == ["amd64", "arm64"]
        for each in manifests:
            image = f"{published.address}/{name}@{each['digest']}"
            published.run("cosign", "verify-attestation", "--key=cosign.pub", "--type=spdxjson", *options, image)


def test_an_image_of_the_registry_can_be_the_base_of_another_release(published: Any) -> None:
    index = RELEASED / "images" / "estimatesync-sync.index.json"
    _, arm64 = json.loads(index.read_text())["manifests"]

    base = fetch_base(f"{published.address}/estimatesync-sync:any@{read_digests()['sync']}", "arm64")

    assert (base.digest, base.architecture) == (arm64["digest"], "arm64")
    assert find_interpreter(merge_layers(base)).home == "/usr/bin"


def test_a_release_is_installed_from_nothing_but_the_registry_and_syncs(
    published: Any, release: Any, receiver: Any, count_estimates: Callable[[], int]
) -> None:
    published.deploy(release, "install")
    name = release.post().json()["sync_id"]
    release.wait_status(name, "succeeded")
    release.wait_until("its callback", lambda: receiver.deliveries)

    pods = json.loads(release.kubectl("get", "pods", "--output=json"))["items"]
    running = {(each["image"], each["imageID"]) for pod in pods for each in pod["status"]["containerStatuses"]}
    expected = {f"{published.address}/estimatesync-{part}@{digest}" for part, digest in read_digests().items()}
    assert {image for image, _ in running} | {identity for _, identity in running} >= expected
    assert {identity for _, identity in running} == expected
    assert count_estimates() == ESTIMATES
