"""Where an installed server keeps its settings and everything else, and what it does where there are none yet."""

import stat
import sys
from pathlib import Path

import pytest
from estimatesync_local import command
from estimatesync_local.adapters.postgres_folder import find_programs
from estimatesync_local.core.places import choose_home, choose_places
from estimatesync_local.main import main
from estimatesync_local.settings import LOCAL_SETTINGS, read_environment

HOME = Path("/home/ana")
OWN = HOME / ".local" / "state" / "estimatesync"


@pytest.fixture
def only_path(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in LOCAL_SETTINGS.values():
        for each in settings:
            monkeypatch.delenv(each.name, raising=False)


@pytest.mark.parametrize(
    ("environment", "is_root", "expected"),
    [
        pytest.param({}, False, OWN, id="nothing said"),
        pytest.param({"XDG_STATE_HOME": "/srv/state"}, False, Path("/srv/state/estimatesync"), id="XDG"),
        pytest.param({"XDG_STATE_HOME": "state"}, False, OWN, id="relative, which the specification ignores"),
        pytest.param({"XDG_STATE_HOME": "/srv/state"}, True, Path("/var/lib/estimatesync"), id="root"),
    ],
)
def test_an_installed_server_has_a_home(environment: dict[str, str], expected: Path, *, is_root: bool) -> None:
    assert choose_home(environment, home=HOME, is_root=is_root) == expected


def test_an_account_without_a_home_is_told_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(command.Path, "home", find_none)
    monkeypatch.setattr(command.os, "geteuid", lambda: 4711)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    with pytest.raises(SystemExit, match=r"^Account 4711 has no home directory .*: set HOME, or XDG_STATE_HOME, to"):
        command.main()
    assert choose_home({"XDG_STATE_HOME": "/srv/state"}, home=None, is_root=False) == Path("/srv/state/estimatesync")


def test_a_server_without_any_postgresql_is_told_to_name_one_and_to_install_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(LookupError, match=r"^set DATABASE_URL to your PostgreSQL\.") as told:
        find_programs()
    assert "pip" not in str(told.value)


@pytest.mark.parametrize(
    ("given", "env_file", "directory"),
    [
        pytest.param({"home": OWN}, OWN / ".env", OWN, id="installed"),
        pytest.param({"home": OWN, "directory": Path("d")}, Path("d/.env"), Path("d"), id="a directory"),
        pytest.param({"home": OWN, "in_environment": "/e"}, Path("/e/.env"), Path("/e"), id="LOCAL_DIRECTORY"),
        pytest.param(
            {"home": OWN, "in_environment": "/e", "directory": Path("d")}, Path("d/.env"), Path("d"), id="both"
        ),
        pytest.param({"home": OWN, "env_file": Path("f")}, Path("f"), OWN, id="a file"),
        pytest.param({"home": None}, Path(".env"), None, id="checkout"),
        pytest.param({"home": None, "in_environment": "/e"}, Path(".env"), Path("/e"), id="checkout, data elsewhere"),
        pytest.param({"home": None, "directory": Path("d")}, Path(".env"), Path("d"), id="checkout, a directory"),
    ],
)
def test_settings_and_data_are_together_but_in_a_checkout(
    given: dict[str, Path | None], env_file: Path, directory: Path | None
) -> None:
    places = choose_places(**{"env_file": None, "directory": None, "in_environment": "", **given})  # type: ignore[arg-type]

    assert (places.env_file, places.directory) == (env_file, directory)


@pytest.mark.usefixtures("only_path")
def test_the_first_start_makes_a_file_to_fill_in(tmp_path: Path) -> None:
    home = tmp_path / "state" / "estimatesync"

    with pytest.raises(SystemExit) as raised:
        main([], home=home)

    said = str(raised.value)
    assert "ATTIC_TECH_EMAIL is not set" in said
    assert f"Set them in {home}/.env, which has just been made for you" in said
    assert stat.S_IMODE((home / ".env").stat().st_mode) == 0o600
    names = [each.name for settings in LOCAL_SETTINGS.values() for each in settings if each.is_required]
    assert {name: read_environment(home / ".env")[name] for name in names} == dict.fromkeys(names, "")
    assert "LOCAL_DIRECTORY=" not in (home / ".env").read_text()


@pytest.mark.usefixtures("only_path")
def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ATTIC_TECH_EMAIL=a@b.example\n")

    with pytest.raises(SystemExit, match=r"ATTIC_TECH_PASSWORD is not set(.|\n)*Set them in .*\.env or in"):
        main([], home=tmp_path)

    assert (tmp_path / ".env").read_text() == "ATTIC_TECH_EMAIL=a@b.example\n"


@pytest.mark.usefixtures("only_path")
def test_where_no_file_can_be_made_that_is_said() -> None:
    with pytest.raises(SystemExit, match=r"Set them in /proc/made-up/\.env, which cannot be made .*--directory"):
        main([], home=Path("/proc/made-up"))


def test_a_missing_extra_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "estimatesync_local.main", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(SystemExit, match=r"psycopg is not installed. .*uv tool install 'estimatesync\[server\]'"):
        command.main()
