"""An upgrade of PostgreSQL that was killed between two renames: the next start goes on from there."""

from pathlib import Path

import pytest
from estimatesync_local.adapters.postgres_upgrade import finish_upgrade


def make_data(place: Path, major: str) -> None:
    (place / "data").mkdir(parents=True)
    (place / "data" / "PG_VERSION").write_text(f"{major}\n")


def read_all(directory: Path) -> dict[str, str]:
    return {
        each.name: (each / "data" / "PG_VERSION").read_text().strip() for each in directory.iterdir() if each.is_dir()
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"postgres": "17"}, {"postgres": "17"}, id="none"),
        pytest.param(
            {"postgres": "17", "postgres.new": "18"}, {"postgres": "17", "postgres.new": "18"}, id="unfinished"
        ),
        pytest.param(
            {"postgres": "17", "postgres.upgraded": "18"}, {"postgres": "18", "postgres-17": "17"}, id="copied"
        ),
        pytest.param(
            {"postgres-17": "17", "postgres.upgraded": "18"}, {"postgres": "18", "postgres-17": "17"}, id="moved"
        ),
        pytest.param(
            {"postgres-17": "17", "postgres": "17", "postgres.upgraded": "18"},
            {"postgres": "18", "postgres-17": "17", "postgres-17-2": "17"},
            id="a second time",
        ),
        pytest.param({}, {}, id="nothing"),
    ],
)
def test_it_goes_on_wherever_it_ended(tmp_path: Path, before: dict[str, str], after: dict[str, str]) -> None:
    for name, major in before.items():
        make_data(tmp_path / name, major)

    finish_upgrade(tmp_path / "postgres")
    finish_upgrade(tmp_path / "postgres")

    assert read_all(tmp_path) == after


def test_a_link_to_another_disk_stays(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    make_data(disk / "data of postgres", "17")
    make_data(disk / "data of postgres.upgraded", "18")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "postgres").symlink_to(disk / "data of postgres")

    kept = finish_upgrade(tmp_path / "local" / "postgres")

    assert kept == disk / "data of postgres-17"
    assert (tmp_path / "local" / "postgres").is_symlink()
    assert read_all(tmp_path / "local") == {"postgres": "18"}
