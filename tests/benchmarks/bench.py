"""Measures the sync program against the limit and against a peer, and writes what came out; `make bench` runs it.

Nothing here decides whether the tests pass: times depend on the machine, and on who else uses it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import trustme
from bench_postgres import Postgres, running_postgres
from contenders import LIMIT, OURS, PEER, Contender, build_limit, build_ours, build_peer
from figures import Setting, Table
from machine import read_machine
from picture import build_picture
from report import DOCUMENT, Part, build_report, write_part
from rounds import Arena, Load, open_arena, run_rounds
from scenarios import SCENARIOS, Scenario

_LIMIT_SETTINGS: Final = ((100, 4), (100, 8), (100, 16), (100, 32), (800, 4), (800, 8))
"""Page sizes and connections to choose from: the pages of a sync begin with the one size and may grow to the other."""

_PEER_PAGE_SIZES: Final = (100, 250, 1_000)
_SETTINGS: Final = {
    "S2": ((50, 100, 200, 400), (2, 4, 8, 16)),
    "S3": ((50, 100, 200, 400, 1_000), (2, 4, 8, 16)),
}
"""Which page sizes and concurrencies of the sync program are tried, to choose its defaults."""


class Bench:
    """One run over several scenarios, on one server and one certificate."""

    def __init__(
        self, postgres: Postgres, directory: Path, *, names: Sequence[str], report: Callable[[str], None]
    ) -> None:
        self._postgres: Final = postgres
        self._names: Final = names
        self._report: Final = report
        self._certificate: Final = directory / "server.pem"
        self._authority: Final = directory / "authority.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self._authority))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(self._certificate))
        self._chosen: dict[str, Contender] = {}

    def run(self, scenario: Scenario, *, rounds: int | None) -> list[Load]:
        """Choose settings, then measure."""
        with self._open(scenario) as arena:
            if not scenario.is_large:
                self._choose(arena)
            contenders = [build_ours(), *self._chosen.values()]
            chosen = [contender for contender in contenders if contender.name in self._names]
            return run_rounds(
                arena, chosen, rounds=min(rounds or scenario.rounds, scenario.rounds), report=self._report
            )

    def try_settings(self, scenario: Scenario) -> list[Setting]:
        """Measure the first load with every page size and concurrency of the table."""
        sizes, concurrencies = _SETTINGS[scenario.name]
        with self._open(scenario) as arena:
            return [
                self._try_setting(arena, page_size, concurrency) for page_size in sizes for concurrency in concurrencies
            ]

    def _open(self, scenario: Scenario) -> AbstractContextManager[Arena]:
        return open_arena(scenario, postgres=self._postgres, certificate=self._certificate, authority=self._authority)

    def _choose(self, arena: Arena) -> None:
        candidates = {
            LIMIT: [build_limit(page_size=size, connections=number) for size, number in _LIMIT_SETTINGS],
            PEER: [build_peer(page_size=size) for size in _PEER_PAGE_SIZES],
        }
        for name, options in candidates.items():
            if name in self._names:
                self._chosen[name] = arena.choose(options)
                self._report(f"{arena.scenario.name}: {name} is fastest with {self._chosen[name].words}")

    def _try_setting(self, arena: Arena, page_size: int, concurrency: int) -> Setting:
        seconds = arena.try_out(build_ours(page_size=page_size, concurrency=concurrency))
        self._report(f"{arena.scenario.name}: pages of {page_size}, at most {concurrency} at once: {seconds:.2f} s")
        return Setting(scenario=arena.scenario.name, page_size=page_size, concurrency=concurrency, seconds=seconds)


def main() -> None:
    """Measure what was asked for, and write the document if everything was."""
    options = _read_options()
    scenarios = [
        scenario
        for scenario in SCENARIOS
        if (scenario.name in options.only if options.only else options.full or not scenario.needs_full)
    ]
    with running_postgres() as postgres, tempfile.TemporaryDirectory() as directory:
        bench = Bench(postgres, Path(directory), names=options.contenders, report=_report)
        table = Table(
            loads={scenario: bench.run(scenario, rounds=options.rounds) for scenario in scenarios},
            settings=[
                setting
                for scenario in scenarios
                if options.settings and scenario.name in _SETTINGS
                for setting in bench.try_settings(scenario)
            ],
        )
        machine = read_machine(f"PostgreSQL {postgres.read_version()}")
    document: Path = options.out
    document.parent.mkdir(exist_ok=True)
    picture = document.with_suffix(".svg")
    picture.write_text(build_picture(table))
    command = _format_command(sys.argv[1:])
    report = build_report(table, machine=machine, command=command, at=datetime.now(UTC), picture=picture.name)
    write_part(Part.SYNC, report, document)
    _report(f"written: {document}")


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--full", action="store_true", help="the largest sizes, too; takes the better part of an hour")
    parser.add_argument("--only", action="append", choices=names, help="a scenario; may be given more than once")
    parser.add_argument("--contenders", nargs="+", choices=(OURS, LIMIT, PEER), default=[OURS, LIMIT, PEER])
    parser.add_argument("--rounds", type=int, help="at most, where a scenario has more of its own")
    parser.add_argument("--settings", action="store_true", help="try page sizes and concurrencies, too")
    parser.add_argument("--out", type=Path, default=DOCUMENT, help="the document; its picture goes next to it")
    return parser.parse_args()


def _format_command(arguments: Sequence[str]) -> str:
    """Say how this run was started, so that a short one is not taken for the whole."""
    known = {("--settings",): "make bench", ("--settings", "--full"): "make bench FULL=1"}
    return known.get(tuple(arguments), " ".join(["python", "tests/benchmarks/bench.py", *arguments]))


def _report(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


if __name__ == "__main__":
    main()
