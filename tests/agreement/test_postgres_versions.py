"""Which versions of PostgreSQL are supported is said alike by the page, the tests and the tasks."""

import re
from pathlib import Path

from estimatesync_local.adapters.postgres import read_major
from estimatesync_local.adapters.postgres_folder import find_programs
from estimatesync_postgres_server import NEWEST, OLDEST, OLDEST_PROGRAMS

ROOT = Path(__file__).parents[2]


def test_the_page_names_the_versions_that_are_tested() -> None:
    page = (ROOT / "docs" / "install.md").read_text()

    assert re.search(rf"PostgreSQL {OLDEST}\s+or newer", page)
    assert f"PostgreSQL {OLDEST} to {NEWEST} are supported" in page


def test_the_usual_server_of_the_tests_is_the_newest() -> None:
    assert read_major(find_programs()) == NEWEST


def test_the_task_installs_the_oldest() -> None:
    task = (ROOT / "Makefile").read_text()

    assert f"postgresql-{OLDEST}" in task
    assert str(OLDEST_PROGRAMS / "postgres") in task
