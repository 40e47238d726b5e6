"""What is forked from a warm process behaves as what is started afresh."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from estimatesync_contract.names import START_PATH
from estimatesync_demo.server_process import build_sample_settings, running_server
from estimatesync_processes.forked_process import ForkedProcess, start_program
from estimatesync_processes.programs import PROGRAMS, find_modules

SCRIPTS = Path(sys.executable).parent
PATH = {"PATH": os.environ["PATH"]}
WAIT_SECONDS = 90.0
CLIENT = {"ESTIMATESYNC_URL": "http://127.0.0.1:9", "ESTIMATESYNC_API_KEY": "made-up-key", "LANG": "C.UTF-8"}
# Python's own, and what only says where the person is at home or which language is spoken.
HARMLESS = re.compile(r"_?PYTHON.*|HOME|PATH|LANG|LANGUAGE|LC_[A-Z]+|KUBECONFIG|PWD")
# Looking at all of them, as a library does that keeps a copy, is not reading one.
RECORD_NAMES = """
import importlib, os, sys, threading
read, looks_at_all = set(), False
class Recorder(type(os.environ)):
    def __getitem__(self, name):
        if not looks_at_all: read.add(name)
        return super().__getitem__(name)
    def __iter__(self):
        global looks_at_all
        looks_at_all = True
        yield from super().__iter__()
        looks_at_all = False
os.environ.__class__ = Recorder
for module in sys.argv[1:]: importlib.import_module(module)
print(*read)
print(threading.active_count())
"""
# The sync program at work: its source never answers.
AT_WORK = PATH | {
    "SYNC_ID": "est-1",
    "SYNC_UID": "uid-1",
    "SYNC_START_DATE": "2025-09-01",
    "SYNC_END_DATE": "2025-10-16",
    "ATTIC_TECH_URL": "http://127.0.0.1:9",
    "ATTIC_TECH_EMAIL": "sync@attic-tech.example",
    "ATTIC_TECH_PASSWORD": "made-up-password",
    "DATABASE_URL": "postgresql://127.0.0.1:9/any",
}
SYNC = [sys.executable, "-m", "estimatesync_job"]


def start(command: list[str], environment: Mapping[str, str]) -> ForkedProcess:
    process = start_program(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    )
    assert isinstance(process, ForkedProcess)
    return process


def hide_numbers(text: str) -> str:
    return re.sub(r"\d+", "0", text)


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        pytest.param(SYNC, {}, id="sync without settings"),
        pytest.param(SYNC, AT_WORK | {"DATABASE_URL": "mysql://any"}, id="sync with a wrong URL"),
        pytest.param([sys.executable, "-m", "estimatesync_local"], {"BIND": "nowhere"}, id="one machine"),
        pytest.param(
            [sys.executable, "-m", "gunicorn", "-c", "python:estimatesync_api.gunicorn_conf"],
            {"BIND": "nowhere"},
            id="API",
        ),
        pytest.param(
            [f"{SCRIPTS}/kopf", "run", "--module=estimatesync_operator.main", "--namespace=made-up"],
            {"MAX_ACTIVE_SYNCS": "many"},
            id="operator",
        ),
        pytest.param(
            [sys.executable, "-m", "kopf", "run", "--module=estimatesync_operator.main", "--namespace=made-up"],
            {"MAX_ACTIVE_SYNCS": "many"},
            id="operator as a module",
        ),
        pytest.param([f"{SCRIPTS}/estimatesync", "--help"], CLIENT, id="help of the client"),
        pytest.param([f"{SCRIPTS}/estimatesync", "status", "--patience", "0"], CLIENT, id="client without a server"),
        pytest.param([sys.executable, "-m", "estimatesync_client", "nonsense"], CLIENT, id="client as a module"),
    ],
)
def test_a_forked_program_says_and_returns_what_a_fresh_one_does(
    command: list[str], environment: dict[str, str]
) -> None:
    fresh = subprocess.run(
        command, env=PATH | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )

    with start(command, PATH | environment) as forked:
        said, _ = forked.communicate(timeout=WAIT_SECONDS)

    assert hide_numbers(said) == hide_numbers(fresh.stdout)
    assert (forked.returncode, "Traceback" in said) == (fresh.returncode, False)


def test_a_forked_api_is_configured_as_a_fresh_one_wherever_it_starts(tmp_path: Path) -> None:
    command = [f"{SCRIPTS}/gunicorn", "--print-config", "--config=python:estimatesync_api.gunicorn_conf", "json:loads"]
    environment = PATH | {"WEB_CONCURRENCY": "1"}
    fresh = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)

    forked = start_program(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    assert isinstance(forked, ForkedProcess)
    with forked:
        assert forked.communicate(timeout=WAIT_SECONDS)[0] == fresh.stdout
    assert str(tmp_path) in fresh.stdout


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGTERM, 10, id="asked"), pytest.param(signal.SIGKILL, -9, id="killed")]
)
def test_a_signal_reaches_it_and_its_end_is_noticed(number: signal.Signals, code: int) -> None:
    with start(SYNC, AT_WORK) as process:
        assert process.stdout is not None
        assert "Starting" in process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=0)

        process.send_signal(number)
        said, _ = process.communicate(timeout=WAIT_SECONDS)

        assert process.wait(WAIT_SECONDS) == process.poll() == code
        assert ("told to stop" in said) == (number == signal.SIGTERM)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows another process's environment")
def test_the_system_shows_its_own_command_line_and_environment() -> None:
    with start(SYNC, AT_WORK) as process:
        assert process.stdout is not None
        process.stdout.readline()

        command = Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")

        process.kill()
    assert command == [word.encode() for word in SYNC]
    assert environment == [f"{name}={value}".encode() for name, value in AT_WORK.items()]


def test_under_guard_it_ends_with_its_holder() -> None:
    with start_program(
        SYNC, env=AT_WORK, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, is_guarded=True
    ) as guard:
        assert guard.stdout is not None
        assert guard.stdin is not None
        assert guard.stdout.read(1)

        guard.stdin.close()

        assert guard.wait(WAIT_SECONDS) == 128 + signal.SIGKILL
        # Ends only when nobody is left who could write.
        guard.stdout.read()


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        pytest.param(SYNC, {"PYTHONUTF8": "0"}, id="the interpreter's"),
        pytest.param(SYNC, {"LC_ALL": "es_MX.UTF-8"}, id="the C library's"),
        pytest.param(SYNC, {"PSYCOPG_IMPL": "c"}, id="a library's"),
        pytest.param([f"{SCRIPTS}/gunicorn", "--version"], {"WEB_CONCURRENCY": "2"}, id="not what it has by itself"),
    ],
)
def test_what_is_read_before_the_fork_is_not_asked_of_a_forked_process(
    command: list[str], environment: dict[str, str]
) -> None:
    process = start_program(command, env=PATH | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert isinstance(process, subprocess.Popen)
    process.wait(WAIT_SECONDS)


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_a_program_that_is_imported_has_read_nothing_but_what_is_named(name: str) -> None:
    programs = [PROGRAMS[each] for each in (name, *PROGRAMS[name].starts)]

    printed = subprocess.run(
        [sys.executable, "-c", RECORD_NAMES, *find_modules(name)], env=PATH, capture_output=True, text=True, check=True
    ).stdout

    names, threads = printed.splitlines()
    assert {each for each in names.split() if not HARMLESS.fullmatch(each)} <= set().union(
        *(each.cold for each in programs)
    )
    assert "KUBECONFIG" not in names or any("kubernetes.aio.config.kube_config" in each.read_again for each in programs)
    assert "PWD" not in names or any(each.settle for each in programs)
    assert threads == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_ends_with_what_has_started_it() -> None:
    holder = f"""
import os, signal, subprocess, sys
from pathlib import Path
from estimatesync_processes.forked_process import start_program
process = start_program({SYNC!r}, env={AT_WORK!r}, stdout=subprocess.DEVNULL)
print(Path(f"/proc/{{process.pid}}/stat").read_text().rpartition(")")[2].split()[1], flush=True)
process.kill()
process.wait()
os.kill(os.getpid(), signal.SIGKILL)
"""
    server = int(subprocess.run([sys.executable, "-c", holder], capture_output=True, text=True, check=False).stdout)

    deadline = time.monotonic() + WAIT_SECONDS
    while Path(f"/proc/{server}/cmdline").exists() and Path(f"/proc/{server}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the server lives on"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_has_no_descriptor_but_its_own() -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(start(SYNC, AT_WORK)) for _ in range(12)]
        # Their descriptors in the server are free again: those of the next process lie below those of the lasting ones.
        for process in processes[:6]:
            process.kill()
            process.wait(WAIT_SECONDS)

        last = stack.enter_context(start(SYNC, AT_WORK))
        assert last.stdout is not None
        last.stdout.readline()
        kinds = [entry.readlink().name.partition(":")[0] for entry in Path(f"/proc/{last.pid}/fd").iterdir()]
        for process in (*processes, last):
            process.kill()

    # An event loop has a pair of its own, and a try to connect one more at the most.
    assert kinds.count("socket") <= 3


def describe(pid: int, *own: str) -> list[str]:
    """Tell what the system knows of a process, without what is its own: these words, and numbers."""
    process = Path(f"/proc/{pid}")
    known = "\n".join(
        [
            (process / "cmdline").read_text().rstrip("\0"),
            *sorted((process / "environ").read_text().rstrip("\0").split("\0")),
            *sorted(
                {hide_numbers(each.readlink().name).partition("gunicorn-")[0] for each in (process / "fd").iterdir()}
            ),
            str((process / "cwd").readlink()),
        ]
    )
    for word in own:
        known = known.replace(word, "")
    signals = re.findall("Sig(?:Blk|Ign|Cgt):.*", (process / "status").read_text())
    return [*re.sub(r"[0-9a-f-]*[0-9][0-9a-f-]*", "0", known).splitlines(), *signals]


def is_forked(pid: int) -> bool:
    # Where a forked process shows its environment there is room for a longer one.
    return Path(f"/proc/{pid}/environ").read_text().endswith("\0\0")


def read_leaders(pid: int) -> tuple[int, ...]:
    """Read its parent, and the leaders of its group and of its session."""
    return tuple(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1:4]))


def find_sync(group: int) -> int:
    for process in Path("/proc").glob("[0-9]*"):
        # Others end meanwhile.
        with suppress(OSError):
            pid = int(process.name)
            if read_leaders(pid)[1] == group and (process / "cmdline").read_text().rstrip("\0").split("\0") == SYNC:
                return pid
    raise LookupError(group)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_forked_server_starts_is_what_a_fresh_one_starts(tmp_path: Path, database_url: str) -> None:
    settings = build_sample_settings(source_url="http://127.0.0.1:9", callback_url="http://127.0.0.1:9/hook") | {
        "DATABASE_URL": database_url,
        "API_KEYS": "test:made-up-key-of-this-test",
    }

    def describe_started(directory: Path, *, are_forked: bool, **more: str) -> list[list[str]]:
        directory.mkdir()
        with running_server(directory, settings | more) as server:
            api = int(server.until(lambda: re.findall(r"the API runs as process (\d+)", server.log))[0])
            headers = {"X-API-KEY": "made-up-key-of-this-test"}
            answer = httpx.post(f"{server.url}{START_PATH}", headers=headers, json={}, trust_env=False)
            server.until(lambda: "Starting" in server.read_run_logs())
            (started,) = directory.glob(".local/jobs/*/runs/*/started")
            group = int(started.read_text())
            run = find_sync(group)
            own = (str(directory), answer.json()["sync_id"])
            described = [describe(api, *own), describe(run, *own)]
            assert [is_forked(api), is_forked(run)] == [are_forked, are_forked]
            assert "estimatesync_local" in Path(f"/proc/{read_leaders(api)[0]}/cmdline").read_text()
            assert (read_leaders(api)[1:], read_leaders(run)[1:]) == ((api, api), (group, group))

            os.kill(run, signal.SIGKILL)

            exit_file = started.with_name("exit")
            server.until(exit_file.exists)
            assert int(exit_file.read_text()) == 128 + signal.SIGKILL
        return described

    forked = describe_started(tmp_path / "forked", are_forked=True)
    fresh = describe_started(tmp_path / "fresh", are_forked=False, PYTHONUTF8="0")

    assert forked == fresh
