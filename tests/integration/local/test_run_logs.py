"""The logs of one machine's runs, read in parts while they are written."""

from pathlib import Path

import pytest
from estimatesync_api.ports import LogMark
from estimatesync_local.adapters.job_files import read_run_part, read_run_tails


def write_run(job: Path, number: int, log: str, *, is_ended: bool = False) -> Path:
    run = job / "runs" / str(number)
    run.mkdir(parents=True, exist_ok=True)
    (run / "log").write_text(log)
    if is_ended:
        (run / "exit").write_text("0")
    return run


def read_all(job: Path, mark: LogMark | None = None) -> tuple[list[str], LogMark | None]:
    lines: list[str] = []
    while (part := read_run_part(job, mark)).lines:
        lines += part.lines
        mark = part.mark
    return lines, mark


def test_a_job_that_is_not_there_has_printed_nothing(tmp_path: Path) -> None:
    assert read_all(tmp_path / "job") == ([], None)
    assert read_run_tails(tmp_path / "job") == ()


def test_a_log_is_read_on_from_run_to_run(tmp_path: Path) -> None:
    write_run(tmp_path, 1, "✅ one\nhalf a li")
    first, mark = read_all(tmp_path)
    write_run(tmp_path, 1, "✅ one\nhalf a line\rthree\n", is_ended=True)
    second, mark = read_all(tmp_path, mark)
    write_run(tmp_path, 2, "")
    none, mark = read_all(tmp_path, mark)
    write_run(tmp_path, 2, "four\n")
    write_run(tmp_path, 10, "cut short", is_ended=True)
    last, mark = read_all(tmp_path, mark)

    assert (first, second, none, last) == (["✅ one"], ["half a line\rthree"], [], ["four", "cut short"])
    assert read_all(tmp_path, mark) == ([], mark)
    assert read_run_tails(tmp_path) == ("✅ one", "half a line\rthree", "four", "cut short")


@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_log_of_any_length_is_read_in_parts_that_fit_into_memory(tmp_path: Path, ending: str) -> None:
    lines = ["x" * 100] * 30_000 + ["y" * 3_000_000]
    write_run(tmp_path, 1, "\n".join(lines) + ending, is_ended=True)

    parts: list[tuple[str, ...]] = []
    mark = None
    while (part := read_run_part(tmp_path, mark)).lines:
        parts.append(part.lines)
        mark = part.mark

    assert max(sum(map(len, part)) for part in parts) <= 1024 * 1024
    assert sum(parts, ())[: len(lines) - 1] == tuple(lines[:-1])
    assert "".join("".join(part) for part in parts) == "".join(lines)
    assert len(read_run_tails(tmp_path)) == 1000
