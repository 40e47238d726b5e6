"""Measures one scenario: tries the settings of those who may choose, then lets all run in turn, round after round.

Everyone meets the same machine, noise included: A B C A B C, an empty database each, first load then second load.
"""

import shutil
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import msgspec
from bench_postgres import Postgres
from contenders import OURS, Contender, build_environment
from processes import Usage, measure, serving
from scenarios import GENERATIONS, SHARED_LOADS, LoadKind, Scenario
from source_records import FIRST_DAY, LAST_DAY
from source_server import CONTROL_PATH

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Load:
    """One process, measured.

    Attributes:
        load: what has happened at the source before it; the first is into an empty database.
        start_seconds: from the start of the process to its first request.
        max_in_flight: list calls that the source had before it at the same time.
    """

    contender: str
    words: str
    load: LoadKind
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    start_seconds: float
    list_calls: int
    max_in_flight: int


class Arena:
    """A scenario with its source and its database running."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        postgres: Postgres,
        database_url: str,
        source_url: str,
        authority: Path,
        directory: Path,
    ) -> None:
        self.scenario: Final = scenario
        self._postgres: Final = postgres
        self._database_url: Final = database_url
        self._source_url: Final = source_url
        self._authority: Final = authority
        self._context: Final = ssl.create_default_context(cafile=str(authority))
        self._directory: Final = directory

    def run(self, contender: Contender, *, loads: Sequence[LoadKind] = SHARED_LOADS) -> list[Load]:
        """Run the loads of one contender, one after the other, and check what each has stored."""
        database = "bench"
        self._postgres.create_database(database)
        directory = self._directory / "work"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        return [self._run_load(contender, load, database, directory) for load in loads]

    def choose(self, candidates: Sequence[Contender], *, tries: int = 2) -> Contender:
        """Find the fastest by its best first load."""
        return min(candidates, key=lambda candidate: self.try_out(candidate, tries=tries))

    def try_out(self, candidate: Contender, *, tries: int = 2) -> float:
        """Run some first loads and say what the best of them took, in seconds."""
        return min(self.run(candidate, loads=(LoadKind.FIRST,))[0].wall_seconds for _ in range(tries))

    def _run_load(self, contender: Contender, load: LoadKind, database: str, directory: Path) -> Load:
        generation = GENERATIONS[load]
        self._control(f"generation/{generation}")
        self._postgres.checkpoint()
        environment = build_environment(
            contender,
            source_url=self._source_url,
            authority=self._authority,
            database_url=self._database_url.format(database),
            days=_find_days(load),
        )
        if self.scenario.honours_select:
            environment["SYNC_SELECT_FIELDS"] = "true"
        usage = measure(contender.command, environment=environment, directory=directory)
        seen = self._control("seen")
        self._postgres.check_rows(database, contender.table, count=self.scenario.records, generation=generation)
        if load is LoadKind.UNCHANGED:
            self._postgres.check_untouched(database, contender.table, sync_uid=environment["SYNC_UID"])
        return _build_load(contender, load, usage, seen)

    def _control(self, action: str) -> Any:
        with urlopen(f"{self._source_url}{CONTROL_PATH}{action}", context=self._context) as answer:  # noqa: S310 - ours
            return msgspec.json.decode(answer.read())


def _find_days(load: LoadKind) -> tuple[date, date]:
    """Find the days that hold the stamps of all records."""
    if load is not LoadKind.MOMENT:
        return FIRST_DAY.date(), LAST_DAY.date()
    today = datetime.now(UTC).date()
    return today - timedelta(days=1), today


def _build_load(contender: Contender, load: LoadKind, usage: Usage, seen: Any) -> Load:
    return Load(
        contender=contender.name,
        words=contender.words,
        load=load,
        wall_seconds=usage.wall_seconds,
        cpu_seconds=usage.cpu_seconds,
        peak_megabytes=usage.peak_megabytes,
        start_seconds=seen["first_request"] - usage.started,
        list_calls=seen["list_calls"],
        max_in_flight=seen["max_in_flight"],
    )


@contextmanager
def open_arena(scenario: Scenario, *, postgres: Postgres, certificate: Path, authority: Path) -> Iterator[Arena]:
    """Start what the scenario needs."""
    text = msgspec.json.encode(asdict(scenario)).decode()
    source = (sys.executable, str(_HERE / "source_server.py"), str(certificate), text)
    with serving(source) as answer, postgres.reached_over(scenario.round_trip_ms) as database_url:
        yield Arena(
            scenario,
            postgres=postgres,
            database_url=database_url,
            source_url=answer["url"],
            authority=authority,
            directory=authority.parent,
        )


def run_rounds(
    arena: Arena, contenders: Sequence[Contender], *, rounds: int, report: Callable[[str], None]
) -> list[Load]:
    """Let everyone run in turn, all loads at a time."""
    loads: list[Load] = []
    for number in range(1, rounds + 1):
        for contender in contenders:
            measured = arena.run(contender, loads=arena.scenario.own_loads if contender.name == OURS else SHARED_LOADS)
            loads += measured
            seconds = ", ".join(f"{load.wall_seconds:.2f} s" for load in measured)
            report(f"{arena.scenario.name}, round {number} of {rounds}: {contender.name} {seconds}")
    return loads
