"""The scenario on a real Kubernetes API server, with what an operator of the cluster sees: kubectl's own output."""

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.product_processes import Product, ProductSettings, running_product
from estimatesync_cluster.programs import find_binaries
from estimatesync_local.adapters.postgres import EmbeddedPostgres

from estimatesync_demo.console import print_fact, print_step, quote
from estimatesync_demo.sample_environment import API_KEY, PAST, SampleEnvironment, preload, running_sample_environment
from estimatesync_demo.scenario import Stage, play_scenario

_NAMESPACE: Final = "estimatesync"


def play() -> bool:
    """Play the scenario; true when all agrees.

    Raises:
        ClusterError: The cluster, or the product on it, did not start.
    """
    with (
        tempfile.TemporaryDirectory(prefix="estimatesync-demo-") as directory,
        running_sample_environment() as environment,
    ):
        print_step("The scene: a Kubernetes control plane, PostgreSQL, a sample Attic Tech, a webhook")
        # What is missing is built first, which takes minutes, with a line for how far it is.
        binaries = find_binaries(environ=os.environ, report=print_fact)
        print_fact("Starting the control plane and its node: about 15 s")
        place = Path(directory)
        # Made by us, and closed; where root plays, PostgreSQL's account has to pass through it.
        place.chmod(0o711)
        with running_cluster(binaries=binaries) as cluster, _running_postgres(place / "postgres") as database_url:
            cluster.kubectl("create", "namespace", _NAMESPACE)
            cluster.kubectl("label", "namespace", _NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
            quote(cluster.kubectl("get", "nodes").stdout.splitlines())
            preload(environment, database_url)
            print_fact(PAST)
            settings = _build_settings(environment, database_url)
            print_fact("Starting the API and the operator: about 10 s")
            with running_product(cluster, namespace=_NAMESPACE, settings=settings, state_dir=place) as product:
                return _play_on(product, environment, database_url)


def _play_on(product: Product, environment: SampleEnvironment, database_url: str) -> bool:
    stage = Stage(
        api_url=product.api_url,
        database_url=database_url,
        read_log=lambda sync_id: _read_log(product, sync_id),
    )
    with _watching(product.cluster) as watched:
        agrees = play_scenario(environment, stage)
    print_step("kubectl get estimatesyncs --watch")
    quote(watched, max_lines=20)
    name = product.kubectl("get", "estimatesyncs", "--output=jsonpath={.items[0].metadata.name}")
    print_step(f"kubectl wait --for=condition=Complete estimatesync/{name}")
    quote(product.kubectl("wait", "--for=condition=Complete", f"estimatesync/{name}", "--timeout=5s").splitlines())
    print_step(f"kubectl describe estimatesync {name}")
    quote(product.kubectl("describe", "estimatesync", name).splitlines(), max_lines=120)
    return agrees


@contextmanager
def _running_postgres(directory: Path) -> Iterator[str]:
    server = EmbeddedPostgres(directory)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def _build_settings(environment: SampleEnvironment, database_url: str) -> ProductSettings:
    return ProductSettings(
        source_url=environment.sample.url,
        source_email=environment.email,
        source_password=environment.password,
        database_url=database_url,
        api_key=API_KEY,
        callback_url=environment.callback_url,
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
    print_fact(f"kubectl logs job/{job}")
    return product.kubectl("logs", f"job/{job}").splitlines()
