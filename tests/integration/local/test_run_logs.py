"""The logs of one machine's runs, read in parts while they are written."""

from pathlib import Path

import pytest
from estimatesync_api.core.ports import LogCursor
from estimatesync_local.adapters.job_files import read_run_part, read_run_tails


def write_run(job: Path, number: int, log: str, *, is_ended: bool = False) -> Path:
    run = job / "runs" / str(number)
    run.mkdir(parents=True, exist_ok=True)
    (run / "log").write_text(log)
    if is_ended:
        (run / "exit").write_text("0")
    return run


def read_all(job: Path, cursor: LogCursor | None = None) -> tuple[list[str], LogCursor | None]:
    lines: list[str] = []
    while (part := read_run_part(job, cursor)).lines:
        lines += part.lines
        cursor = part.cursor
    return lines, cursor


def test_a_job_that_is_not_there_has_printed_nothing(tmp_path: Path) -> None:
    assert read_all(tmp_path / "job") == ([], None)
    assert read_run_tails(tmp_path / "job") == ()


def test_a_log_is_read_on_from_run_to_run(tmp_path: Path) -> None:
    write_run(tmp_path, 1, "✅ one\nhalf a li")
    first, cursor = read_all(tmp_path)
    write_run(tmp_path, 1, "✅ one\nhalf a line\rthree\n", is_ended=True)
    second, cursor = read_all(tmp_path, cursor)
    write_run(tmp_path, 2, "")
    none, cursor = read_all(tmp_path, cursor)
    write_run(tmp_path, 2, "four\n")
    write_run(tmp_path, 10, "cut short", is_ended=True)
    last, cursor = read_all(tmp_path, cursor)

    assert (first, second, none, last) == (["✅ one"], ["half a line\rthree"], [], ["four", "cut short"])
    assert read_all(tmp_path, cursor) == ([], cursor)
    assert read_run_tails(tmp_path) == ("✅ one", "half a line\rthree", "four", "cut short")


@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_log_of_any_length_is_read_in_parts_that_fit_into_memory(tmp_path: Path, ending: str) -> None:
    lines = ["x" * 100] * 30_000 + ["y" * 3_000_000]
    write_run(tmp_path, 1, "\n".join(lines) + ending, is_ended=True)

    parts: list[tuple[str, ...]] = []
    cursor = None
    while (part := read_run_part(tmp_path, cursor)).lines:
        parts.append(part.lines)
        cursor = part.cursor

    assert max(sum(map(len, part)) for part in parts) <= 1024 * 1024
    assert sum(parts, ())[: len(lines) - 1] == tuple(lines[:-1])
    assert "".join("".join(part) for part in parts) == "".join(lines)
    assert len(read_run_tails(tmp_path)) == 1000
