"""The kind cluster's configuration, without kind: what of it can be wrong on our side."""

import subprocess
from pathlib import Path

import yaml

KIND = Path(__file__).parents[2] / "deploy" / "kind"


def test_the_port_that_kind_publishes_is_the_one_of_the_values() -> None:
    cluster, values = (yaml.safe_load((KIND / name).read_text()) for name in ("kind.yaml", "values.yaml"))

    (mapping,) = cluster["nodes"][0]["extraPortMappings"]
    assert mapping["containerPort"] == values["api"]["service"]["nodePort"]
    assert mapping["listenAddress"] == "127.0.0.1"


def test_the_script_is_one_that_bash_can_read() -> None:
    subprocess.run(["/bin/bash", "-n", KIND / "create.sh"], check=True)


def test_the_script_names_the_cluster_of_the_configuration() -> None:
    name = yaml.safe_load((KIND / "kind.yaml").read_text())["name"]

    script = (KIND / "create.sh").read_text()
    assert script.count(f"--name {name} ") == 1
    assert f"--line-regexp {name} " in script
