"""How far a newcomer has to walk: the modules that one request passes through, and the shape of every package.

    .venv/bin/python tests/benchmarks/house_path.py

A *stay* is a run of calls within one module; a *return* is a stay in a module that was left before. Left out are
constructors, properties of values, and all code that is not this project's.
"""

import ast
import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from pathlib import Path
from statistics import median
from types import FrameType, ModuleType
from typing import Any, Final

from falcon.testing import TestClient

ROOT: Final = Path(__file__).parents[2]
HOUSES: Final = ("contract", "api", "client", "operator", "syncjob", "deploy/*", "tests/support")
START: Final = "/api/automations/estimates/sync-external"
_RESUMABLE: Final = CO_COROUTINE | CO_GENERATOR | CO_ASYNC_GENERATOR
_FIRST_RESUME: Final = 16
"""Bytes of a coroutine's prologue: a frame beyond them is not entered, it goes on."""


def main() -> None:
    rows = [("package", "modules", "lines", "median", "header", "docstrings"), *map(_measure, _find_packages())]
    sys.stdout.write("".join(_format_row(row) for row in rows))
    for what, walk in (("a pass over a running sync", walk_running_pass), ("a POST", walk_post)):
        stays = walk()
        modules = list(dict.fromkeys(stays))
        sys.stdout.write(
            f"\n{what}: {len(modules)} modules, {len(stays)} stays, {len(stays) - len(modules)} returns\n"
            f"  {', '.join(modules)}\n"
        )


def walk_running_pass() -> list[str]:
    """A job at work whose log shows another page: the status is written, an event may follow."""
    house = _load("tests/unit/operator_core/conftest.py")
    world = house.World()
    world.add("a", **_unwrap(house.running)())
    world.observations["a"] = house.JobObservation(state=house.JobState.ACTIVE, pod_name="pod")
    world.log_tail = ("🔍 [SYNC] Page 9/17: 100 estimates", "✅ [SYNC] Page 9 complete. Total so far: 900")
    settings = _unwrap(house.make_reconciler_settings)(_unwrap(house.operator_settings)())
    reconciler = _unwrap(house.make_reconciler)(world, settings)()

    async def pass_once() -> list[str]:
        await reconciler.reconcile("a")
        world.time += timedelta(seconds=5)
        world.log_tail = ("🔍 [SYNC] Page 10/17: 100 estimates", "✅ [SYNC] Page 10 complete. Total so far: 1000")
        with _record() as stays:
            await reconciler.reconcile("a")
        return stays

    return asyncio.run(pass_once())


def walk_post() -> list[str]:
    """A POST that starts a sync, against a store in memory."""
    house = _load("tests/unit/api/conftest.py")
    client = TestClient(_unwrap(house.app)(house.MemoryStore(), []), headers={"x-api-key": "made-up-key-of-make"})
    client.simulate_post(START)
    with _record() as stays:
        answer = client.simulate_post(START, headers={"Idempotency-Key": "another"})
    if answer.status_code != 202:
        raise SystemExit(f"The POST was answered with {answer.status}: {answer.text}")
    return stays


@contextmanager
def _record() -> Iterator[list[str]]:
    stays: list[str] = []

    def follow(frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("estimatesync_") and stays[-1:] != [module] and _is_entered(frame):
            stays.append(module)

    sys.setprofile(follow)
    try:
        yield stays
    finally:
        sys.setprofile(None)


def _is_entered(frame: FrameType) -> bool:
    name, code = frame.f_code.co_name, frame.f_code
    if code.co_flags & _RESUMABLE and frame.f_lasti > _FIRST_RESUME:
        return False
    is_property = "self" in frame.f_locals and isinstance(getattr(type(frame.f_locals["self"]), name, None), property)
    return name not in {"__init__", "<module>"} and not is_property


def _find_packages() -> list[Path]:
    return sorted(init.parent for house in HOUSES for init in ROOT.glob(f"{house}/*/__init__.py"))


def _measure(package: Path) -> tuple[str, ...]:
    texts = [path.read_text() for path in sorted(package.rglob("*.py")) if path.stem != "__init__"]
    lengths = [len(text.splitlines()) for text in texts] or [0]
    total = sum(lengths) or 1
    headers, docstrings = sum(map(_count_header, texts)), sum(map(_count_docstrings, texts))
    shares = (f"{100 * part / total:.0f} %" for part in (headers, docstrings))
    return package.name, str(len(texts)), str(sum(lengths)), f"{median(lengths):.0f}", *shares


def _count_header(text: str) -> int:
    """Lines down to the last import of the first block."""
    last = 0
    for node in ast.parse(text).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not isinstance(node, ast.Import | ast.ImportFrom) and not is_docstring:
            break
        last = node.end_lineno or last
    return last


def _count_docstrings(text: str) -> int:
    """Those of classes, functions and attributes; a module's own is in its header."""
    return sum(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )


def _format_row(row: tuple[str, ...]) -> str:
    name, *figures = row
    return f"{name:<26}" + "".join(f"{figure:>12}" for figure in figures) + "\n"


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _unwrap(fixture: Any) -> Callable[..., Any]:
    """The function behind a fixture, which pytest forbids to call."""
    function: Callable[..., Any] = fixture.__wrapped__
    return function


if __name__ == "__main__":
    main()
