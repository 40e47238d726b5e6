"""Only what this account made is opened, never through a link, and only what is made here is given away."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from estimatesync_local.adapters.file_lock import is_held, locked
from estimatesync_local.adapters.own_files import (
    give_directory,
    make_directory,
    open_own_file,
    remove_foreign_file,
    write_own_file,
)

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another account")


def read_mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def plant_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def plant_second_name(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def plant_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def plant_directory(path: Path, _: Path) -> None:
    path.mkdir()


def plant_foreign_file(path: Path, _: Path) -> None:
    path.touch()
    os.chown(path, NOBODY, NOBODY)


PLANTED = [
    pytest.param(plant_link, id="link"),
    pytest.param(plant_second_name, id="second name"),
    pytest.param(plant_pipe, id="pipe"),
    pytest.param(plant_directory, id="directory"),
    pytest.param(plant_foreign_file, id="another account's", marks=needs_root),
]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that everybody may read, and that must stay as it is."""
    file = tmp_path / "victim"
    file.write_text("unchanged")
    file.chmod(0o644)
    return file


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_APPEND | os.O_CREAT, os.O_RDWR | os.O_CREAT])
def test_what_we_did_not_make_is_not_opened(
    tmp_path: Path, victim: Path, plant: Callable[[Path, Path], None], flags: int
) -> None:
    planted = tmp_path / "planted"
    plant(planted, victim)

    with pytest.raises(OSError, match="planted"):
        open_own_file(planted, flags)

    assert (victim.read_text(), read_mode(victim)) == ("unchanged", 0o644)


@pytest.mark.parametrize("plant", PLANTED)
def test_a_lock_that_we_did_not_make_is_not_held(
    tmp_path: Path, victim: Path, plant: Callable[[Path, Path], None]
) -> None:
    planted = tmp_path / "planted"
    plant(planted, victim)

    with pytest.raises(OSError, match="planted"), locked(planted):
        pass

    assert read_mode(victim) == 0o644


@pytest.mark.parametrize("before", [None, 0o644, 0o666, 0o600])
def test_nobody_else_can_hold_a_lock(tmp_path: Path, before: int | None) -> None:
    lock = tmp_path / "lock"
    if before is not None:
        lock.touch()
        lock.chmod(before)

    with locked(lock):
        assert is_held(lock)
        assert read_mode(lock) == 0o600

    assert not is_held(lock)


@pytest.mark.parametrize("plant", [plant_link, plant_second_name, plant_pipe])
def test_a_file_of_ours_takes_the_place_of_what_was_planted(
    tmp_path: Path, victim: Path, plant: Callable[[Path, Path], None]
) -> None:
    planted = tmp_path / "planted"
    plant(planted, victim)
    plant(tmp_path / "planted.new", victim)

    remove_foreign_file(planted)
    assert not planted.exists()
    write_own_file(planted, "ours", mode=0o640)

    assert (planted.read_text(), read_mode(planted)) == ("ours", 0o640)
    assert (victim.read_text(), read_mode(victim)) == ("unchanged", 0o644)


def test_a_file_of_ours_stays(tmp_path: Path) -> None:
    file = tmp_path / "ours"
    file.write_text("kept")

    remove_foreign_file(file)

    assert file.read_text() == "kept"


def test_a_link_in_the_place_of_a_directory_is_not_given_away(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o750)
    link = tmp_path / "link"
    link.symlink_to(victim)

    with pytest.raises(OSError, match="link"):
        give_directory(link, user=os.geteuid(), group=os.getegid(), mode=0o777)

    assert read_mode(victim) == 0o750


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755])
def test_a_directory_that_exists_keeps_its_mode_and_so_do_its_parents(tmp_path: Path, mode: int) -> None:
    parent = tmp_path / "parent"
    parent.mkdir(mode=mode)
    there = parent / "there"
    there.mkdir(mode=mode)

    make_directory(there)
    make_directory(there / "new" / "newer")

    assert {read_mode(parent), read_mode(there)} == {mode}
    assert read_mode(there / "new" / "newer") == (0o711 if os.geteuid() == 0 else 0o700)
