"""An operator's process: the real program behind a connection that can fail, watches that lag, and a death at any step.

What is real: the HTTP client with its errors, the adapters, cache, work queue, reconciler and callback policy, joined
by the operator's own `main`. What is played: the API server's answers, kopf's watches, the receiver, the clock.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar

import aiohttp
import msgspec
from estimatesync_contract.causes import BLOCKERS, ENDS, Reason
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import LABEL_MANAGED_BY, LABEL_SYNC, MANAGED_BY, PLURAL
from estimatesync_contract.settings import SettingsReader
from estimatesync_contract.status import Phase
from estimatesync_operator.adapters.lease import KubernetesLease
from estimatesync_operator.core.lease import Identity, LeaseTiming, parse_lease
from estimatesync_operator.core.ports import BackendUnavailableError, CallbackAttempt, NoMeter
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.core.watch_health import WatchHealth
from estimatesync_operator.leadership import LeaseHolder
from estimatesync_operator.main import run_reconciler
from estimatesync_operator.settings import OperatorSettings, read_operator_settings
from estimatesync_operator.watch_handlers import WatchHandlers
from estimatesync_operator.workqueue import PassOutcome
from estimatesync_tracing.setup import NO_TRACER

from estimatesync_simulator.api_server import (
    JOBS,
    LEASES,
    PODS,
    ApiServer,
    Change,
    Problem,
    Raw,
    Request,
    build_conflict,
)
from estimatesync_simulator.connection import connect
from estimatesync_simulator.history import SENDS, Decision, Effect, Point, Response

EPOCH: Final = datetime(2025, 10, 16, 14, 0, tzinfo=UTC)

_TIMEOUT_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 5.0
_LISTING_SECONDS: Final = 0.05
_TICK_SECONDS: Final = 1e-6
_PAUSE_SECONDS: Final = 14.0
"""Longer than a lease lasts."""

STUCK_LIMIT: Final = timedelta(seconds=60)
MAX_EVICTIONS: Final = 2
DEFAULT_TTL: Final = timedelta(minutes=5)
STALE_AFTER: Final = timedelta(minutes=20)

_Result = TypeVar("_Result")


@cache
def build_settings(max_active: int) -> OperatorSettings:
    """Settings under which little time passes, so that little has to be simulated."""
    reader = SettingsReader({"NAMESPACE": "ns", "SYNC_IMAGE": "registry.test/sync:1"})
    settings = read_operator_settings(reader)
    reader.raise_faults()
    return msgspec.structs.replace(
        settings,
        reconciler=msgspec.structs.replace(
            settings.reconciler,
            max_active_syncs=max_active,
            progress_interval=timedelta(seconds=15),
            stuck_limit=STUCK_LIMIT,
            max_evictions=MAX_EVICTIONS,
            default_ttl=DEFAULT_TTL,
            stale_after=STALE_AFTER,
        ),
    )


class Surroundings(Protocol):
    """What a process needs of the world around it."""

    server: ApiServer

    @property
    def is_away(self) -> bool:
        """Nobody can reach the API server."""

    @property
    def lease_timing(self) -> LeaseTiming:
        """How long a lease lasts."""

    def answer(self, request: Request) -> bytes:
        """Answer as the API server does. Raises Problem."""

    def meet(self, point: Point) -> Sequence[Decision]:
        """Take out what is decided for this occurrence of a step."""

    def happen(self, decision: Decision) -> None:
        """Have something happen that is no matter of one call."""

    def note_fault(self, point: Point, fault: Effect) -> None:
        """Count a fault that a call has met."""

    def note_late_job(self, sync_name: str) -> None:
        """A request to create a job is still under way, though it has been given up."""

    def note_shown_pods(self, process: "OperatorProcess", listing: bytes) -> None:
        """An operator that lives has been shown these pods."""

    def note_pause(self) -> None:
        """An operator does nothing for some time, and is about to go on where it was."""

    def note_attempt(self, process: "OperatorProcess", sync: EstimateSync) -> None:
        """An operator is about to send a callback."""

    def note_jump(self) -> None:
        """A clock has jumped."""

    def note_defect(self, what: str) -> None:
        """The program failed in a way that it does not know."""

    def log(self, actor: str, text: str) -> None:
        """Write a line of the history."""

    def spawn(self, program: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that may not fail."""

    def choose_latency(self) -> float:
        """How many seconds a call is under way, in each direction."""

    def compute_lag(self, resource: str) -> float:
        """How many seconds the watch is behind."""

    def has_target(self) -> bool:
        """Return whether there is a webhook."""

    def receive(self, sync: EstimateSync, target: str | None, callback_id: str, body: bytes, now: datetime) -> Response:
        """Take a callback as the receiver does."""

    def receive_alert(self, sync: EstimateSync, callback_id: str, body: bytes, now: datetime) -> Response:
        """Take an alert as its receiver does."""

    def bury(self, process: "OperatorProcess") -> None:
        """The process has died."""


class _Died(asyncio.CancelledError):
    """Ends whatever a dead process was about to do."""


class OperatorProcess:
    """Lives from its making until it is killed, or has ended in order."""

    def __init__(self, world: Surroundings, name: str, pod: str, *, max_active: int, is_second: bool = False) -> None:
        self._world = world
        self.name = name
        self.is_second = is_second
        self.is_alive = True
        self.clock_offset = timedelta()
        self.identity = Identity(release="estimatesync", pod=pod, process=name)
        self._settings = build_settings(max_active)
        self._watches: dict[str, _Watch] = {}
        self._client = connect(self.call_api, timeout_seconds=_TIMEOUT_SECONDS)
        self._leadership = LeaseHolder(
            KubernetesLease(self._client, "ns"),
            self.identity,
            clock=self,
            monotonic=asyncio.get_running_loop().time,
            jitter=lambda: 0.5,
            timing=world.lease_timing,
        )
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._missed: list[Callable[[], None]] = []
        self.cache = SyncCache(default_ttl=DEFAULT_TTL)
        world.log(name, "starts")
        self._main = world.spawn(self._run())

    def now(self) -> datetime:
        """The present by this process's clock, which may jump."""
        return compute_now() + self.clock_offset

    def kill(self) -> None:
        """End at once: nothing that it was about to do gets out any more."""
        if self.is_alive:
            self.is_alive = False
            for watch in self._watches.values():
                watch.close()
            self._main.cancel()
            self._world.bury(self)

    def stop(self) -> None:
        """End in order, as at SIGTERM."""
        if self.is_alive:
            self._world.log(self.name, "is told to end")
            self._main.cancel()
            self._main.add_done_callback(lambda _: self.kill())

    def pause(self, seconds: float) -> None:
        """Do nothing for some time, and then go on in the middle of everything, as after SIGSTOP and SIGCONT."""
        self._world.log(self.name, f"is paused for {seconds:.1f} s")
        self._world.note_pause()
        self._goes_on.clear()
        asyncio.get_running_loop().call_later(seconds, self._go_on)

    def relax(self) -> None:
        """From now on there is no other operator: a lease that lasts long needs few steps."""
        self._leadership.timing = self._world.lease_timing

    def _go_on(self) -> None:
        self._goes_on.set()
        missed, self._missed = self._missed, []
        for show in missed:
            show()

    def show(self, handle: Callable[[], None]) -> None:
        """Have the process see something as soon as it sees anything."""
        if self._goes_on.is_set():
            handle()
        else:
            self._missed.append(handle)

    def see(self, change: Change) -> None:
        """Show a change to the watch."""
        if watch := self._watches.get(change.resource):
            watch.push(change)

    def cut_watches(self, seconds: float) -> None:
        """Lose what the watches have not delivered; they are opened again with a listing."""
        for watch in self._watches.values():
            watch.relist(seconds)

    async def _run(self) -> None:
        """Try until the API server answers, as `main` does."""
        handlers = WatchHandlers(self)
        self._watches = {
            PLURAL: _Watch(self._world, PLURAL, self, handlers.handle_sync),
            JOBS: _Watch(self._world, JOBS, self, handlers.handle_job),
        }

        async def serve() -> None:
            self.cache = SyncCache(default_ttl=DEFAULT_TTL)
            reconciling = run_reconciler(
                self._client,
                self._settings,
                callbacks=_Callbacks(self),
                handlers=handlers,
                leadership=self._leadership,
                cache=self.cache,
                health=WatchHealth(),
                tracer=NO_TRACER,
                metrics=_Passes(self._world, self.name),
                clock=self,
                monotonic=asyncio.get_running_loop().time,
                jitter=lambda: 0.5,
            )
            try:
                async with reconciling:
                    await asyncio.Event().wait()
            finally:
                self.cache = SyncCache(default_ttl=DEFAULT_TTL)

        while True:
            try:
                await self._leadership.lead(serve)
            except BackendUnavailableError as error:
                self._world.log(self.name, f"waits for the API server: {error}")
                await asyncio.sleep(_RETRY_SECONDS)

    async def step(self, point: Point, subject: str, act: Callable[[], _Result]) -> _Result:
        """Make one step towards the world, in which happens whatever is decided for it.

        Raises:
            Problem: The API server does not grant it.
            aiohttp.ClientError, TimeoutError: There is no answer.
        """
        world, what = self._world, f"{point}{f' of {subject}' if subject else ''}"
        await self._wait(world.choose_latency())
        fault = self._meet(point)
        if fault:
            world.note_fault(point, fault.effect)
        effect = fault.effect if fault else None
        if fault and effect is Effect.PAUSE:
            if point is Point.CREATE_JOB:
                world.note_late_job(subject)
            self.pause(max(fault.seconds, _PAUSE_SECONDS))
            await self._wait(0.0)
        if effect is Effect.KILL_BEFORE:
            self._die(f"dies before it {what}")
        try:
            if fault:
                self._refuse(fault, subject, act)
            if world.is_away and point not in SENDS:
                raise aiohttp.ClientConnectionError("connection refused")
            result = act()
        except (Problem, aiohttp.ClientError) as problem:
            code = problem.code if isinstance(problem, Problem) else problem
            world.log(self.name, f"{what} → {code}")
            await self._wait(world.choose_latency())
            raise
        if effect is Effect.KILL_AFTER:
            self._die(f"{what} and dies")
        if effect is Effect.LOST_ANSWER:
            world.log(self.name, f"{what} → answer lost")
            raise aiohttp.ServerDisconnectedError
        world.log(self.name, what)
        await self._answer(what, fault.seconds if fault and effect is Effect.SLOW else 0.0)
        return result

    async def _answer(self, what: str, slowness: float) -> None:
        """Wait for the answer, but not longer than a client does."""
        if slowness >= _TIMEOUT_SECONDS:
            await self._wait(_TIMEOUT_SECONDS)
            self._world.log(self.name, f"{what} → no answer in time")
            raise TimeoutError
        await self._wait(self._world.choose_latency() + slowness)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._goes_on.wait()
        if not self.is_alive:
            raise _Died

    def _meet(self, point: Point) -> Decision | None:
        fault = None
        for decision in self._world.meet(point):
            if decision.effect is Effect.CLOCK:
                self.jump(decision.seconds)
            elif decision.effect is Effect.KILL:
                self._die(f"dies before it {point}")
            elif decision.effect in _CALL_FAULTS:
                fault = fault or decision
            else:
                self._world.happen(decision)
        return fault

    def jump(self, seconds: float) -> None:
        """Set the clock to another time."""
        self._world.log(self.name, f"has its clock jump by {seconds:+.0f} s")
        self._world.note_jump()
        self.clock_offset += timedelta(seconds=seconds)

    def _die(self, how: str) -> None:
        self._world.log(self.name, how)
        self.kill()
        raise _Died

    def _refuse(self, fault: Decision, subject: str, act: Callable[[], object]) -> None:
        match fault.effect:
            case Effect.LOST_REQUEST:
                raise aiohttp.ClientConnectionError("request lost")
            case Effect.LATE_REQUEST:
                if fault.point is Point.CREATE_JOB:
                    self._world.note_late_job(subject)
                asyncio.get_running_loop().call_later(fault.seconds, self._arrive_late, f"{fault.point}", subject, act)
                raise aiohttp.ClientConnectionError("connection reset, the request is still under way")
            case Effect.CONFLICT:
                raise build_conflict(subject)
            case Effect.GONE:
                raise Problem(HTTPStatus.GONE, "Expired", "The provided continue parameter is too old")
            case Effect.THROTTLED:
                raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", "too many requests", retry_after=1)
            case Effect.ERROR:
                raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", "etcdserver: leader changed")
            case _:
                return

    def _arrive_late(self, what: str, subject: str, act: Callable[[], object]) -> None:
        try:
            act()
        except Problem as problem:
            self._world.log("late request", f"{what} of {subject} → {problem.code}")
        else:
            self._world.log("late request", f"{what} of {subject}")

    async def call_api(self, request: Request) -> bytes:
        """Call the API server."""
        stored = self._world.server.find(request.resource, request.name) if request.name else None
        answer = await self.step(
            name_point(request, stored), name_subject(request), lambda: self._world.answer(request)
        )
        if (request.method, request.resource) == ("GET", PODS) and not request.name:
            self._world.note_shown_pods(self, answer)
        return answer

    async def call_back(
        self, sync: EstimateSync, target: str | None, callback_id: str, body: bytes, now: datetime
    ) -> CallbackAttempt:
        """Call the receiver: whatever goes wrong is what the attempt came to."""
        return await self._call_receiver(
            Point.SEND_CALLBACK, sync, lambda: self._world.receive(sync, target, callback_id, body, now)
        )

    async def send_alert(self, sync: EstimateSync, callback_id: str, body: bytes, now: datetime) -> CallbackAttempt:
        """Call the receiver of alerts, likewise."""
        return await self._call_receiver(
            Point.SEND_ALERT, sync, lambda: self._world.receive_alert(sync, callback_id, body, now)
        )

    async def _call_receiver(self, point: Point, sync: EstimateSync, act: Callable[[], Response]) -> CallbackAttempt:
        self._world.note_attempt(self, sync)
        try:
            response = await self.step(point, sync.name, act)
        except (Problem, aiohttp.ClientError, TimeoutError) as error:
            code = error.code if isinstance(error, Problem) else None
            return CallbackAttempt(status_code=code, error=None if code else "it was not answered")
        return _build_attempt(response)

    def note_target(self) -> bool:
        """Return whether there is a webhook."""
        return self._world.has_target()


_CALL_FAULTS: Final = frozenset(tuple(Effect)[: list(Effect).index(Effect.KILL)])


def compute_now() -> datetime:
    """The present by the cluster's clock."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


class _Callbacks:
    """The reconciler's CallbackSender: the one port that is played as a whole, for there is nothing to decide in it."""

    def __init__(self, process: OperatorProcess) -> None:
        self._process = process

    async def has_target(self, sync: EstimateSync) -> bool:  # noqa: ARG002 - the port's
        return self._process.note_target()

    async def send(
        self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime, target: str | None = None
    ) -> CallbackAttempt:
        return await self._process.call_back(sync, target, callback_id, body, now)

    async def has_alert_target(self) -> bool:
        return self._process.note_target()

    async def send_alert(self, sync: EstimateSync, *, body: bytes, callback_id: str, now: datetime) -> CallbackAttempt:
        return await self._process.send_alert(sync, callback_id, body, now)


def _build_attempt(response: Response) -> CallbackAttempt:
    match response:
        case Response.UNREACHABLE:
            return CallbackAttempt(error="it does not answer")
        case Response.QUEUE_FULL:
            return CallbackAttempt(status_code=400, body_excerpt="Queue is full.")
        case Response.THROTTLED:
            return CallbackAttempt(status_code=429, retry_after=timedelta(seconds=60))
        case _:
            return CallbackAttempt(status_code=int(response))


class _Passes(NoMeter):
    """Watches for passes that fail in a way that nobody has thought of."""

    def __init__(self, world: Surroundings, name: str) -> None:
        self._world = world
        self._name = name

    def record_pass(self, result: PassOutcome, seconds: float) -> None:  # noqa: ARG002 - of no interest here
        if result is PassOutcome.DEFECT:
            self._world.note_defect(f"a pass of {self._name} failed")


class _Watch:
    """One kind's watch, as kopf keeps it: first a listing, then each change in order; what is lost is listed again."""

    def __init__(
        self, world: Surroundings, resource: str, process: OperatorProcess, show: Callable[[str | None, Raw], None]
    ) -> None:
        self._world = world
        self._resource = resource
        self._process = process
        self._show = show
        self._life = 0
        self._is_open = False
        self._newest = 0.0
        self.relist(_LISTING_SECONDS)

    def close(self) -> None:
        self._life += 1
        self._is_open = False

    def relist(self, seconds: float) -> None:
        """Lose everything that is under way, and list after a while."""
        self.close()
        asyncio.get_running_loop().call_later(seconds, self._list, self._life)

    def push(self, change: Change) -> None:
        """Show a change when its time has come, never before an older one."""
        if self._is_open and _is_watched(change.after, self._resource):
            self._plan(change.type, change.raw)

    def _list(self, life: int) -> None:
        if life != self._life:
            return
        if self._world.is_away:
            self.relist(1.0)
            return
        self._is_open = True
        for stored in self._world.server.list(self._resource):
            if _is_watched(stored, self._resource):
                self._plan(None, msgspec.json.encode(stored))

    def _plan(self, kind: str | None, raw: bytes) -> None:
        loop = asyncio.get_running_loop()
        # Timers of the same moment may run in any order.
        self._newest = max(self._newest + _TICK_SECONDS, loop.time() + self._world.compute_lag(self._resource))
        loop.call_at(self._newest, self._deliver, self._life, kind, raw)

    def _deliver(self, life: int, kind: str | None, raw: bytes) -> None:
        self._process.show(partial(self._hand_over, life, kind, raw))

    def _hand_over(self, life: int, kind: str | None, raw: bytes) -> None:
        if life == self._life:
            self._show(kind, msgspec.json.decode(raw))


def _is_watched(thing: Raw, resource: str) -> bool:
    return resource == PLURAL or thing["metadata"].get("labels", {}).get(LABEL_MANAGED_BY) == MANAGED_BY


_BY_COLLECTION: Final = {
    ("GET", PLURAL): Point.LIST_SYNCS,
    ("GET", PODS): Point.LIST_PODS,
    ("GET", JOBS): Point.LIST_LEFTOVERS,
    ("GET", "events"): Point.LIST_EVENTS,
    ("POST", JOBS): Point.CREATE_JOB,
    ("POST", "events"): Point.EMIT_EVENT,
}


def name_point(request: Request, stored: Raw | None) -> Point:
    """Say which kind of step a request is; `stored` is the object that it names, as it is now."""
    if request.resource == LEASES:
        return Point.READ_LEASE if request.method == "GET" else _name_lease(request.body, stored)
    if not request.name:
        return _BY_COLLECTION[request.method, request.resource]
    if request.method == "DELETE":
        return _name_deletion(request)
    if request.method == "PUT":
        return _name_record(request.body["status"], (stored or {}).get("status", {}))
    if request.resource == PLURAL:
        return Point.READ_SYNC
    return Point.READ_JOB if request.resource == JOBS else Point.READ_LOG


_NO_LEASE: Final = {"metadata": {"name": ""}}


def _name_lease(body: Raw, stored: Raw | None) -> Point:
    after, before = parse_lease(msgspec.json.encode(body)), parse_lease(msgspec.json.encode(stored or _NO_LEASE))
    if not after.holder:
        return Point.RELEASE_LEASE
    if after.holder != before.holder:
        return Point.TAKE_LEASE
    return Point.TAKE_SLOT if after.starting - before.starting else Point.RENEW_LEASE


def _name_deletion(request: Request) -> Point:
    if request.resource != JOBS:
        return Point.DELETE_SYNC if request.resource == PLURAL else Point.STOP_RUN
    return Point.STOP_JOB if request.body["propagationPolicy"] == "Foreground" else Point.DELETE_LEFTOVER


def _name_record(status: Raw, before: Raw) -> Point:
    reason, phase = status.get("reason"), Phase(status["phase"])
    if reason == Reason.MALFORMED:
        return Point.RECORD_MALFORMED
    if phase.is_final:
        return _name_late_record(status, before)
    if reason in BLOCKERS | ENDS:
        return Point.RECORD_BLOCKER
    by_reason = {Reason.STARTING: Point.RECORD_START, Reason.STOPPING: Point.RECORD_STOPPING}
    if point := by_reason.get(Reason(str(reason))):
        return point
    return Point.RECORD_WAITING if phase is Phase.QUEUED else Point.RECORD_RUNNING


def _name_late_record(status: Raw, before: Raw) -> Point:
    if before.get("phase") != status["phase"]:
        return Point.RECORD_END
    if status.get("retained") and not before.get("retained"):
        return Point.RECORD_STAY
    if status.get("alert") != before.get("alert"):
        return Point.RECORD_ALERT_ATTEMPT if before.get("alert") else Point.RECORD_ALERT
    return Point.RECORD_LOG if status.get("log") and not before.get("log") else Point.RECORD_ATTEMPT


def name_subject(request: Request) -> str:
    """Name the sync, or else the object, that a request is about; there is one lease."""
    if request.resource == LEASES:
        return ""
    if request.method == "POST":
        labels = request.body["metadata"].get("labels", {})
        return str(labels.get(LABEL_SYNC) or request.body.get("involvedObject", {}).get("name", ""))
    if selector := request.query.get("labelSelector"):
        return selector.rsplit("=", 1)[1]
    return request.name
