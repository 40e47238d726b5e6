"""The programs that are forked, and what each has imported by then: all that reads nothing and changes nothing."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program of this project.

    Attributes:
        commands: how a command line begins that starts it: a module of the interpreter, or a console script.
        modules: what is imported before the fork.
        cold: variables with which it is not forked, because a library reads them when it is imported.
        by_itself: what the library takes without such a variable, so that it may be asked for.
        read_again: modules that read something else when they are imported, and are loaded again after the fork.
        settle: sets what a library took from the working directory when it was imported, after the fork.
        starts: programs that it starts itself, whose modules are imported with its own.
    """

    commands: tuple[tuple[str, ...], ...]
    modules: tuple[str, ...]
    cold: frozenset[str] = frozenset()
    by_itself: Mapping[str, str] = field(default_factory=dict)
    read_again: tuple[str, ...] = ()
    settle: Callable[[], None] | None = None
    starts: tuple[str, ...] = ()


_PSYCOPG: Final = frozenset({"PSYCOPG_IMPL", "PSYCOPG_WAIT_FUNC"})
_PROMETHEUS: Final = frozenset(
    {
        "PROMETHEUS_DISABLE_CREATED_SERIES",
        "PROMETHEUS_LEGACY_NAME_VALIDATION",
        "PROMETHEUS_MULTIPROC_DIR",
        "prometheus_multiproc_dir",
    }
)
_FALCON: Final = frozenset({"FALCON_CUSTOM_HTTP_METHODS", "FALCON_DECORATE_ON_REQUEST"})
_AIOHTTP: Final = frozenset(
    # It makes its TLS context when it is imported.
    {"AIOHTTP_NOSENDFILE", "PYDANTIC_DISABLE_PLUGINS", "SSLKEYLOGFILE", "SSL_CERT_DIR", "SSL_CERT_FILE"}
    | {f"{library}_NO_EXTENSIONS" for library in ("AIOHTTP", "FROZENLIST", "MULTIDICT", "PROPCACHE", "YARL")}
)
# What httpx loads with the first request: a third of what a short run would take.
_HTTP: Final = ("httpx", "httpcore", "anyio._backends._asyncio", "encodings.idna")
_KUBECONFIG: Final = ("kubernetes.aio.config.kube_config",)


def _settle_gunicorn() -> None:
    from gunicorn import config, util  # noqa: PLC0415 - whoever asks for a start need not load it

    config.Chdir.default = util.getcwd()


_GUNICORN_VARIABLES: Final = frozenset({"FORWARDED_ALLOW_IPS", "PORT", "WEB_CONCURRENCY", "XDG_RUNTIME_DIR"})
_GUNICORN_MODULES: Final = ("gunicorn.app.wsgiapp", "gunicorn.glogging", "estimatesync_api.gunicorn_worker")
_GUNICORN: Final = Program(
    commands=(("-m", "gunicorn"), ("gunicorn",)),
    modules=(
        *_GUNICORN_MODULES,
        "estimatesync_api.app",
        "estimatesync_api.adapters.kubernetes_store",
    ),
    # With several workers, the configuration sets a variable that the metrics' library reads.
    cold=_AIOHTTP | _FALCON | _PROMETHEUS | _GUNICORN_VARIABLES,
    by_itself={"WEB_CONCURRENCY": "1"},
    read_again=_KUBECONFIG,
    settle=_settle_gunicorn,
)
_CLIENT: Final = Program(
    commands=(("estimatesync",), ("-m", "estimatesync_client")),
    # With what it loads only when it asks or writes.
    modules=(
        "estimatesync_client.command_line",
        *_HTTP,
        "pydantic_core",
        "rich.markdown",
        "typer._adapters",
    ),
    cold=frozenset({"PYDANTIC_DISABLE_PLUGINS", "TYPER_USE_RICH"}),
)

PROGRAMS: Final[Mapping[str, Program]] = {
    "sync": Program(
        commands=(("-m", "estimatesync_job"),),
        # The HTTP client is loaded while the database answers, in a thread.
        modules=("estimatesync_job.main", "estimatesync_job.adapters.attic_tech", "concurrent.futures.thread", *_HTTP),
        cold=_PSYCOPG,
    ),
    "one machine": Program(
        commands=(("-m", "estimatesync_local"),),
        modules=("estimatesync_local.main", "estimatesync_local.command", *_HTTP),
        cold=_PSYCOPG | _FALCON | _PROMETHEUS,
        starts=("api of one machine", "sync"),
    ),
    "api of one machine": Program(
        # With an empty directory of its own, where no modules are to be looked for.
        commands=(("-P", "-m", "gunicorn"),),
        modules=(*_GUNICORN_MODULES, "estimatesync_local.api"),
        cold=_PSYCOPG | _FALCON | _PROMETHEUS | _GUNICORN_VARIABLES,
        by_itself={"WEB_CONCURRENCY": "1"},
        settle=_settle_gunicorn,
    ),
    "api": _GUNICORN,
    "operator": Program(
        commands=(("kopf",), ("-m", "kopf")),
        # Not its main module, which registers handlers.
        modules=(
            "kopf.cli",
            "kubernetes.aio.client",
            "estimatesync_operator.reconciler",
            "estimatesync_operator.metrics",
            "estimatesync_operator.watch_handlers",
            "estimatesync_operator.adapters.tracing",
            "estimatesync_operator.callback.sender",
            "estimatesync_operator.leadership",
            "estimatesync_operator.settings",
            "estimatesync_operator.silence_watch",
            "estimatesync_operator.workqueue",
            *_HTTP,
        ),
        cold=_AIOHTTP | _PROMETHEUS,
        read_again=_KUBECONFIG,
    ),
    "client": _CLIENT,
}

# What the interpreter, the C library and OpenSSL read when a process starts, and never again.
_START_VARIABLES: Final = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "LANG", "LC_", "OPENSSL_")
_BY_ITSELF: Final = {"LANG": "C.UTF-8", "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
"""What a server's interpreter does without being told, or a forked process by itself, so that it may be asked for."""


def find_modules(name: str) -> tuple[str, ...]:
    """Find what is imported before a program is forked: what it takes, and what those take that it starts."""
    programs = [PROGRAMS[each] for each in (name, *PROGRAMS[name].starts)]
    return tuple(module for each in programs for module in (*each.modules, *each.read_again))


def find_program(command: Sequence[str | os.PathLike[str]], environment: Mapping[str, str]) -> str | None:
    """Find the name of the program that a command line starts; None when it must be started as usual."""
    program, *arguments = (os.fspath(word) for word in command)
    path = Path(shutil.which(program, path=environment.get("PATH", os.defpath)) or program)
    if path.parent != Path(sys.executable).parent or _concerns_start(environment):
        return None
    words = tuple(arguments) if path.name == "python" else (path.name, *arguments)
    return next((name for name, each in PROGRAMS.items() if _is_start(each, words, environment)), None)


def _concerns_start(environment: Mapping[str, str]) -> bool:
    return any(
        name.startswith(_START_VARIABLES) and _BY_ITSELF.get(name) != value for name, value in environment.items()
    )


def _is_start(program: Program, words: tuple[str, ...], environment: Mapping[str, str]) -> bool:
    is_asked_for = any(words[: len(command)] == command for command in program.commands)
    return is_asked_for and all(
        program.by_itself.get(name) == environment[name] for name in program.cold & environment.keys()
    )
