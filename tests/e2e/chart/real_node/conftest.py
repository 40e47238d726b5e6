"""A registry of this machine, and in it what `deploy/release/publish.sh` has published: images and chart, signed."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.guarded_process import guarded
from estimatesync_cluster.node_configuration import HOST_ADDRESS
from estimatesync_cluster.programs import COSIGN, CRANE, find_go_tool
from estimatesync_cluster.real_node import allow_registry

ROOT = Path(__file__).parents[4]
RELEASED = Path(os.environ.get("ESTIMATESYNC_TEST_RELEASE", ""))
EARLIER = Path(os.environ.get("ESTIMATESYNC_TEST_EARLIER", ""))
PARTS = ("api", "operator", "sync")
START_SECONDS = 60.0
LEFT_OUT = ("--tlog-upload=false", "--yes")
"""Of cosign: the public log of signatures cannot be reached, and nobody is asked."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is in the registry, and the key that it is signed with."""

    address: str
    place: Path
    programs: dict[str, Path]

    @property
    def chart(self) -> Path:
        (chart,) = RELEASED.glob("estimatesync-*.tgz")
        return chart

    @property
    def version(self) -> str:
        return self.chart.name.removeprefix("estimatesync-").removesuffix(".tgz")

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program with those of a release on its PATH."""
        path = os.pathsep.join([*(str(each.parent) for each in self.programs.values()), os.environ["PATH"]])
        # Sigstore's own keys, which cosign would fetch, have no part in a signature by a key.
        own = {"HOME": str(self.place), "COSIGN_PASSWORD": "made-up", "TUF_MIRROR": "http://127.0.0.1:9"}
        whole = {"PATH": path, **own, **environment}
        answer = subprocess.run(
            command, cwd=self.place, env=whole, capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout}\n{answer.stderr}"
        return answer

    def publish(self) -> str:
        """Publish the release as its workflow does; what is printed names each image with its digest."""
        options = f"--key={self.place}/cosign.key {' '.join(LEFT_OUT)}"
        return self.run(
            str(ROOT / "deploy" / "release" / "publish.sh"),
            self.address,
            self.version,
            RELEASE=str(RELEASED),
            TLS_VERIFY="false",
            COSIGN_OPTIONS=options,
        ).stdout

    def publish_earlier(self) -> None:
        """Publish the images and the chart of an earlier version, under names of their own."""
        for part in PARTS:
            target = f"docker://{self.address}/earlier/estimatesync-{part}:earlier"
            archive = f"docker-archive:{EARLIER}/images/{part}.tar"
            self.run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", archive, target)
        self.run("helm", "package", str(EARLIER / "charts" / "estimatesync"), f"--destination={self.place}/earlier")
        (chart,) = (self.place / "earlier").glob("*.tgz")
        self.run("helm", "push", "--plain-http", str(chart), f"oci://{self.address}/earlier/charts")

    def verify(self, image: str, *, key: str = "cosign.pub") -> subprocess.CompletedProcess[str]:
        """Verify the signature of what is in the registry, as a person would before installing it."""
        options = ("--insecure-ignore-tlog=true", "--allow-http-registry", "--allow-insecure-registry")
        return self.run("cosign", "verify", f"--key={key}", *options, image, check=False)

    def deploy(self, release: Any, command: str) -> None:
        """Install or upgrade from the registry: the chart by its version, the images by their digests."""
        release.values["images"] = {"registry": self.address}
        chart = (f"oci://{self.address}/charts/estimatesync", "--plain-http", f"--version={self.version}")
        self._deploy(release, command, *chart, f"--values={RELEASED}/images.yaml")

    def deploy_earlier(self, release: Any, command: str) -> None:
        """Install the earlier version from the registry, by its tag."""
        release.values["images"] = {"registry": f"{self.address}/earlier", "tag": "earlier"}
        self._deploy(release, command, f"oci://{self.address}/earlier/charts/estimatesync", "--plain-http")

    def _deploy(self, release: Any, command: str, *chart: str) -> None:
        values = release.place / "published.json"
        values.write_text(json.dumps(release.values))
        release.helm(command, "sync", *chart, f"--values={values}", "--wait", "--timeout=120s")


@pytest.fixture(scope="session")
def published(cluster: Cluster, helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:  # noqa: ARG001 - the registry's address comes with the cluster
    """The registry with everything in it, which the node may pull from."""
    tools = {each.name: find_go_tool(each, environ=os.environ, report=_report) for each in (CRANE, COSIGN)}
    place = tmp_path_factory.mktemp("published")
    address = f"{HOST_ADDRESS}:{20_000 + secrets.randbelow(10_000)}"
    command = [str(tools["crane"]), "registry", "serve", f"--address={address}", f"--disk={place}/registry"]
    (place / "registry").mkdir()
    with guarded("registry", command, log=place / "registry.log") as registry:
        registry.wait_until(lambda: _is_answering(address), seconds=START_SECONDS)
        allow_registry(address)
        found = Published(address=address, place=place, programs={"helm": helm, **tools})
        found.run("cosign", "generate-key-pair")
        found.publish()
        if EARLIER.name:
            found.publish_earlier()
        yield found


def _is_answering(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/v2/", trust_env=False, timeout=5).is_success
    except httpx.TransportError:
        return False


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
