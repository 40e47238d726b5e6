"""The runner notices what a page gets wrong; without that, running a page would prove nothing."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from estimatesync_docs.console_blocks import Block, parse_blocks
from estimatesync_docs.page_runner import PageError, PageRunner, TerminalError

ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[PageRunner]:
    with PageRunner(tmp_path, ENVIRONMENT, {"127.0.0.1:8080": "127.0.0.1:50001"}) as running:
        yield running


def build_block(text: str, *, until: str = "") -> Block:
    marker = f"<!-- run: checkout{f', until: {until}' if until else ''} -->"
    (block,) = parse_blocks(f"{marker}\n```console\n{text}\n```\n")
    return block


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("$ export WORD=kept\n$ cd /\n$ echo $WORD $PWD\nkept /", id="a shell that goes on"),
        pytest.param("$ cat <<'EOF'\none $two\nEOF\none $two", id="here-document"),
        pytest.param("$ (exit 7)\n$ echo $?\n7", id="exit code that is asked for"),
        pytest.param("$ echo http://127.0.0.1:8080/\nhttp://127.0.0.1:8080/", id="address of the page"),
        pytest.param("$ echo est-1111 is started\nest-2222 is started\n$ echo again est-2222\n…", id="id of this run"),
        pytest.param("$ echo took 2s\ntook 8m7s", id="a duration of this run"),
        pytest.param("$ cat", id="no input"),
    ],
)
def test_a_page_that_is_right_is_followed_to_its_end(runner: PageRunner, text: str) -> None:
    runner.run(build_block(text))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("$ ls /nowhere-at-all", r"ls /nowhere-at-all\nended with 2", id="command that fails"),
        pytest.param("$ no-such-program", "ended with 127", id="program that is not there"),
        pytest.param("$ echo yes\nno", "nowhere the line: no", id="output that is not shown"),
        pytest.param("$ (exit 7)\n$ echo $?\n8", "instead of", id="other exit code"),
        pytest.param("$ if", "syntax error", id="what the shell cannot read"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(runner: PageRunner, text: str, complaint: str) -> None:
    with pytest.raises(PageError, match=complaint):
        runner.run(build_block(text))


def test_a_command_that_ends_the_shell_is_noticed(runner: PageRunner) -> None:
    with pytest.raises(TerminalError, match="ended the shell"):
        runner.run(build_block("$ exit 3"))


def test_a_command_that_stays_is_left_standing_until_the_end_of_the_page(tmp_path: Path) -> None:
    stay = (
        "$ trap 'touch stopped; exit' INT; echo is ready at 127.0.0.1:8080; while :; do sleep 0.1; done\nis ready at …"
    )

    with PageRunner(tmp_path, ENVIRONMENT, {}) as runner:
        runner.run(build_block(stay, until="is ready"))
        runner.run(build_block("$ ls .terminal-0\n.terminal-0"))
        assert not (tmp_path / "stopped").exists()

    assert (tmp_path / "stopped").exists()


def test_a_command_that_should_stay_and_does_not_is_noticed(runner: PageRunner) -> None:
    with pytest.raises(TerminalError, match=r"never printed 'is ready'"):
        runner.run(build_block("$ echo cannot start", until="is ready"))
