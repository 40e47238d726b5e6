"""Both programs as somebody gets them who has nothing but the wheel: no checkout, no make, no settings yet."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from estimatesync_contract.names import START_PATH
from estimatesync_demo.server_process import ServerProcess, build_sample_settings
from estimatesync_docs.console_blocks import parse_blocks
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver

ROOT = Path(__file__).parents[2]
RECORDS = 130
WAIT_SECONDS = 60.0
# Without the system's own time zones: a slim machine has none.
ENVIRONMENT = {"PATH": os.defpath, "PYTHONTZPATH": "", "LANG": "C.UTF-8"}
SUPPORTED = re.findall(
    r"^\| Python, .+? \| ([\d.]+) \| ([\d.]+) \|", (ROOT / "docs" / "stability.md").read_text(), re.MULTILINE
)
"""The oldest and the newest Python, as the table says."""
INSTALL_SECONDS = 600


def find_python(version: str) -> Path | None:
    """Find an interpreter: on the path, or where pyenv keeps its own."""
    name = f"python{version}"
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))
    found = shutil.which(name)
    candidates = [*kept, *([Path(found)] if found else [])]
    probe = f"import sys; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})"
    return next((each for each in candidates if not subprocess.run([each, "-c", probe], check=False).returncode), None)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a release builds it, by the backend of this environment."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target=wheel", f"--directory={directory}"]
    subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS, cwd=ROOT)
    (built,) = directory.glob("*.whl")
    return built


class Environment:
    """A virtual environment and the programs in it."""

    def __init__(self, directory: Path, python: Path) -> None:
        self.directory = directory
        self.programs = directory / "bin"
        self._uv("venv", f"--python={python}", str(directory))

    def install(self, wheel: Path, extra: str) -> None:
        """Install what the wheel itself asks for, in the versions that all tests run with."""
        constraint = f"--constraint={ROOT}/requirements/dev.txt"
        self._uv(
            "pip",
            "install",
            f"--python={self.programs}/python",
            constraint,
            f"estimatesync[{extra}] @ {wheel.as_uri()}",
        )

    def list_packages(self) -> set[str]:
        """The names of all that is installed."""
        listed = self._uv("pip", "freeze", f"--python={self.programs}/python")
        return {line.partition("==")[0].partition(" @ ")[0] for line in listed.splitlines()}

    @staticmethod
    def _uv(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("uv")), *arguments, "--no-progress"]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture(params=SUPPORTED[0])
def environment(request: pytest.FixtureRequest) -> Iterator[Environment]:
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"NOT TRIED: there is no Python {request.param} on this machine")
    # Not pytest's own directory: PostgreSQL's account has to pass through it, and its socket needs a short path.
    directory = Path(tempfile.mkdtemp(prefix="estimatesync-wheel-"))
    directory.chmod(0o711)
    yield Environment(directory / "venv", python)
    shutil.rmtree(directory)


@pytest.fixture
def sample() -> Iterator[RunningSample]:
    with running_sample(SampleConfig(records=build_records(RECORDS, 7, datetime.now(UTC)))) as running:
        yield running


def run(program: Path, *arguments: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        cwd=cwd or program.parents[2],
        env=ENVIRONMENT | more,
    )


def fill_in(env_file: Path, settings: Mapping[str, str]) -> None:
    """Fill in the file as a person does: a value in each line that is there for it."""
    text = env_file.read_text()
    for name, value in settings.items():
        text, count = re.subn(rf"^#?{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        assert count == 1, name
    env_file.write_text(text)


def run_back_up_of_the_page(environment: Environment) -> Path:
    """Back up and restore as docs/one-server.md says, where this server is; returns the dump."""
    page = (ROOT / "docs" / "one-server.md").read_text()
    (block,) = (each for each in parse_blocks(page) if "pg_dump" in "".join(command.text for command in each.commands))
    script = "\n".join(command.text for command in block.commands)
    directory = environment.directory.parent
    for written, here in {
        "sudo ": "",
        "/opt/estimatesync": str(environment.directory),
        "/var/lib/estimatesync": f"{directory}/.local",
    }.items():
        script = script.replace(written, here)
    ended = run(Path("/bin/bash"), "-ec", script, cwd=directory)
    assert ended.returncode == 0, ended.stderr
    return directory / "estimatesync.dump"


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    folders = [ROOT / package for package in settings["packages"]]
    expected = {
        str(path.relative_to(folder.parent))
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert packed == expected
    assert {Path(name).suffix for name in packed} >= {".sql", ".html", ".toml", ".css", ".js", ".svg", ".json"}


def test_the_wheel_alone_gives_both_programs(
    environment: Environment, wheel: Path, sample: RunningSample, receiver: Receiver
) -> None:
    client, program = environment.programs / "estimatesync", environment.programs / "estimatesync-server"
    directory = environment.directory.parent

    environment.install(wheel, "client")
    helped, without = run(client, "--help"), run(program)
    assert helped.returncode == 0, helped.stderr
    assert without.returncode == 1
    assert "Install the server: uv tool install 'estimatesync[server]'" in without.stderr

    environment.install(wheel, "server")
    assert not environment.list_packages() & {"kubernetes", "kopf", "aiohttp"}
    first = run(program, "--directory=.local")
    assert first.returncode == 1
    assert "Set them in .local/.env, which has just been made for you" in first.stderr

    settings = build_sample_settings(source_url=sample.url, callback_url=f"{receiver.url}/hook")
    fill_in(directory / ".local" / ".env", {**settings, "TIME_ZONE": "America/New_York"})
    server = ServerProcess(directory, ENVIRONMENT, command=[str(program), "--directory=.local"])
    try:
        server.start()
        key = (directory / ".local" / "api-key").read_text().strip()
        accepted = httpx.post(f"{server.url}{START_PATH}", headers={"X-API-KEY": key}, trust_env=False)
        (delivery,) = receiver.wait_for(1, WAIT_SECONDS)
        own = {"ESTIMATESYNC_URL": server.url, "ESTIMATESYNC_API_KEY": key}
        dump = run_back_up_of_the_page(environment)
        status = run(client, "status", "latest", "--wait", "--output=json", **own)
        page = httpx.get(f"{server.url}/", headers={"Accept-Language": "es"}, trust_env=False, follow_redirects=True)
        described = httpx.get(f"{server.url}/openapi.json", headers={"X-API-KEY": key}, trust_env=False)
    finally:
        code = server.stop()
        server.end()

    assert accepted.status_code == 202
    assert dump.stat().st_size > RECORDS
    callback = json.loads(delivery.body)
    assert (callback["status"], callback["results"]["new_estimates"]) == ("success", RECORDS)
    assert json.loads(status.stdout)["sync_id"] == callback["sync_id"]
    assert (page.status_code, '<html lang="es"' in page.text) == (200, True)
    assert described.json()["openapi"]
    assert f"Settings   in {directory}/.local/.env" in server.log
    assert code == 0
