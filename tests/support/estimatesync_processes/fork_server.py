"""The process that has imported a program, and forks: `python -m estimatesync_processes.fork_server PROGRAM FD ROOM`.

Started by `forked_process.py`. FD is a Unix socket that brings, for every start, another one and the descriptors that
the new process is to have. On that other socket the request follows as a line of JSON; the server answers with the
process id, and at the end with the exit code and the seconds of the processor. When FD is closed the server ends; what
it has forked lives on, as children of a process do that ends.

A forked process differs from a fresh one in this: its parent is this server; `sys.flags`, the umask and the limits of
resources are those that this server has had since its start; it ends without taking apart what it has in memory, which
would copy most of it first. What the system shows of it, command line and environment, is its own on Linux: the server
has room for both, which the process fills. Nothing is forked from a server that has threads. What it starts itself may
be forked as well (`spares.py`).
"""

import atexit
import ctypes
import gc
import importlib
import io
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from estimatesync_processes.process_guard import enter_guard
from estimatesync_processes.programs import PROGRAMS, Program, find_modules, find_program
from estimatesync_processes.shell_run import enter_shell
from estimatesync_processes.spares import Spares, start_from_spares
from estimatesync_processes.starts import LINE_BYTES, MAX_DESCRIPTORS, Start, leave_parent, read_start, take_descriptors

SPARES: Final = 4
"""A server of one machine starts one API, and in few tests more than three runs."""


def main() -> None:
    """Serve until the other end is closed, and in each forked process run the program."""
    name, descriptor, _room = sys.argv[1:]
    program = PROGRAMS[name]
    for module in find_modules(name):
        importlib.import_module(module)
    if threading.active_count() > 1:
        raise SystemExit(f"the modules of {name} start threads, which a fork would leave behind")
    # A collection in a forked process would copy every page that it looks at.
    gc.collect()
    gc.freeze()
    start = _serve(socket.socket(fileno=int(descriptor)))
    if start is not None:
        _run_to_end(start, program)


def _serve(control: socket.socket) -> Start | None:
    """Fork for every request; return in each forked process, and None at the end of the stream."""
    wakeups = _catch_signals()
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control.fileno(), wakeups], [], [])
        if wakeups in ready:
            os.read(wakeups, LINE_BYTES)
            _report_ended(running)
        if control.fileno() in ready:
            _, descriptors, _, _ = socket.recv_fds(control, 1, MAX_DESCRIPTORS)
            if not descriptors:
                return None
            answers = socket.socket(fileno=descriptors[0])
            start = read_start(answers)
            pid = os.fork()
            if pid == 0:
                for connection in (control, answers, *running.values()):
                    connection.close()
                leave_parent(start)
                take_descriptors(start, descriptors[1:])
                return start
            for each in descriptors[1:]:
                os.close(each)
            running[pid] = answers
            _answer(answers, str(pid))


def _catch_signals() -> int:
    """Make what ends a child readable; Ctrl-C is for the processes that were forked."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return read_end


def _report_ended(running: dict[int, socket.socket]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            with running.pop(pid) as answers:
                _answer(answers, f"{os.waitstatus_to_exitcode(status)} {usage.ru_utime + usage.ru_stime:.3f}")


def _answer(answers: socket.socket, line: str) -> None:
    # Nobody may be waiting any more.
    with suppress(OSError):
        answers.sendall(f"{line}\n".encode())


def _run_to_end(start: Start, program: Program) -> None:
    """Run the program, then end as the interpreter does up to the point where it takes its modules apart.

    An end with an exception or a message is left to the interpreter.
    """
    code: int | None = None
    try:
        _run(start, program)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        code = end.code
    # As multiprocessing ends the processes that it forks.
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public waits for the threads
    atexit._run_exitfuncs()  # noqa: SLF001 - the same
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        # The interpreter says so, and has an exit code for it.
        sys.exit(code)
    os._exit(code or 0)


def _run(start: Start, program: Program) -> None:
    if start.is_guarded:
        enter_guard()
    if program.starts:
        spares = Spares()
        if own := spares.fork(SPARES):
            start, program = own, PROGRAMS[find_program(own.command, own.environment) or ""]
        else:
            start_from_spares(program, spares)
    if start.shell:
        start = enter_shell(start)
    _show(start)
    os.chdir(start.directory)
    _replace_environment(start.environment)
    for module in program.read_again:
        importlib.reload(sys.modules[module])
    if program.settle:
        program.settle()
    _open_streams()
    sys.orig_argv = list(start.command)
    first, *arguments = start.command
    is_safe_path = arguments[:1] == ["-P"] or bool(start.environment.get("PYTHONSAFEPATH"))
    if arguments[:1] == ["-P"]:
        del arguments[0]
    if arguments[:1] == ["-m"]:
        sys.argv = ["-m", *arguments[2:]]
        if not is_safe_path:
            sys.path.insert(0, start.directory)
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(start.command)
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")


def _show(start: Start) -> None:
    """Write command line and environment where the system reads them (proc(5), fields 48 to 51 of `stat`)."""
    if sys.platform != "linux":
        return
    # The name of the program, in parentheses, may hold anything; what follows it begins with the third field.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    arguments, end_of_arguments, environment, end_of_environment = map(int, fields[45:49])
    pairs = [f"{name}={value}" for name, value in start.environment.items()]
    for words, first, end in ((start.command, arguments, end_of_arguments), (pairs, environment, end_of_environment)):
        text = b"".join(word.encode(errors="surrogateescape") + b"\0" for word in words)[: end - first]
        ctypes.memmove(first, text.ljust(end - first, b"\0"), end - first)


def _replace_environment(environment: dict[str, str]) -> None:
    # An interpreter that finds no locale at its start chooses one, and tells so to what it starts itself.
    chosen = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ and "LANG" not in environment}
    os.environ.clear()
    os.environ.update(environment | chosen)
    time.tzset()


def _open_streams() -> None:
    """Make the standard streams again: how they buffer depends on what they are, and on what is asked for."""
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for name, descriptor, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        former = getattr(sys, name)
        is_raw = mode == "w" and is_unbuffered
        stream = io.TextIOWrapper(
            os.fdopen(descriptor, f"{mode}b", 0 if is_raw else -1, closefd=False),
            encoding=former.encoding,
            errors=former.errors,
            line_buffering=name == "stderr" or os.isatty(descriptor),
            write_through=is_raw,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


if __name__ == "__main__":
    main()
