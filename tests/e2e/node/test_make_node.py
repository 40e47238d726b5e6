"""What `make node` does: the chart on a real node, an address to post to; `make cluster-down` leaves nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from estimatesync_cluster.node_configuration import NETWORK_NAMESPACE

IMAGES = Path(os.environ["ESTIMATESYNC_TEST_NODE_IMAGES"])
WAIT_SECONDS = 90.0


class Machine:
    """The commands behind `make node` and `make cluster-down`, with their state in a directory of the test's own."""

    def __init__(self, place: Path) -> None:
        self.state = place / "node"
        self.cluster = place / "cluster"

    def run(self, module: str, *arguments: str) -> str:
        command = [sys.executable, "-m", module, *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stderr

    def up(self, *arguments: str) -> str:
        """Start everything, and return what is printed for a person."""
        self.run("estimatesync_cluster", "up", f"--state-dir={self.cluster}", f"--node-images={IMAGES}")
        places = (f"--state-dir={self.state}", f"--cluster-dir={self.cluster}", f"--images={IMAGES}")
        return self.run("estimatesync_node", "up", *places, *arguments)

    def down(self) -> None:
        self.run("estimatesync_node", "down", f"--state-dir={self.state}", f"--cluster-dir={self.cluster}")
        self.run("estimatesync_cluster", "down", f"--state-dir={self.cluster}")

    def kill(self, state: Path) -> None:
        """Kill the supervisor whose state is there, as nothing but an accident does."""
        pid = int(json.loads((state / "supervisor.json").read_text())["pid"])
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def place() -> Iterator[Path]:
    """Not pytest's own, into which PostgreSQL's user may not look; and no short name, as few checkouts have one."""
    with tempfile.TemporaryDirectory(prefix="estimatesync-checked-out-at-a-place-with-a-long-name-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture
def machine(place: Path) -> Iterator[Machine]:
    machine = Machine(place)
    yield machine
    machine.down()


def paste(printed: str, start: str) -> str:
    """Run the first printed command that begins like this, as a person pastes it into a shell."""
    (export,) = re.findall(r"^  (export .+)$", printed, re.MULTILINE)
    (command,) = re.findall(rf"^  ({start}.*)$", printed, re.MULTILINE)
    line = f"{export}\n{command.removesuffix(' --watch')}"
    return subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True, timeout=60, check=True).stdout


def wait_until(what: str, condition: Callable[[], object]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        # Each question starts a shell and a kubectl.
        time.sleep(1)
    return found


def find_url(printed: str) -> str:
    return re.findall(r"http://127\.0\.0\.1:\d+", printed)[0]


def is_answering(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False, timeout=5).is_success
    except httpx.TransportError:
        return False


def list_processes(place: Path) -> list[str]:
    """Whatever has the directory on its command line."""
    commands = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(entry.read_text().replace("\0", " "))
        except OSError:
            continue
    return [command for command in commands if str(place) in command]


def list_filters() -> list[str]:
    """This machine's packet filters, and their sets of addresses."""
    commands = (["iptables", "--wait", "--list-rules"], ["ipset", "list", "-name"])
    answers = [subprocess.run(each, capture_output=True, text=True, timeout=30, check=True) for each in commands]
    return [line for answer in answers for line in answer.stdout.splitlines()]


def test_a_person_pastes_what_make_node_prints_and_sees_a_sync_to_its_end(machine: Machine, place: Path) -> None:
    filters = list_filters()
    printed = machine.up()

    sync = json.loads(paste(printed, "curl"))["sync_id"]
    wait_until("its callback", lambda: "Delivered" in paste(printed, "/.*kubectl get"))
    callback = json.loads(json.loads(paste(printed, "cat"))["body"])
    assert (callback["sync_id"], callback["results"]["new_estimates"]) == (sync, 1609)

    # Again, as after a killed supervisor: the same release, the same key, the same rows.
    pods = paste(printed, "/.*kubectl get").splitlines()
    machine.kill(machine.state)
    printed = machine.up()
    second = json.loads(paste(printed, "curl"))["sync_id"]
    wait_until("its callback", lambda: paste(printed, "/.*kubectl get").count("Delivered") == 2)
    callback = json.loads(json.loads(paste(printed, "cat").splitlines()[-1])["body"])
    assert (callback["sync_id"], callback["results"]["new_estimates"]) == (second, 0)
    assert len(paste(printed, "/.*kubectl get").splitlines()) == len(pods) + 1

    # After a crash of the cluster, too, the next one comes up; and then nothing is left of either.
    machine.kill(machine.cluster)
    printed = machine.up()
    third = json.loads(paste(printed, "curl"))["sync_id"]
    wait_until("its end", lambda: re.search(f"{third} +Succeeded", paste(printed, "/.*kubectl get")))
    url = find_url(printed)
    machine.down()
    assert not is_answering(url)
    assert list_processes(place) == []
    assert [path.name for path in place.rglob("*") if path.is_file()] == ["lock", "lock"]
    assert list(Path("/run").glob("estimatesync-node/*")) == []
    assert str(place) not in Path("/proc/mounts").read_text()
    assert not Path("/run/netns", NETWORK_NAMESPACE).exists()
    assert list_filters() == filters


def test_values_of_ones_own_are_installed_in_the_place_of_the_sample(machine: Machine, place: Path) -> None:
    values = {
        "apiKeys": {"keys": {"mine": "made-up-key-of-a-person"}},
        "credentials": {
            "email": "a@b.example",
            "password": "made-up",
            "databaseUrl": "postgresql://nobody@10.88.77.1/x",
        },
        "api": {"replicas": 1},
    }
    file = place / "values.json"
    file.write_text(json.dumps(values))

    printed = machine.up(f"--values={file}")

    headers = {"X-API-KEY": "made-up-key-of-a-person"}
    syncs = httpx.get(
        f"{find_url(printed)}/api/automations/estimates/syncs", headers=headers, trust_env=False, timeout=30
    )
    assert syncs.json()["syncs"] == []
    assert "what Make.com receives" not in printed
    assert not (machine.state / "run" / "postgres").exists()
