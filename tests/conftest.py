"""For every tier: a real PostgreSQL, that of a wheel; receivers of traces and callbacks; programs that heed Ctrl-C."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from estimatesync_postgres_server import (
    QUICK,
    PostgresServer,
    copy_data,
    created_database,
    embedded_server,
    find_programs,
    prepare_embedded_data,
)
from sample_attic_tech.receiver import Receiver, running_receiver

if TYPE_CHECKING:
    from estimatesync_cluster.cluster import Cluster

MEMORY_BYTES = 4 * 2**30
DATA_PREFIX = "estimatesync-data-"
"""Of a directory's name; the process that has made it follows."""

# A shell starts what runs in its background with Ctrl-C ignored, and so would be every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _authorities_read_once() -> Iterator[None]:
    """Have httpx read the certificates of all authorities once: for each client it takes twenty times a request."""
    from httpx._transports import default  # noqa: PLC0415 - few unit tests need it

    create = default.create_ssl_context

    def find(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:  # noqa: FBT001, FBT002 - httpx's own
        is_usual = verify is True and cert is None and not trust_env
        return shared() if is_usual else create(verify=verify, cert=cert, trust_env=trust_env)

    @cache
    def shared() -> Any:
        return create(trust_env=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default, "create_ssl_context", find)
        yield


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all workers of this run."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def audit_logs(run_directory: Path) -> Iterator[Path]:
    """What every cluster of this run writes down about its callers: tests/e2e/rights judges it at the end."""
    from estimatesync_cluster.audit import AUDIT_DIRECTORY  # noqa: PLC0415 - few tests need it

    directory = run_directory / "audit"
    directory.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(AUDIT_DIRECTORY, str(directory))
        yield directory


@pytest.fixture(scope="session")
def cluster(run_directory: Path, audit_logs: Path) -> Iterator["Cluster"]:  # noqa: ARG001 - it writes there
    """One cluster for the whole run: what belongs to no namespace is every worker's."""
    from estimatesync_cluster.cluster import TEST_KUBECONFIG, given_or_running_cluster  # noqa: PLC0415 - the same
    from estimatesync_cluster.shared_cluster import shared_cluster  # noqa: PLC0415 - the same

    is_given = os.environ.get(TEST_KUBECONFIG)
    with given_or_running_cluster(os.environ) if is_given else shared_cluster(run_directory / "cluster") as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes callbacks."""
    with running_receiver() as running:
        yield running


def find_memory() -> Path | None:
    """Find a file system in memory with room for the servers of all workers: a new database is 300 files."""
    memory = Path("/dev/shm")  # noqa: S108 - only a directory of one's own is made in it
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_BYTES else None


@pytest.fixture(scope="session")
def postgres_data() -> Iterator[Path]:
    """The server's data directory, for tests that change its configuration."""
    # Not pytest's own directory: the socket lies in it, and the path of a socket is limited to about 100 bytes.
    place = find_memory() or Path(tempfile.gettempdir())
    remove_abandoned(place)
    directory = Path(tempfile.mkdtemp(prefix=f"{DATA_PREFIX}{os.getpid()}-", dir=place))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def remove_abandoned(place: Path) -> None:
    """Remove the data of runs that were killed, which would keep their memory; a server that is left ends by itself."""
    for directory in place.glob(f"{DATA_PREFIX}*-*"):
        owner = directory.name.removeprefix(DATA_PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists() and Path("/proc/self").exists():
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(postgres_data: Path, run_directory: Path) -> Iterator[str]:
    """URL of the server, as a superuser, database `postgres`: of the wheel's, or of a version that is asked for."""
    if programs := find_programs(os.environ):
        sockets = Path(tempfile.mkdtemp(prefix="estimatesync-pg-"))
        asked_for = PostgresServer(programs, postgres_data, sockets)
        asked_for.create()
        asked_for.start()
        yield asked_for.url
        asked_for.stop()
        shutil.rmtree(sockets, ignore_errors=True)
        return
    copy_data(prepare_embedded_data(run_directory), postgres_data, settings=QUICK)
    with embedded_server(postgres_data) as server:
        yield str(server.get_uri())


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """URL of an empty database that no other test sees, as its owner."""
    with created_database(postgres_url) as url:
        yield url


@dataclass(frozen=True, kw_only=True)
class CollectedSpan:
    """A span as it arrived."""

    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    kind: int
    attributes: dict[str, str | int | float | bool]
    events: tuple[str, ...]
    links: tuple[str, ...]
    error: str | None


class Collector:
    """What a real receiver of OTLP over HTTP has been sent."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.url = receiver.url

    @property
    def spans(self) -> list[CollectedSpan]:
        """Every span so far, in the order of arrival."""
        return [span for delivery in list(self.receiver.deliveries) for span in _read_spans(delivery.body)]

    def find(self, *, trace_id: str) -> list[CollectedSpan]:
        """The spans of one trace, the earliest first."""
        found = [span for span in self.spans if span.trace_id == trace_id]
        return sorted(found, key=lambda span: (span.start, -span.end))


def _read_spans(body: bytes) -> Iterator[CollectedSpan]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - few tests need it
        ExportTraceServiceRequest,
    )

    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _read_attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield CollectedSpan(
                    name=span.name,
                    service=str(service),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    kind=span.kind,
                    attributes=_read_attributes(span.attributes),
                    events=tuple(event.name for event in span.events),
                    links=tuple(link.trace_id.hex() for link in span.links),
                    error=span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
                )


def _read_attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes everything at once."""
    with running_receiver() as receiver:
        yield Collector(receiver)
