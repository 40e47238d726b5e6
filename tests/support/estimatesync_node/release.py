"""The chart as a release on the node: its namespace, its values, its images. Called by main.py.

The values for sample data are built as a person would write them down.
"""

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.errors import CommandError
from estimatesync_cluster.layout import write_private

IMAGES_ANNOTATION: Final = "estimatesync.botzilla.io/images"

CHART: Final = Path(__file__).parents[3] / "charts" / "estimatesync"
NAMESPACE: Final = "estimates"
RELEASE: Final = "sync"
RESTRICTED: Final = "pod-security.kubernetes.io/enforce=restricted"
READY_SECONDS: Final = 180


def build_sample_values(
    *, source_url: str, email: str, password: str, database_url: str, callback_url: str, api_key: str
) -> dict[str, Any]:
    """Build the values for a sample Attic Tech, a database and a webhook of this machine; holds secrets."""
    return {
        "apiKeys": {"keys": {"make": api_key}},
        "credentials": {"email": email, "password": password, "databaseUrl": database_url},
        # The webhook is on this machine, and speaks no TLS.
        "callback": {"url": callback_url, "allowHttp": True, "allowPrivateTargets": True},
        "sync": {"atticTechUrl": source_url},
        "settings": {"environment": "node", "progressSeconds": 1},
    }


def build_image_values(images: str) -> dict[str, Any]:
    """Build the values that replace the pods when, and only when, the images have changed under their names."""
    annotations = {"podAnnotations": {IMAGES_ANNOTATION: images}}
    return {"api": annotations, "operator": annotations}


def build_pod_database_url(url: str, *, host: str, port: int) -> str:
    """Build the URL under which pods know a database that this machine knows by its socket (`?host=…`)."""
    parts = urlsplit(url)
    user = parts.username or parse_qs(parts.query)["user"][0]
    return f"postgresql://{user}@{host}:{port}{parts.path}"


def build_socket_path(url: str) -> str:
    """Build the path of the socket that a URL with `?host=…` means."""
    query = parse_qs(urlsplit(url).query)
    (directory,), (port,) = query["host"], query.get("port", ["5432"])
    return f"{directory}/.s.PGSQL.{port}"


def create_release(cluster: Cluster, *, helm: Path, values: Path, images: Path, place: Path) -> None:
    """Install the chart, or upgrade it, and wait until it is ready; changes nothing where nothing has changed.

    Args:
        cluster: where.
        helm: the program.
        values: file with the values.
        images: directory of the archives that the node knows.
        place: directory for files of our own.

    Raises:
        CommandError: Helm or the cluster said no.
    """
    if cluster.kubectl("get", "namespace", NAMESPACE, check=False).returncode:
        cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("label", "namespace", NAMESPACE, RESTRICTED, "--overwrite")
    image_values = place / "images.json"
    write_private(image_values, json.dumps(build_image_values(read_image_ids(sorted(images.glob("*.tar"))))).encode())
    _run_helm(
        helm,
        cluster,
        *("upgrade", "--install", RELEASE, str(CHART), f"--values={values}", f"--values={image_values}"),
        *("--wait", f"--timeout={READY_SECONDS}s"),
        home=place,
    )


def read_image_ids(archives: Iterable[Path]) -> str:
    """Read which images the archives hold, as one word that changes when any of them does."""
    digest = hashlib.sha256()
    for archive in archives:
        with tarfile.open(archive) as content:
            manifest = content.extractfile("manifest.json")
            digest.update(manifest.read() if manifest else b"")
    return digest.hexdigest()[:16]


def _run_helm(helm: Path, cluster: Cluster, *arguments: str, home: Path) -> None:
    answer = subprocess.run(  # noqa: S603 - no shell: arguments reach Helm as they are
        [helm, *arguments, f"--namespace={NAMESPACE}", f"--kubeconfig={cluster.kubeconfig}"],
        # Helm's own settings and caches of this person are not ours to use.
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        pods = cluster.kubectl("get", "pods", f"--namespace={NAMESPACE}", check=False).stdout
        raise CommandError(f"Helm could not install the chart: {answer.stderr.strip()}\n{pods}")
