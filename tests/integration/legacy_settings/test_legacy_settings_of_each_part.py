"""Every program takes the settings of the first backend under their old names, and reports what contradicts."""

import os
import sys
from pathlib import Path

import pytest
from estimatesync_processes.forked_process import run_program

DATABASE = {"DB_HOST": "127.0.0.1", "DB_PORT": "1", "DB_NAME": "made-up", "DB_USER": "u", "DB_PASSWORD": "hunter2"}
OTHER_DATABASE = {"DATABASE_URL": "postgresql://u:hunter3@127.0.0.1:1/made-up"}
API = ("-c", "import estimatesync_api.main")
OPERATOR = ("-m", "kopf", "run", "--module=estimatesync_operator.main", "--namespace=made-up")
SYNC = ("-m", "estimatesync_job")
IMPORT = ("-m", "estimatesync_import", "inspect")
ONE_MACHINE = ("-m", "estimatesync_local")


def run(directory: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> str:
    """What a program says that ends at once, because settings are missing on purpose."""
    done = run_program(
        [sys.executable, *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "TERMINATION_MESSAGE_PATH": str(directory / "message"), **environment},
        timeout=60,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [pytest.param(API, id="api"), pytest.param(OPERATOR, id="operator"), pytest.param(ONE_MACHINE, id="one")],
)
def test_a_name_that_was_hardly_meant_is_told_with_the_setting(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TIMEZONE=UTC\n")

    output = run(tmp_path, arguments, {"TIMEZONE": "UTC"})

    assert "is not a setting: did you mean TIME_ZONE?" in output


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        pytest.param(API, {"AUTOMATION_API_KEY": "short"}, "API_KEY must not hold keys of less than 16", id="api"),
        pytest.param(OPERATOR, {"NODE_ENV": "x" * 65}, "ENVIRONMENT must be at most 64", id="operator"),
        pytest.param(SYNC, DATABASE, "DB_HOST, DB_NAME, DB_PASSWORD, DB_PORT, DB_USER were read as", id="sync"),
        pytest.param(
            IMPORT, DATABASE, "The database in DATABASE_URL cannot be used: it cannot be reached", id="import"
        ),
        pytest.param(ONE_MACHINE, DATABASE, "were read as DATABASE_URL", id="one-machine-database"),
        pytest.param(ONE_MACHINE, {"PORT": "many"}, "BIND must be an address and a port", id="one-machine-port"),
        pytest.param(
            ONE_MACHINE,
            {"AUTOMATION_API_KEY": "short"},
            "API_KEY must not hold keys of less than 16",
            id="one-machine-key",
        ),
    ],
)
def test_an_old_name_is_as_good_as_the_new_one(
    arguments: tuple[str, ...], environment: dict[str, str], words: str, tmp_path: Path
) -> None:
    output = run(tmp_path, arguments, environment)

    assert words in output
    assert "DATABASE_URL is not set" not in output or "DB_HOST" not in environment
    assert "hunter2" not in output


@pytest.mark.parametrize(
    ("arguments", "environment", "old", "new"),
    [
        pytest.param(
            API, {"AUTOMATION_API_KEY": "k" * 16, "API_KEY": "l" * 16}, "AUTOMATION_API_KEY", "API_KEY", id="api"
        ),
        pytest.param(
            OPERATOR,
            {"ATTIC_TECH_API_URL": "https://a.example", "ATTIC_TECH_URL": "https://b.example"},
            "ATTIC_TECH_API_URL",
            "ATTIC_TECH_URL",
            id="operator",
        ),
        pytest.param(SYNC, DATABASE | OTHER_DATABASE, "DB_PASSWORD", "DATABASE_URL", id="sync"),
        pytest.param(IMPORT, DATABASE | OTHER_DATABASE, "DB_PASSWORD", "DATABASE_URL", id="import"),
        pytest.param(ONE_MACHINE, DATABASE | OTHER_DATABASE, "DB_PASSWORD", "DATABASE_URL", id="one-machine"),
    ],
)
def test_names_that_contradict_end_the_program_together_with_its_other_faults(
    arguments: tuple[str, ...], environment: dict[str, str], old: str, new: str, tmp_path: Path
) -> None:
    output = run(
        tmp_path, arguments, environment | {"TIME_ZONE": "Mars", "SYNC_TIME_ZONE": "Mars", "DATABASE_SCHEMA": "1"}
    )

    (line,) = [line for line in output.splitlines() if f"of {new} and ha" in line]
    assert old in line
    assert "TIME_ZONE must be an IANA time zone" in output or "DATABASE_SCHEMA must be" in output
    assert "hunter" not in output
