"""The story on a real Kubernetes API server, with what a person sees who runs the cluster: kubectl's own output."""

import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.product_processes import Product, ProductSettings, running_product
from estimatesync_local.adapters.postgres import EmbeddedPostgres

from estimatesync_demo.narration import quote, tell, tell_step
from estimatesync_demo.scenery import API_KEY, PAST, Scenery, preload, running_scenery
from estimatesync_demo.story import Stage, tell_story

_NAMESPACE: Final = "estimatesync"


def play() -> bool:
    """Play the story; true when all agrees.

    Raises:
        ClusterError: The cluster, or the product on it, did not start.
    """
    with tempfile.TemporaryDirectory(prefix="estimatesync-demo-") as directory, running_scenery() as scenery:
        tell_step("The scene: a Kubernetes control plane, PostgreSQL, a sample Attic Tech, a webhook")
        place = Path(directory)
        with running_cluster() as cluster, _running_postgres(place / "postgres") as database_url:
            cluster.kubectl("create", "namespace", _NAMESPACE)
            cluster.kubectl("label", "namespace", _NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
            quote(cluster.kubectl("get", "nodes").stdout.splitlines())
            preload(scenery, database_url)
            tell(PAST)
            settings = _build_settings(scenery, database_url)
            with running_product(cluster, namespace=_NAMESPACE, settings=settings, state_dir=place) as product:
                return _play_on(product, scenery, database_url)


def _play_on(product: Product, scenery: Scenery, database_url: str) -> bool:
    stage = Stage(
        api_url=product.api_url,
        database_url=database_url,
        read_log=lambda sync_id: _read_log(product, sync_id),
    )
    with _watching(product.cluster) as watched:
        agrees = tell_story(scenery, stage)
    tell_step("kubectl get estimatesyncs --watch")
    quote(watched, most=20)
    name = product.kubectl("get", "estimatesyncs", "--output=jsonpath={.items[0].metadata.name}")
    tell_step(f"kubectl wait --for=condition=Complete estimatesync/{name}")
    quote(product.kubectl("wait", "--for=condition=Complete", f"estimatesync/{name}", "--timeout=5s").splitlines())
    tell_step(f"kubectl describe estimatesync {name}")
    quote(product.kubectl("describe", "estimatesync", name).splitlines(), most=120)
    return agrees


@contextmanager
def _running_postgres(directory: Path) -> Iterator[str]:
    server = EmbeddedPostgres(directory)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def _build_settings(scenery: Scenery, database_url: str) -> ProductSettings:
    return ProductSettings(
        source_url=scenery.sample.url,
        source_email=scenery.email,
        source_password=scenery.password,
        database_url=database_url,
        api_key=API_KEY,
        callback_url=scenery.callback_url,
        operator={"ENVIRONMENT": "demo"},
    )


@contextmanager
def _watching(cluster: Cluster) -> Iterator[list[str]]:
    """Collect what `kubectl get estimatesyncs --watch` prints while the context lasts."""
    command = [str(cluster.kubectl_program), "get", "estimatesyncs", "--watch", f"--namespace={_NAMESPACE}"]
    lines: list[str] = []
    with subprocess.Popen(command, env=cluster.build_environment(), stdout=subprocess.PIPE, text=True) as watch:
        reader = threading.Thread(target=_collect, args=(watch.stdout, lines), daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            watch.terminate()
            reader.join(timeout=5)


def _collect(stream: Iterable[str] | None, lines: list[str]) -> None:
    lines.extend(line.rstrip() for line in stream or ())


def _read_log(product: Product, sync_id: str) -> Sequence[str]:
    job = product.kubectl("get", "estimatesync", sync_id, "--output=jsonpath={.status.jobName}")
    tell(f"kubectl logs job/{job}")
    return product.kubectl("logs", f"job/{job}").splitlines()
