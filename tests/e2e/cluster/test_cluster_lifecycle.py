"""The cluster comes up and goes away as a whole, whatever happens to the one who started it."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from operator import not_
from pathlib import Path

import pytest
from estimatesync_cluster.cluster import TEST_KUBECONFIG, Cluster, given_or_running_cluster, running_cluster
from estimatesync_cluster.errors import ClusterError, CommandError, ComponentError, PortTakenError
from estimatesync_cluster.programs import Binaries

COMMAND_SECONDS = 120


def run_command(command: str, state_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "estimatesync_cluster", command, f"--state-dir={state_dir}"],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def find_commands(part: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            found += [command] if part in command else []
    return found


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """A state directory with a space in its name; whatever runs there is stopped afterwards."""
    directory = tmp_path / "the state"
    yield directory
    run_command("down", directory)


def test_up_is_repeatable_survives_a_crash_and_down_leaves_nothing(
    state_dir: Path, eventually: Callable[..., None]
) -> None:
    first, second = run_command("up", state_dir), run_command("up", state_dir)
    record = json.loads((state_dir / "supervisor.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    eventually("the end of every process", lambda: find_commands(str(state_dir)), until=not_)
    crashed = run_command("status", state_dir)
    again, status = run_command("up", state_dir), run_command("status", state_dir)
    mode = stat.S_IMODE((state_dir / "run" / "kubeconfig").stat().st_mode)
    down = run_command("down", state_dir)

    export = f"export KUBECONFIG='{state_dir}/run/kubeconfig'\n"
    assert [each.stdout for each in (first, second, again)] == [export] * 3
    assert [each.returncode for each in (first, second, crashed, again, status, down)] == [0, 0, 3, 0, 0, 0]
    assert mode == 0o600
    assert find_commands(str(state_dir)) == []
    assert [entry.name for entry in state_dir.iterdir()] == ["lock"]


def test_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("mine")

    up, down = run_command("up", tmp_path), run_command("down", tmp_path)

    assert (up.returncode, down.returncode) == (1, 1)
    assert "letters" in up.stderr
    assert "choose another --state-dir" in down.stderr
    assert (tmp_path / "letters").read_text() == "mine"


def test_running_cluster_refuses_a_directory_in_use(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("mine")

    with pytest.raises(ClusterError, match="is not empty"), running_cluster(tmp_path):
        pass

    assert (tmp_path / "letters").read_text() == "mine"


@pytest.fixture
def create_programs(tmp_path: Path) -> Callable[[dict[str, str]], Binaries]:
    """Make shell scripts stand where programs are."""

    def create(scripts: dict[str, str]) -> Binaries:
        directory = tmp_path / "programs"
        directory.mkdir()
        for name, script in scripts.items():
            (directory / name).write_text(f"#!/bin/sh\n{script}\n")
            (directory / name).chmod(0o700)
        return Binaries(directory=directory)

    return create


def test_failed_start_shows_the_log_and_leaves_nothing(
    tmp_path: Path, create_programs: Callable[[dict[str, str]], Binaries]
) -> None:
    programs = create_programs(
        {"etcd": "exec sleep 300", "kube-apiserver": "echo flag provided but not defined; exit 1"}
    )

    with (
        pytest.raises(ComponentError, match=r"kube-apiserver ended .*\n.*flag provided but not defined"),
        running_cluster(tmp_path / "state", binaries=programs),
    ):
        pass

    assert find_commands(str(programs.directory)) == []
    assert list((tmp_path / "state").iterdir()) == []


def test_taken_port_is_tried_again_with_other_ports(
    tmp_path: Path, create_programs: Callable[[dict[str, str]], Binaries]
) -> None:
    tries = tmp_path / "tries"
    taken = f"echo \"$@\" >> '{tries}'; echo listen: bind: address already in use; exit 1"
    programs = create_programs({"etcd": taken, "kube-apiserver": "exec sleep 300"})

    with pytest.raises(PortTakenError), running_cluster(tmp_path / "state", binaries=programs):
        pass

    assert len(set(tries.read_text().splitlines())) == 3
    assert find_commands(str(programs.directory)) == []


def test_cluster_dies_with_a_parent_that_is_killed(tmp_path: Path, eventually: Callable[..., None]) -> None:
    script = (
        "import sys, time, pathlib\n"
        "from estimatesync_cluster.cluster import running_cluster\n"
        "with running_cluster(pathlib.Path(sys.argv[1])):\n"
        "    print('up', flush=True)\n"
        "    time.sleep(3600)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n", "the cluster did not start"
        running = find_commands(str(tmp_path))

        parent.kill()

    assert any("test_kubelet" in each for each in running)
    eventually("the end of every process", lambda: find_commands(str(tmp_path)), until=not_)


def test_given_kubeconfig_is_used_as_it_is(cluster: Cluster) -> None:
    with given_or_running_cluster({TEST_KUBECONFIG: str(cluster.kubeconfig)}) as given:
        nodes = given.kubectl("get", "nodes", "--output=name")

    assert nodes.stdout == "node/test-node\n"
    assert (given.server, given.control_plane) == (cluster.server, None)


def test_service_account_kubeconfig_has_exactly_its_rights(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster.kubectl("create", "serviceaccount", "reader", f"--namespace={namespace}")
    verbs = ("--verb=get", "--verb=list", "--resource=configmaps")
    cluster.kubectl("create", "role", "reader", *verbs, f"--namespace={namespace}")
    subject = f"--serviceaccount={namespace}:reader"
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", subject, f"--namespace={namespace}")

    path = cluster.create_service_account_kubeconfig(tmp_path / "reader", namespace=namespace, name="reader")

    with given_or_running_cluster({TEST_KUBECONFIG: str(path)}) as reader:
        allowed = reader.kubectl("get", "configmaps", "--output=name").stdout
        with pytest.raises(CommandError, match=f"system:serviceaccount:{namespace}:reader.*cannot list.*secrets"):
            reader.kubectl("get", "secrets")
    assert allowed == "configmap/kube-root-ca.crt\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
