"""What another account made in the directory of everything keeps a start out only where the server has to use it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from estimatesync_local.adapters.accounts import find_foreign_path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another account")
OURS = 65534


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All of it is ours, as an earlier start has left it."""
    local = tmp_path / "local"
    for folder in ("", "jobs", "jobs/estimatesync-est-1", "postgres", "postgres/data"):
        (local / folder).mkdir()
    (local / "supervisor.lock").touch()
    for path in (local, *local.rglob("*")):
        os.chown(path, OURS, OURS)
    monkeypatch.setattr(os, "geteuid", lambda: OURS)
    return local


def give_to_root(name: str) -> Callable[[Path], None]:
    return lambda local: os.chown(local / name, 0, 0)


def mount(name: str) -> Callable[[Path], None]:
    return lambda local: (local / name / "lost+found").mkdir()


def link(name: str, *, owner: int) -> Callable[[Path], None]:
    """Let root put a link in the place of a folder, which lies elsewhere."""

    def change(local: Path) -> None:
        (local / name).rename(local.parent / "elsewhere")
        (local / name).symlink_to(local.parent / "elsewhere")
        os.chown(local.parent / "elsewhere", owner, owner)

    return change


def link_to_nothing(local: Path) -> None:
    (local / "jobs" / "estimatesync-est-2").symlink_to(local / "gone")


@pytest.mark.parametrize(
    ("change", "has_postgres", "found"),
    [
        pytest.param(lambda _: None, True, None, id="all ours"),
        pytest.param(give_to_root(""), True, "", id="the directory"),
        pytest.param(give_to_root("jobs/estimatesync-est-1"), True, "jobs/estimatesync-est-1", id="a job"),
        pytest.param(give_to_root("supervisor.lock"), True, "supervisor.lock", id="the lock"),
        pytest.param(give_to_root("postgres/data"), True, "postgres/data", id="the data"),
        pytest.param(give_to_root("postgres/data"), False, None, id="the data, and the database is another"),
        pytest.param(give_to_root("postgres"), False, None, id="PostgreSQL, and the database is another"),
        pytest.param(link("postgres", owner=OURS), True, None, id="a link to a folder of ours"),
        pytest.param(link("jobs", owner=OURS), True, None, id="a link to jobs of ours"),
        pytest.param(link("postgres", owner=0), True, "postgres", id="a link to a folder of root's"),
        pytest.param(mount("postgres"), True, None, id="a mount for PostgreSQL"),
        pytest.param(mount("jobs"), True, None, id="a mount for jobs"),
        pytest.param(mount(""), True, None, id="a mount for everything"),
        pytest.param(link_to_nothing, True, None, id="a job that vanishes"),
    ],
)
def test_a_start_is_kept_out_by_what_it_needs_and_nothing_else(
    local: Path,
    change: Callable[[Path], None],
    has_postgres: bool,  # noqa: FBT001 - a table's column
    found: str | None,
) -> None:
    change(local)

    assert find_foreign_path(local, has_postgres=has_postgres) == (None if found is None else local / found)


def test_a_job_that_a_server_at_work_removes_meanwhile_keeps_no_start_out(
    local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter([folder / pattern.replace("*", "est-2")]))

    assert find_foreign_path(local, has_postgres=True) is None
