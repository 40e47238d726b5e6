"""A pod: the real sync program, from its HTTP client to its transaction, in a process that can end at any step."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Final, NoReturn, Protocol

import httpx
import msgspec
from estimatesync_contract.attic_tech import LOGIN_PATH
from estimatesync_contract.refused_login import Credentials
from estimatesync_contract.spec import Mode
from estimatesync_job.adapters.attic_tech import AtticTech
from estimatesync_job.core.closing_pass import PassPolicy
from estimatesync_job.core.errors import Failure, InterruptedSyncError, build_failure
from estimatesync_job.core.page_plan import build_plan
from estimatesync_job.core.ports import Level, Log, StoredRun
from estimatesync_job.core.ports import Source as SourcePort
from estimatesync_job.core.retry_delay import RetryPolicy
from estimatesync_job.main import STOP_SECONDS
from estimatesync_job.settings import Settings, parse_settings
from estimatesync_job.sync import Sync

from estimatesync_simulator.sync_program.database import Database, Die, Meet, Transaction
from estimatesync_simulator.sync_program.history import Effect, History, Step
from estimatesync_simulator.sync_program.source import EMAIL, PASSWORD, Source

TIMEOUT_SECONDS: Final = 1200
"""What the sync may take, pods and the time between them included."""

_STATUS: Final = {Effect.UNAUTHORIZED: 401, Effect.FORBIDDEN: 403, Effect.THROTTLED: 429, Effect.ERROR: 500}


class Surroundings(Protocol):
    """What a pod needs of the world around it."""

    history: History
    source: Source
    database: Database
    source_away_until: float

    def open_store(self, uid: str, pod: str, meet: Meet, die: Die) -> Transaction:
        """Open nothing yet: make the transaction of a pod."""
        ...

    def wrap_source(self, source: SourcePort) -> SourcePort:
        """Let the sync see the source as it is, or as a test wants it to."""
        ...

    async def meet(self, pod: "Pod", step: Step) -> Effect | None:
        """Let a pod make a step, and return what goes wrong with it."""
        ...

    def get_seconds(self, step: Step) -> float:
        """How long what goes wrong at this step lasts."""
        ...

    def note_broken(self, promise: str) -> None:
        """Take down that a promise is broken."""
        ...

    def tell(self, line: str) -> None:
        """Add a line to the log."""
        ...


@cache
def build_settings(uid: str, concurrency: int, max_skipped_percent: int) -> Settings:
    """Settings as the operator hands them to a pod; the database is never looked up."""
    return parse_settings({
        "SYNC_ID": "sync-0", "SYNC_UID": uid, "SYNC_START_DATE": "2025-09-01", "SYNC_END_DATE": "2025-10-16",
        "SYNC_CONCURRENCY": str(concurrency), "SYNC_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
        "SYNC_MAX_SKIPPED_PERCENT": str(max_skipped_percent), "ATTIC_TECH_URL": "http://sample.example",
        "ATTIC_TECH_EMAIL": EMAIL, "ATTIC_TECH_PASSWORD": PASSWORD, "DATABASE_URL": "postgresql://nowhere",
    })  # fmt: skip


class _UnguardedCredentials(Credentials):
    """Their digest is quick to compute: nobody guesses a password in here."""

    def compute_digest(self, salt: bytes) -> bytes:
        return hashlib.sha256(salt + msgspec.json.encode((self.url, self.email, self.password, self.retry))).digest()


class Pod:
    """One process.

    Attributes:
        outcome: what it has reported; None as long as it has not, or if it died.
        is_dead: it does nothing any more.
        is_lost: nobody hears of it any more, though it goes on.
        began: how many states of the source had been seen when it started.
        has_asked_about_commit: the outcome of its commit was unknown to it.
        over: set once Kubernetes takes it for ended.
    """

    def __init__(
        self,
        name: str,
        uid: str,
        world: Surroundings,
        *,
        page_size: int,
        login_retry: str = "",
        mode: Mode = Mode.WHOLE,
    ) -> None:
        self.name: Final = name
        self.uid: Final = uid
        self.outcome: StoredRun | Failure | None = None
        self.is_dead = False
        self.is_lost = False
        self.began: Final = len(world.source.seen) - 1
        self.has_asked_about_commit = False
        self.over: Final = asyncio.Event()
        self._page_size: Final = page_size
        self._login_retry: Final = login_retry
        self._mode: Final = mode
        self._world: Final = world
        self._is_stopped: Final = asyncio.Event()
        self._in_flight = 0
        self._quiet_until = 0.0
        self._transaction: Final = world.open_store(uid, name, self._meet, self.die)
        self._settings: Final = build_settings(uid, world.history.concurrency, world.history.max_skipped_percent)

    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        """Be the program's log."""
        if PASSWORD in f"{message}{fields}":
            self._world.note_broken(f"a line of the log holds the password: {action}, {level}")

    async def run(self) -> None:
        """Be the program's main: sync until told to stop, then report."""
        history = self._world.history
        log: Log = self
        ends_at = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
        sync = Sync(
            open_source=self._open_source(log, ends_at=ends_at),
            open_store=self._transaction.open(),
            log=log,
            plan=build_plan(page_size=self._page_size, ahead=history.concurrency),
            passes=PassPolicy(ends_at=ends_at),
            max_skipped_percent=history.max_skipped_percent,
            max_unshown_percent=0,
            credentials=_UnguardedCredentials(
                url=self._settings.attic_tech_url, email=EMAIL, password=PASSWORD, retry=self._login_retry
            ),
            mode=self._mode,
        )
        run = asyncio.ensure_future(sync.run())
        stopped = asyncio.ensure_future(self._is_stopped.wait())
        try:
            await asyncio.wait({run, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                run.cancel()
                await asyncio.wait({run}, timeout=STOP_SECONDS)
            if not self.is_dead:
                self._report(sync, run)
        finally:
            stopped.cancel()
            run.cancel()
            self._end()

    def stop(self) -> None:
        """Tell it to stop, as Kubernetes does before it ends a pod."""
        self._is_stopped.set()

    def lose_node(self) -> None:
        """Let Kubernetes start another pod in its place, while this one goes on."""
        self.is_lost = True
        self.over.set()

    def die(self) -> NoReturn:
        """End here and now; what the server knows of it is that its connections are gone."""
        self.kill()
        raise asyncio.CancelledError

    def kill(self) -> None:
        """End it from outside."""
        self._world.tell(f"{self.name} is dead")
        self.is_dead = True
        self._end()
        self._is_stopped.set()

    def _end(self) -> None:
        self._transaction.roll_back()
        self.over.set()

    def _report(self, sync: Sync, run: "asyncio.Future[None]") -> None:
        fault = run.exception() if run.done() and not run.cancelled() else None
        if sync.stored is not None:
            self.outcome = sync.stored
            self._world.tell(f"{self.name} reports success: {_format_counts(sync.stored)}")
            return
        if fault is None or self._is_stopped.is_set():
            fault = InterruptedSyncError("The sync was told to stop before it had finished.")
        self.outcome = build_failure(fault)
        error = self.outcome.error
        self._world.tell(f"{self.name} reports {error.reason.value}: {error.message}")
        if PASSWORD in error.message:
            self._world.note_broken("a failure holds the password")

    async def _meet(self, step: Step) -> Effect | None:
        if self.is_dead:
            raise asyncio.CancelledError
        self.has_asked_about_commit |= step is Step.CONFIRM
        fault = await self._world.meet(self, step)
        if self.is_dead:
            raise asyncio.CancelledError
        if fault is Effect.KILL_BEFORE:
            self.die()
        return fault

    @asynccontextmanager
    async def _open_source(self, log: Log, *, ends_at: float) -> AsyncIterator[SourcePort]:
        transport = httpx.MockTransport(self._answer)
        async with httpx.AsyncClient(transport=transport, base_url=self._settings.attic_tech_url) as client:
            source = AtticTech(client, self._settings, policy=RetryPolicy(), log=log, ends_at=ends_at)
            yield self._world.wrap_source(source)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if asyncio.get_running_loop().time() < self._quiet_until:
            self._world.note_broken(f"{self.name} asks again earlier than it was asked to")
        step = find_step(request)
        self._in_flight += 1
        if step is not Step.LOGIN and self._in_flight > self._world.history.concurrency + 1:
            self._world.note_broken(f"{self.name} has {self._in_flight} requests in flight")
        try:
            return await self._exchange(request, step)
        finally:
            self._in_flight -= 1

    async def _exchange(self, request: httpx.Request, step: Step) -> httpx.Response:
        fault = await self._meet(step)
        now = asyncio.get_running_loop().time()
        if fault is Effect.LOST_REQUEST or now < self._world.source_away_until:
            raise httpx.ConnectError("nobody answers", request=request)
        if fault in _STATUS:
            return self._refuse(fault, step)
        if fault is Effect.EXPIRED:
            self._world.source.expire_tokens()
        response = self._world.source.answer(request)
        match fault:
            case Effect.KILL_AFTER:
                self.die()
            case Effect.LOST_ANSWER:
                raise httpx.ReadError("the connection is lost", request=request)
            case Effect.CUT:
                half = response.content[: len(response.content) // 2]
                return httpx.Response(response.status_code, headers=response.headers, content=half)
            case Effect.PROXY:
                return httpx.Response(200, headers={"Content-Type": "text/html"}, content=b"<html>")
        return response

    def _refuse(self, fault: Effect, step: Step) -> httpx.Response:
        headers = {}
        if fault is Effect.THROTTLED:
            seconds = int(self._world.get_seconds(step)) + 1
            headers["Retry-After"] = str(seconds)
            self._quiet_until = asyncio.get_running_loop().time() + seconds
        errors = {"errors": [{"message": f"made up: {fault}"}]}
        return httpx.Response(_STATUS[fault], headers=headers, json=errors)


def find_step(request: httpx.Request) -> Step:
    """Tell the three kinds of requests apart."""
    if request.url.path == LOGIN_PATH:
        return Step.LOGIN
    return Step.CHANGES if any(name.startswith("where[or]") for name in request.url.params) else Step.PAGE


def _format_counts(stored: StoredRun) -> str:
    results = msgspec.structs.asdict(stored.results)
    return ", ".join(f"{name} {count}" for name, count in results.items() if count) or "nothing"
