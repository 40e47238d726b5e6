"""`make kind` with the kind that tests/support/go/kind pins, up to where it would pull the image of its nodes.

Whatever kind asks of Docker goes to a small script that writes it down and runs no container.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from estimatesync_cluster.programs import KIND, find_go_tool

ROOT = Path(__file__).parents[3]
NODES = 3
# Answers as a Docker without containers; all nodes are asked for at once, so that none may fail before the last is.
DOCKER = f"""#!/bin/sh
echo "$@" >> "$HOME/docker.log"
case "$1" in
  info) echo '{{"CgroupDriver":"systemd","CgroupVersion":"2","MemoryLimit":true,"PidsLimit":true,"CPUShares":true}}' ;;
  network) [ "$2" != inspect ] || echo '[]' ;;
  inspect) echo sha256:0 ;;
  run)
    tries=0
    until [ "$(grep -c ^run "$HOME/docker.log")" -ge {NODES} ] || [ "$tries" -ge 200 ]; do
      sleep 0.05; tries=$((tries + 1))
    done
    exit 1 ;;
esac
"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with kind, and with something that kind takes for Docker."""

    home: Path
    kind: Path

    def run(self, *command: str) -> str:
        """Run a program, and return what it says."""
        path = f"{self.home}:{self.kind.parent}:/usr/bin:/bin"
        environment = {"PATH": path, "HOME": str(self.home), "KUBECONFIG": str(self.home / "kubeconfig")}
        answer = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert answer.returncode
        return answer.stdout

    def list_containers(self) -> list[str]:
        """Read what containers were asked for, sorted by their names."""
        asked = (self.home / "docker.log").read_text().splitlines()
        return sorted(line for line in asked if line.startswith("run "))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    kind = find_go_tool(KIND, environ=os.environ, report=lambda line: sys.stderr.write(f"{line}\n"))
    return Machine(home=tmp_path, kind=kind)


def test_the_script_has_kind_make_the_nodes_and_publish_the_port_of_the_configuration(machine: Machine) -> None:
    said = machine.run("/bin/bash", str(ROOT / "deploy" / "kind" / "create.sh"))

    assert 'Creating cluster "estimatesync"' in said
    control_plane, *workers = machine.list_containers()
    assert "--name estimatesync-control-plane " in control_plane
    assert "--publish=127.0.0.1:8080:30080/TCP" in control_plane
    assert [worker.split()[2] for worker in workers] == ["estimatesync-worker", "estimatesync-worker2"]
    assert not any("30080" in worker for worker in workers)


def test_the_script_takes_the_image_of_the_nodes_that_is_named(machine: Machine) -> None:
    script = ROOT / "deploy" / "kind" / "create.sh"

    machine.run("/usr/bin/env", "KIND_NODE_IMAGE=example/node:v1", "/bin/bash", str(script))

    assert [container.split()[-1] for container in machine.list_containers()] == ["example/node:v1"] * NODES


def test_kind_knows_every_field_of_the_configuration(machine: Machine) -> None:
    configuration = (ROOT / "deploy" / "kind" / "kind.yaml").read_text()
    misspelt = machine.home / "misspelt.yaml"
    misspelt.write_text(configuration.replace("listenAddress", "listenAdress"))

    said = machine.run(str(machine.kind), "create", "cluster", f"--config={misspelt}")

    assert "field listenAdress not found in type v1alpha4.PortMapping" in said
