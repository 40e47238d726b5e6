"""The chart, installed by Helm into a restricted namespace of a cluster of its own: all that runs, runs in pods."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import yaml
from estimatesync_cluster.cluster import Cluster, given_or_running_cluster, running_cluster
from estimatesync_cluster.errors import CommandError
from estimatesync_cluster.node_configuration import HOST_ADDRESS
from estimatesync_cluster.programs import SHORT_LIVED, find_helm
from estimatesync_cluster.real_node import RealNode, list_archives
from estimatesync_docs.page_runner import TOO_EARLY
from estimatesync_node.release import build_pod_database_url, build_socket_path
from estimatesync_node.sample_environment import relaying
from estimatesync_postgres_server import created_database
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver, running_receiver

CHART = Path(__file__).parents[3] / "charts" / "estimatesync"
API_KEY = "made-up-key-for-chart-tests"
PASSWORD = "made-up-password-that-must-not-leak"
RECORDS = 120
WAIT_SECONDS = 90.0
DEFINITION = "estimatesyncs.botzilla.io"


# A directory of image archives: then everything runs in containers of a real node, `make test-node`.
IMAGES = os.environ.get("ESTIMATESYNC_TEST_NODE_IMAGES", "")
collect_ignore = [] if IMAGES else ["real_node"]
# A checkout of an earlier version, with archives of its images in `images`, tagged `earlier`: `make test-upgrade`.
EARLIER = os.environ.get("ESTIMATESYNC_TEST_EARLIER", "")
if not EARLIER:
    collect_ignore.append("real_node/test_upgrade_on_node.py")
# A directory of a release's files, which are then published to a registry of this machine: `make test-release`.
RELEASED = os.environ.get("ESTIMATESYNC_TEST_RELEASE", "")
if not RELEASED:
    collect_ignore.append("real_node/test_published_on_node.py")
# Under which address the pods of a given cluster know this machine, such as the gateway of kind's network. Those pods
# are real containers, too, and this machine has no route to them.
GIVEN_MACHINE = os.environ.get("ESTIMATESYNC_TEST_MACHINE", "")
MACHINE = HOST_ADDRESS if IMAGES else GIVEN_MACHINE or "127.0.0.1"
IN_CONTAINERS = bool(IMAGES or GIVEN_MACHINE)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a release works with that is not on its cluster."""

    sample: RunningSample
    receiver: Receiver
    database_url: str
    pod_database_url: str


class Release:
    """One release of the chart, and what its callers see."""

    def __init__(
        self, cluster: Cluster, namespace: str, helm: Path, surroundings: Surroundings, place: Path, pods_url: str
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.place = place
        self.surroundings = surroundings
        self.values = build_values(cluster, surroundings)
        self.printed = ""
        self._deployed: dict[str, Any] = {}
        self._helm = helm
        self._pods_url = pods_url

    def helm(self, *arguments: str, check: bool = True) -> str:
        """Run Helm in the namespace, and return what it printed, warnings included."""
        answer = subprocess.run(
            [self._helm, f"--namespace={self.namespace}", f"--kubeconfig={self.cluster.kubeconfig}", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(self.place), **SHORT_LIVED},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        assert not check or answer.returncode == 0, f"{answer.stdout}\n{self.describe()}"
        return answer.stdout

    def deploy(self, command: str, *arguments: str, chart: Path = CHART) -> str:
        """Install or upgrade, and wait until everything is ready."""
        values = self.place / "values.json"
        values.write_text(json.dumps(self.values))
        options = (f"--values={values}", "--wait", "--timeout=90s")
        self.printed = self.helm(command, "sync", str(chart), *arguments, *options)
        self.wait_until("a definition that admission policies know", lambda: not self._is_too_early())
        self._deployed = deepcopy(self.values)
        return self.printed

    def ensure(self, *arguments: str) -> None:
        """Have a release with these values run: for tests that share one, in whichever order they come."""
        if self._deployed != self.values:
            self.deploy("upgrade" if self._deployed else "install", *arguments)

    def _is_too_early(self) -> bool:
        """Whether admission policies do not know the definition yet: they look for new ones every five seconds."""
        sync = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": "probe"}}
        try:
            self.create(sync, dryRun="All")
        except CommandError as refusal:
            return TOO_EARLY in str(refusal)
        return False

    def create(self, manifest: dict[str, Any], **options: str) -> dict[str, Any]:
        """Create an object in the namespace."""
        return dict(self.cluster.api.create(manifest, namespace=self.namespace, **options))

    def apply(self, manifest: dict[str, Any]) -> None:
        """Apply an object in the namespace."""
        self.cluster.api.apply([manifest], namespace=self.namespace)

    def find(self, kind: str, name: str) -> dict[str, Any]:
        """Find an object in the namespace; empty if there is none."""
        return dict(self.cluster.api.find(kind, name, namespace=self.namespace) or {})

    def find_all(self, kind: str, **selectors: str) -> list[dict[str, Any]]:
        """All objects of a kind in the namespace."""
        return list(self.cluster.api.find_all(kind, namespace=self.namespace, **selectors))

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        answer = self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin, check=check)
        return answer.stdout + ("" if check else answer.stderr)

    def find_api_urls(self) -> list[str]:
        """Where this machine reaches the replicas that are ready."""
        return [self.build_url(each, 8080) for each in self._find_api_pods()]

    def build_url(self, pod: dict[str, Any], port: int) -> str:
        """Where this machine reaches a port of a pod."""
        if not self._pods_url:
            return f"http://{pod['status']['podIP']}:{port}"
        name = pod["metadata"]["name"]
        return f"{self._pods_url}/api/v1/namespaces/{self.namespace}/pods/{name}:{port}/proxy"

    def find_pod_urls(self) -> list[str]:
        """Where the replicas that are ready listen."""
        return [f"http://{each['status']['podIP']}:8080" for each in self._find_api_pods()]

    def _find_api_pods(self) -> list[dict[str, Any]]:
        pods = self.find_all("Pod", labelSelector="app.kubernetes.io/component=api")
        return [each for each in pods if "deletionTimestamp" not in each["metadata"] and is_ready(each)]

    def list_callbacks(self, name: str) -> list[Any]:
        """What has been delivered of one sync, if it has its callbacks from the release."""
        return [each for each in self.surroundings.receiver.deliveries if json.loads(each.body)["sync_id"] == name]

    def count_estimates(self) -> int:
        """How many estimates the database holds."""
        return count_estimates_of(self.surroundings.database_url)

    def empty_database(self) -> None:
        """Leave nothing of earlier syncs there."""
        with psycopg.connect(self.surroundings.database_url) as connection:
            connection.execute("DROP SCHEMA IF EXISTS botzilla CASCADE")

    def post(self, *, url: str = "", key: str = API_KEY) -> httpx.Response:
        address = f"{url or self.find_api_urls()[0]}/api/automations/estimates/sync-external"
        return httpx.post(address, headers={"X-API-KEY": key}, trust_env=False, timeout=30)

    def get(self, name: str) -> dict[str, Any]:
        url = f"{self.find_api_urls()[0]}/api/automations/estimates/syncs/{name}"
        body: dict[str, Any] = httpx.get(url, headers={"X-API-KEY": API_KEY}, trust_env=False, timeout=30).json()
        return body

    def wait_until(self, what: str, condition: Callable[[], object], *, seconds: float = WAIT_SECONDS) -> Any:
        start = time.monotonic()
        while not (found := condition()):
            waited = time.monotonic() - start
            assert waited < seconds, f"never came: {what}\n{self.describe()}"
            # Less often what takes long.
            time.sleep(min(0.1 + waited / 20, 0.3))
        return found

    def wait_status(self, name: str, status: str) -> dict[str, Any]:
        self.wait_until(f"{status} of {name}", lambda: self.get(name).get("status") == status)
        return self.get(name)

    def describe(self) -> str:
        logs = self.kubectl("logs", "--selector=app.kubernetes.io/instance=sync", "--tail=20", "--prefix", check=False)
        return self.kubectl("get", "esync,jobs,pods,events", "--output=wide", check=False) + logs


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster of its own: these tests change the definition that all others share."""
    # A node that is to pull from a registry is given nothing beforehand.
    earlier = list_archives(Path(EARLIER, "images")) if EARLIER and not RELEASED else ()
    node = RealNode(images=(*list_archives(Path(IMAGES)), *earlier))
    with running_cluster(node=node) if IMAGES else given_or_running_cluster(os.environ) as running:
        found = running.api.find("CustomResourceDefinition", DEFINITION)
        assert found is None, "this cluster has the definition already: these tests remove it, and all syncs with it"
        yield running


@pytest.fixture(scope="session")
def machine() -> str:
    """Under which address pods know this machine."""
    return MACHINE


@pytest.fixture(scope="session")
def pods_url(cluster: Cluster) -> Iterator[str]:
    """Where the API server passes requests on to pods, if this machine cannot send them itself."""
    if not GIVEN_MACHINE:
        yield ""
        return
    command = [cluster.kubectl_program, "proxy", "--port=0"]
    with subprocess.Popen(command, env=cluster.build_environment(), stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout
        yield f"http://{proxy.stdout.readline().split()[-1]}"
        proxy.terminate()


@pytest.fixture(scope="session")
def callers(cluster: Cluster, machine: str) -> list[str]:
    """From which addresses requests to the API come: a given cluster's API server passes them on from its own node."""
    if not GIVEN_MACHINE:
        return [machine]
    path = '{.items[*].status.addresses[?(@.type=="InternalIP")].address}'
    return cluster.kubectl("get", "nodes", f"--output=jsonpath={path}").stdout.split()


@pytest.fixture
def pod_database_url(database_url: str, machine: str) -> Iterator[str]:
    """The database as pods reach it."""
    with reached_by_pods(database_url, machine) as url:
        yield url


@contextmanager
def reached_by_pods(database_url: str, machine: str) -> Iterator[str]:
    """Let pods reach a database: the socket of PostgreSQL is a file, which is in no container."""
    if not IN_CONTAINERS:
        yield database_url
        return
    with relaying(machine, build_socket_path(database_url)) as port:
        yield build_pod_database_url(database_url, host=machine, port=port)


@pytest.fixture(scope="session")
def shown_objects() -> list[dict[str, Any]]:
    """The objects for other tools that `docs/install.md` shows."""
    blocks = re.findall(r"```yaml\n(.*?)```", (CHART.parents[1] / "docs" / "install.md").read_text(), re.DOTALL)
    return [each for block in blocks for each in yaml.safe_load_all(block) if "kind" in each]


@pytest.fixture(scope="session")
def helm() -> Path:
    return find_helm(report=lambda line: sys.stderr.write(f"{line}\n"))


@pytest.fixture
def sample(machine: str, cluster: Cluster) -> Iterator[RunningSample]:  # noqa: ARG001 - its address comes with the cluster
    with running_sample(configure_sample(machine)) as running:
        yield running


def configure_sample(machine: str) -> SampleConfig:
    """Describe an Attic Tech of a week."""
    return SampleConfig(records=build_records(RECORDS, 7, datetime.now(UTC)), password=PASSWORD, host=machine)


@pytest.fixture
def receiver(machine: str, cluster: Cluster) -> Iterator[Receiver]:  # noqa: ARG001 - its address comes with the cluster
    with running_receiver(host=machine) as running:
        yield running


def build_values(cluster: Cluster, around: Surroundings) -> dict[str, Any]:
    """What a person sets, and what lets pods live on one machine: each listens on its own address only."""
    return {
        "apiKeys": {"keys": {"make": API_KEY}},
        "credentials": {"email": SampleConfig().email, "password": PASSWORD, "databaseUrl": around.pod_database_url},
        "callback": {"url": f"{around.receiver.url}/hook", "allowHttp": True, "allowPrivateTargets": True},
        "sync": {"atticTechUrl": around.sample.url},
        "settings": {"progressSeconds": 1},
        "api": {"bindAddress": "$(POD_IP)", "drainSeconds": 1},
        "operator": {"bindAddress": "$(POD_IP)"},
        # On a real node they are enforced, where a test enables them.
        "networkPolicy": {
            # Pods reach it through its Service, where a given cluster may have another port than for this machine.
            "apiServerPorts": sorted({443, 6443, *list_ports(cluster.server)}),
            "callbackPorts": list_ports(around.receiver.url),
            # Where PostgreSQL is a socket, none is enforced.
            "syncPorts": list_ports(around.pod_database_url) or [5432],
        },
    }


def list_ports(*urls: str) -> list[int]:
    """The ports that are asked for; a URL that names a socket has none."""
    return [port for url in urls if (port := urlsplit(url).port)]


@contextmanager
def removed_at_the_end(release: Release) -> Iterator[Release]:
    """Remove a release after its tests, and with it the definition, which the next one brings."""
    yield release
    if release.find_all("Secret", labelSelector="owner=helm,name=sync"):
        release.helm("uninstall", "sync", "--wait", "--timeout=60s")
    api = release.cluster.api
    kept = [("CustomResourceDefinition", DEFINITION)]
    kept += [("ClusterRole", f"estimatesyncs-{name}") for name in ("view", "edit", "admin")]
    for kind, name in kept:
        api.delete(kind, name, missing_ok=True)
    release.wait_until("no definition", lambda: api.find("CustomResourceDefinition", DEFINITION) is None)


@pytest.fixture
def release(
    cluster: Cluster,
    restricted_namespace: str,
    helm: Path,
    sample: RunningSample,
    receiver: Receiver,
    database_url: str,
    pod_database_url: str,
    tmp_path: Path,
    pods_url: str,
) -> Iterator[Release]:
    """A release of one test. There is one at a time on a cluster: no test of a file with `shared_release` has it."""
    around = Surroundings(
        sample=sample, receiver=receiver, database_url=database_url, pod_database_url=pod_database_url
    )
    with removed_at_the_end(Release(cluster, restricted_namespace, helm, around, tmp_path, pods_url)) as release:
        yield release


@pytest.fixture(scope="module")
def shared_release(
    cluster: Cluster,
    helm: Path,
    machine: str,
    pods_url: str,
    postgres_url: str,
    lend_namespaces: Callable[[Cluster], AbstractContextManager[Callable[..., str]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Release]:
    """A release of all tests of a file, which leave it at work: installing and removing one takes longer than most."""
    with ExitStack() as stack:
        database_url = stack.enter_context(created_database(postgres_url))
        around = Surroundings(
            sample=stack.enter_context(running_sample(configure_sample(machine))),
            receiver=stack.enter_context(running_receiver(host=machine)),
            database_url=database_url,
            pod_database_url=stack.enter_context(reached_by_pods(database_url, machine)),
        )
        make_namespace = stack.enter_context(lend_namespaces(cluster))
        namespace = make_namespace({"pod-security.kubernetes.io/enforce": "restricted"})
        place = tmp_path_factory.mktemp("release")
        release = Release(cluster, namespace, helm, around, place, pods_url)
        release.wait_until("an account for pods", lambda: release.find("ServiceAccount", "default"))
        yield stack.enter_context(removed_at_the_end(release))


@pytest.fixture
def next_chart(tmp_path: Path) -> Path:
    """A later version of the chart, whose definition has one more column."""
    place = tmp_path / "next" / "estimatesync"
    shutil.copytree(CHART, place)
    crd = place / "files" / "crd.yaml"
    changed = crd.read_text().replace("additionalPrinterColumns:\n", f"additionalPrinterColumns:\n{COLUMN}", 1)
    assert changed != crd.read_text()
    crd.write_text(changed)
    return place


COLUMN = "    - jsonPath: .status.reason\n      name: Cause\n      type: string\n"


@pytest.fixture
def count_estimates(database_url: str) -> Callable[[], int]:
    return partial(count_estimates_of, database_url)


def count_estimates_of(database_url: str) -> int:
    """How many estimates a database holds."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM botzilla.estimate").fetchone()
        return int(row[0]) if row else 0
