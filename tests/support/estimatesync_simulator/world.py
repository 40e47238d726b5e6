"""One history from its beginning to its end: the world around the operator, its people, and what they do when."""

import asyncio
import itertools
import logging
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync, parse_estimate_sync
from estimatesync_contract.names import ANNOTATION_REDELIVER, API_VERSION, KIND, LABEL_SYNC, PLURAL, build_job_name
from estimatesync_contract.redelivery import name_targets
from estimatesync_operator.core.lease import LEASE_NAME, Identity, LeaseTiming
from estimatesync_operator.core.retention import is_settled

from estimatesync_simulator.api_server import JOBS, LEASES, PODS, ApiServer, Change, Problem, Raw, Request
from estimatesync_simulator.cluster import Cluster, list_messages
from estimatesync_simulator.history import PEOPLES, Decision, Effect, History, Point, Response, Run, SyncPlan
from estimatesync_simulator.loop import SimulatedLoop
from estimatesync_simulator.operator_process import OperatorProcess, compute_now
from estimatesync_simulator.promises import Promises

_RESTART_SECONDS: Final = 3.0
_LATENCY_SECONDS: Final = 0.005
_LAG_SECONDS: Final = 0.02
_DAY_SECONDS: Final = 86_400.0
_HORIZON_SECONDS: Final = 4 * _DAY_SECONDS
"""By then every callback has been tried for the last time, although clocks were set back meanwhile."""
_CALM_SECONDS: Final = 60.0
"""Before that nobody expects the world to be at rest: something may still be decided."""

_RIVALRY_SECONDS: Final = 150.0
"""In which there may be two operators."""
_ROLLOUT_SECONDS: Final = 2.0
_RIVALS_TIMING: Final = LeaseTiming(duration=10.0, deadline=7.0, renewal=3.0, poll=2.5)
_LONE_TIMING: Final = LeaseTiming(duration=14_400.0, deadline=7200.0, renewal=3600.0, poll=30.0)

_LOGGERS: Final = ("estimatesync_operator", "estimatesync_simulator")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a history."""

    violations: tuple[str, ...]
    log: tuple[str, ...]
    cells: frozenset[tuple[Point, Effect]]
    """Which fault was met at which step."""
    effects: frozenset[Effect]
    """What else has happened."""
    points: Counter[Point]
    """How often each step was made."""
    states: frozenset[tuple[str, str]]
    """Phases and reasons that were on record."""
    seconds: float
    """Simulated time."""


def run_history(history: History) -> Report:
    """Let a history happen."""
    with _captured_logs() as defects:
        return World(history, defects).run()


class World:
    """Everything that exists in one history, and the surroundings of its operators."""

    def __init__(self, history: History, defects: list[str]) -> None:
        """`defects` is where tracebacks of the program end up."""
        self._history = history
        self._defects = defects
        self._loop = SimulatedLoop()
        self._rng = None if history.jitter is None else random.Random(history.jitter)  # noqa: S311 - a simulation
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: list[tuple[float, str, str]] = []
        self._counts: Counter[Point] = Counter()
        self._at_calls: defaultdict[tuple[Point, int], list[Decision]] = defaultdict(list)
        self._cells: set[tuple[Point, Effect]] = set()
        self._effects: set[Effect] = set()
        self._operators: list[OperatorProcess] = []
        self._operator_numbers = itertools.count(1)
        self._late_until: dict[str, float] = {PLURAL: 0.0, JOBS: 0.0}
        self._refused_until = 0.0
        self._untargeted_until = 0.0
        self._outages = 0
        self._answered: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._touches = itertools.count(1)
        self._plans = {f"sync-{number}": plan for number, plan in enumerate(history.syncs)}
        self._unborn = set(self._plans)
        self._undecided = 0
        self._seen_version = 0
        self._was_clean = False
        self._happenings: dict[Effect, Callable[[Decision], None]] = {
            Effect.KILL: self._kill,
            Effect.SECOND_OPERATOR: self._run_second_operator,
            Effect.ROLLOUT: self._roll_out,
            Effect.OUTAGE: self._go_away,
            Effect.LATE_SYNCS: partial(self._be_late, PLURAL),
            Effect.LATE_JOBS: partial(self._be_late, JOBS),
            Effect.RELIST: self._relist,
            Effect.CLOCK: self._set_clock,
            Effect.QUOTA: self._refuse_jobs,
            Effect.NO_TARGET: self._lose_target,
            Effect.CANCEL: self._cancel,
            Effect.SUSPEND: self._suspend,
            Effect.RESUME: self._resume,
            Effect.TOUCH: self._touch,
            Effect.REDELIVER: self._redeliver,
            Effect.DELETE_SYNC: self._delete_sync,
            Effect.RECREATE: self._recreate,
            Effect.DELETE_JOB: self._delete_job,
            Effect.FOREIGN_JOB: self._create_foreign_job,
            Effect.SUSPEND_JOB: self._suspend_job,
        }
        self.server = ApiServer(compute_now, self._see)
        self._cluster = Cluster(self.server, now=compute_now, spawn=self.spawn, log=self.log, find_runs=self._find_runs)
        self._pod = "pod-1"
        """The pod of who leads, or has led last."""
        self.promises = Promises(
            history.max_active,
            has_succeeded=self._cluster.succeeded.__contains__,
        )

    def run(self) -> Report:
        """Let everything happen, until nothing is left to happen or a promise is broken."""
        self._plan()
        self._loop.call_soon(self._start_operator)
        self._loop.run_until(self._is_over, deadline=_HORIZON_SECONDS)
        self._loop.run_until(lambda: False, deadline=self._loop.time())
        violations = [*self.promises.broken, *self._loop.failures, *self._defects]
        if not violations:
            left_over = (sync for sync in self.server.list(PLURAL) if not _is_retained(sync))
            violations += self.promises.list_unkept(left_over, self._list_jobs_at_work())
            violations += self.promises.list_unserved_requests()
        if not violations and self._remembers_others():
            left = {operator.name: operator.cache.list_names() for operator in self._operators}
            violations += [f"an operator remembers syncs that are gone: {left}"] if self._is_clean() else []
        self._end()
        return Report(
            violations=tuple(violations),
            log=tuple(f"{_format_seconds(moment)} {actor} {text}" for moment, actor, text in self._lines),
            cells=frozenset(self._cells),
            effects=frozenset(self._effects),
            points=self._counts,
            states=frozenset(self.promises.states),
            seconds=self._loop.time(),
        )

    def _plan(self) -> None:
        for name, plan in self._plans.items():
            self._loop.call_at(plan.at, self._create_sync, name, plan)
        for decision in self._history.decisions:
            if decision.point is None:
                self._undecided += 1
                self._loop.call_at(decision.at, self._happen_now, decision)
            else:
                self._at_calls[decision.point, decision.nth].append(decision)
        if self._history.has_rivals:
            self._loop.call_at(_RIVALRY_SECONDS, self._relax)

    def _relax(self) -> None:
        for operator in self._operators:
            operator.relax()

    def _happen_now(self, decision: Decision) -> None:
        self._undecided -= 1
        self.happen(decision)

    def _is_over(self) -> bool:
        """Return whether a promise is broken, or all is said and done: what is malformed stays for people to see."""
        if self.promises.broken or self._defects:
            return True
        if self._unborn or self._undecided or self._loop.time() < _CALM_SECONDS or not self._operators:
            return False
        # Asked whenever time moves on, which is more often than an object changes.
        if self._seen_version != self.server.version:
            self._seen_version, self._was_clean = self.server.version, self._is_clean()
        return self._was_clean and not self._remembers_others()

    def _is_clean(self) -> bool:
        left = [sync for sync in self.server.list(PLURAL) if not _is_retained(sync)]
        is_at_rest = not self._list_other_jobs() and not self._list_jobs_at_work()
        return is_at_rest and all(_is_malformed(sync) and "status" in sync for sync in left)

    def _list_retained(self) -> dict[str, str]:
        """The uids of the syncs that stay past their time, by name."""
        left = (sync["metadata"] for sync in self.server.list(PLURAL) if _is_retained(sync))
        return {metadata["name"]: metadata["uid"] for metadata in left}

    def _list_other_jobs(self) -> list[Raw]:
        """The jobs of no sync that stays."""
        staying = {*self._list_retained().values()}
        return [
            job
            for job in self.server.list(JOBS)
            if not staying & {owner["uid"] for owner in job["metadata"].get("ownerReferences", ())}
        ]

    def _remembers_others(self) -> bool:
        """Return whether an operator knows of syncs besides those that stay."""
        return any({*operator.cache.list_names()} - self._list_retained().keys() for operator in self._operators)

    def _end(self) -> None:
        """Cancel what still waits, so that nothing of this world is left to run in the next one."""
        for operator in tuple(self._operators):
            operator.kill()
        for task in tuple(self._tasks):
            task.cancel()
        self._loop.run_until(lambda: False, deadline=self._loop.time())
        self._loop.close()

    def _list_jobs_at_work(self) -> dict[str, str]:
        """Jobs with a pod that runs and is not on its way out, by the sync that owns them."""
        jobs = {job["metadata"]["uid"]: job for job in self.server.list(JOBS)}
        at_work = {}
        for pod in self.server.list(PODS):
            job = jobs.get(pod["metadata"]["ownerReferences"][0]["uid"])
            is_ending = "deletionTimestamp" in pod["metadata"]
            if job and not is_ending and pod["status"].get("phase") in {"Pending", "Running"}:
                at_work[job["metadata"]["labels"].get(LABEL_SYNC, "")] = job["metadata"]["name"]
        return at_work

    # What its parts ask of it.

    def log(self, actor: str, text: str) -> None:
        self._lines.append((self._loop.time(), actor, text))

    def spawn(self, program: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(program)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        return task

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._loop.failures.append(f"{type(error).__name__}: {error}")

    def _see(self, change: Change) -> None:
        if change.resource == LEASES:
            self._note_holder(change)
            return
        self.promises.check(change, self._find_sync(change.after) if change.resource == JOBS else None)
        self._cluster.see(change)
        for operator in self._operators:
            operator.see(change)

    def _note_holder(self, change: Change) -> None:
        """One who lives, and no longer leads, may have done what the next one does again."""
        before, after = _read_holder(change.before), _read_holder(change.after)
        self._pod = Identity.parse(after).pod or self._pod
        if before != after:
            self.promises.note_takeover(is_from_the_dead=not self._is_alive(before))

    def _is_alive(self, holder: str) -> bool:
        return any(str(operator.identity) == holder for operator in self._operators)

    @property
    def lease_timing(self) -> LeaseTiming:
        has_rivals = self._history.has_rivals and self._loop.time() < _RIVALRY_SECONDS
        return _RIVALS_TIMING if has_rivals else _LONE_TIMING

    def _find_sync(self, job: Raw) -> Raw | None:
        return self.server.find(PLURAL, job["metadata"].get("labels", {}).get(LABEL_SYNC, ""))

    def _find_runs(self, name: str) -> Sequence[Run]:
        plan = self._plans.get(name)
        return plan.runs if plan else ()

    @property
    def is_away(self) -> bool:
        return self._outages > 0

    def answer(self, request: Request) -> bytes:
        if (request.method, request.resource) == ("POST", JOBS) and self._loop.time() < self._refused_until:
            raise Problem(HTTPStatus.FORBIDDEN, "Forbidden", "exceeded quota: count/jobs.batch", name=request.name)
        return self.server.answer(request)

    def meet(self, point: Point) -> Sequence[Decision]:
        self._counts[point] += 1
        decisions = self._at_calls.pop((point, self._counts[point]), ())
        self._effects.update(decision.effect for decision in decisions)
        return decisions

    def note_fault(self, point: Point, fault: Effect) -> None:
        self._cells.add((point, fault))

    def note_late_job(self, sync_name: str) -> None:
        if sync := self.server.find(PLURAL, sync_name):
            self.promises.note_late_job(sync["metadata"]["uid"])

    def note_pause(self) -> None:
        """There is another one then, if there can be."""
        self._run_second_operator(Decision(effect=Effect.SECOND_OPERATOR, seconds=_RIVALRY_SECONDS))

    def note_shown_pods(self, process: OperatorProcess, listing: bytes) -> None:
        if str(process.identity) != _read_holder(self.server.find(LEASES, LEASE_NAME)):
            return
        for message in list_messages(msgspec.json.decode(listing, type=Raw)["items"]):
            self.promises.note_shown_result(message)

    def note_attempt(self, process: OperatorProcess, sync: EstimateSync) -> None:
        holder = _read_holder(self.server.find(LEASES, LEASE_NAME))
        self.promises.check_sender(sync, str(process.identity), leader=holder)

    def note_jump(self) -> None:
        self.promises.note_jump()

    def note_defect(self, what: str) -> None:
        self._defects.append(what)

    def choose_latency(self) -> float:
        return _LATENCY_SECONDS if self._rng is None else self._rng.choice((0.001, 0.003, 0.01, 0.05))

    def compute_lag(self, resource: str) -> float:
        late = self._late_until[resource] - self._loop.time()
        return max(late, 0.0) + (_LAG_SECONDS if self._rng is None else self._rng.choice((0.002, 0.02, 0.2)))

    def has_target(self) -> bool:
        return self._loop.time() >= self._untargeted_until

    def receive(self, sync: EstimateSync, target: str | None, callback_id: str, body: bytes, now: datetime) -> Response:
        self._answered[sync.name] += 1
        plan, number = self._plans.get(sync.name), self._answered[sync.name]
        responses = plan.responses if plan else ()
        response = responses[number - 1] if number <= len(responses) else Response.OK
        self.log("receiver", f"takes {callback_id} of {sync.name}: {response}")
        self.promises.check_callback(sync, target, callback_id, body, response, now=now)
        return response

    def receive_alert(self, sync: EstimateSync, callback_id: str, body: bytes, now: datetime) -> Response:
        self._told[sync.name] += 1
        plan, number = self._plans.get(sync.name), self._told[sync.name]
        response = next(iter((plan.alert_responses if plan else ())[number - 1 : number]), Response.OK)
        self.log("receiver", f"takes {callback_id} of {sync.name}: {response}")
        self.promises.check_alert(sync, callback_id, body, response, now=now)
        return response

    def bury(self, process: OperatorProcess) -> None:
        self._operators.remove(process)
        self.promises.note_death()
        if not process.is_second:
            self._loop.call_later(_RESTART_SECONDS, self._start_operator)

    def _start_operator(self, *, is_second: bool = False) -> OperatorProcess:
        """One that begins alone is the next process of the same pod; beside another one it is another pod."""
        number = next(self._operator_numbers)
        pod = f"pod-{number}" if self._operators or is_second else self._pod
        process = OperatorProcess(
            self, f"operator-{number}", pod, max_active=self._history.max_active, is_second=is_second
        )
        self._operators.append(process)
        return process

    # What happens in it.

    def happen(self, decision: Decision) -> None:
        """What people do, they do once the API server is there."""
        if self.is_away and decision.effect in PEOPLES:
            self._loop.call_later(1.0, self.happen, decision)
            return
        self._effects.add(decision.effect)
        self._happenings[decision.effect](decision)

    def _create_sync(self, name: str, plan: SyncPlan) -> None:
        self._unborn.discard(name)
        spec: Raw = {"timeoutSeconds": plan.timeout, "maxRetries": plan.max_retries}
        if plan.ttl is not None:
            spec["ttlSecondsAfterFinished"] = plan.ttl
        if not plan.wants_callback:
            spec["callback"] = {"enabled": False}
        elif plan.targets:
            spec["callback"] = {"targets": list(plan.targets)}
        if plan.is_suspended:
            spec["suspend"] = True
            self._loop.call_later(_CALM_SECONDS, self._change_spec, name, {"suspend": False}, "lets it go on")
        if plan.is_malformed:
            spec["concurrency"] = "many"
        metadata = {"name": name, "namespace": "ns"}
        with suppress(Problem):
            self.server.create(PLURAL, {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
            self.log("person", f"creates {name}")

    def _change_spec(self, name: str, change: Raw, what: str) -> None:
        sync = self.server.find(PLURAL, name)
        if sync is None:
            return
        self.log("person", f"{what} ({name})")
        self.server.update(PLURAL, name, spec={**sync["spec"], **change})

    def _cancel(self, decision: Decision) -> None:
        self._change_spec(_name(decision), {"cancel": True}, "cancels")

    def _suspend(self, decision: Decision) -> None:
        name = _name(decision)
        self._change_spec(name, {"suspend": True}, "suspends")
        self._loop.call_later(decision.seconds, self._change_spec, name, {"suspend": False}, "lets it go on")

    def _resume(self, decision: Decision) -> None:
        self._change_spec(_name(decision), {"suspend": False}, "lets it go on")

    def _touch(self, decision: Decision) -> None:
        self._label(_name(decision), "labels", {"touched": str(next(self._touches))})

    def _label(self, name: str, field: str, values: dict[str, str]) -> None:
        sync = self.server.find(PLURAL, name)
        if sync is not None:
            self.log("person", f"sets {field} of {name}")
            known = sync["metadata"].get(field, {})
            self.server.update_metadata(PLURAL, name, **{field: {**known, **values}})

    def _redeliver(self, decision: Decision) -> None:
        """For all targets at times, and for one of them at others."""
        name, number = _name(decision), next(self._touches)
        targets = self._plans[name].targets
        chosen = targets[-1:] if number % 2 else ()
        if sync := self.server.find(PLURAL, name):
            self.promises.note_request(sync["metadata"]["uid"], chosen or targets or (None,))
        self._label(name, "annotations", {ANNOTATION_REDELIVER: name_targets(str(number), chosen)})

    def _delete_sync(self, decision: Decision) -> None:
        if sync := self.server.find(PLURAL, _name(decision)):
            self.log("person", f"deletes {_name(decision)}")
            self.promises.note_deleted_sync(sync["metadata"]["uid"])
            self.server.remove(PLURAL, _name(decision))

    def _recreate(self, decision: Decision) -> None:
        name = _name(decision)
        if self.server.find(PLURAL, name):
            self._delete_sync(decision)
            plan = self._plans[name]
            self._create_sync(name, msgspec.structs.replace(plan, is_malformed=decision.nth > 1))

    def _delete_job(self, decision: Decision) -> None:
        if job := self._find_job(decision):
            name = job["metadata"]["name"]
            propagation = "Foreground" if decision.nth % 2 else "Background"
            self.log("person", f"deletes {name}, {propagation}")
            self.promises.note_deleted_job(name)
            self.server.delete(JOBS, name, propagation=propagation)

    def _suspend_job(self, decision: Decision) -> None:
        if job := self._find_job(decision):
            name = job["metadata"]["name"]
            self._set_job_suspended(name, is_suspended=True)
            self._loop.call_later(decision.seconds, lambda: self._set_job_suspended(name, is_suspended=False))

    def _set_job_suspended(self, name: str, *, is_suspended: bool) -> None:
        if job := self.server.find(JOBS, name):
            self.log("person", f"{'suspends' if is_suspended else 'resumes'} {name}")
            self.server.update(JOBS, name, spec={**job["spec"], "suspend": is_suspended})

    def _find_job(self, decision: Decision) -> Raw | None:
        sync = self.server.find(PLURAL, _name(decision))
        return self.server.find(JOBS, build_job_name(sync["metadata"]["uid"])) if sync else None

    def _create_foreign_job(self, decision: Decision) -> None:
        sync = self.server.find(PLURAL, _name(decision))
        if sync is None:
            return
        name = build_job_name(sync["metadata"]["uid"])
        with suppress(Problem):
            self.server.create(JOBS, {"metadata": {"name": name}, "spec": {}})
            self.log("person", f"creates a job of their own named {name}")
            self.promises.note_foreign_job(name)
            self._loop.call_later(_DAY_SECONDS / 4, self.server.remove, JOBS, name)

    def _kill(self, decision: Decision) -> None:  # noqa: ARG002 - as every happening
        if self._operators:
            self.log(self._operators[0].name, "dies")
            self._operators[0].kill()

    def _run_second_operator(self, decision: Decision) -> None:
        left = _RIVALRY_SECONDS - self._loop.time()
        if len(self._operators) == 1 and left > 0:
            second = self._start_operator(is_second=True)
            self._loop.call_later(min(max(decision.seconds, 1.0), left), second.kill)

    def _roll_out(self, decision: Decision) -> None:  # noqa: ARG002 - as every happening
        if len(self._operators) == 1 and self._loop.time() < _RIVALRY_SECONDS:
            (old,) = self._operators
            old.is_second = True
            self._start_operator()
            self._loop.call_later(_ROLLOUT_SECONDS, old.stop)

    def _go_away(self, decision: Decision) -> None:
        self.log("API server", f"is away for {decision.seconds:.1f} s")
        self._outages += 1
        self._cut_watches(decision.seconds + 1.0)
        self._loop.call_later(decision.seconds, self._come_back)

    def _come_back(self) -> None:
        self._outages -= 1
        self.log("API server", "is back")

    def _cut_watches(self, seconds: float) -> None:
        for operator in self._operators:
            operator.cut_watches(seconds)

    def _relist(self, decision: Decision) -> None:
        self.log("API server", f"cuts the watches for {decision.seconds:.1f} s; then they are listed again")
        self.server.forget_listings()
        self._cut_watches(decision.seconds)

    def _be_late(self, resource: str, decision: Decision) -> None:
        self.log("API server", f"shows {resource} only in {decision.seconds:.1f} s")
        self._late_until[resource] = self._loop.time() + decision.seconds

    def _set_clock(self, decision: Decision) -> None:
        if self._operators:
            self._operators[0].jump(decision.seconds)

    def _refuse_jobs(self, decision: Decision) -> None:
        self.log("API server", f"refuses jobs for {decision.seconds:.1f} s")
        self._refused_until = self._loop.time() + decision.seconds

    def _lose_target(self, decision: Decision) -> None:
        self.log("person", f"takes the webhook away for {decision.seconds:.1f} s")
        self.promises.note_missing_target()
        self._untargeted_until = self._loop.time() + decision.seconds


def _read_holder(lease: Raw | None) -> str:
    return str((lease or {}).get("spec", {}).get("holderIdentity", ""))


def _name(decision: Decision) -> str:
    return f"sync-{decision.sync}"


def _is_malformed(sync: Raw) -> bool:
    return not isinstance(sync["spec"].get("concurrency", 1), int)


def _is_retained(sync: Raw) -> bool:
    """Return whether nothing is left to do about a sync but to keep it: that none has succeeded since has been told."""
    status = sync.get("status") or {}
    is_retained = bool(status.get("retained") and status.get("alert"))
    return is_retained and is_settled(parse_estimate_sync(sync))


def _format_seconds(moment: float) -> str:
    minutes, seconds = divmod(moment, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02}:{minutes:02}:{seconds:06.3f}"


class _Defects(logging.Handler):
    """Keeps the tracebacks of passes that failed in a way that nobody has thought of."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(self.format(record))


@contextmanager
def _captured_logs() -> Iterator[list[str]]:
    """Keep the operator's log lines away: thousands of histories would write millions, and their failures are meant."""
    logger, found = logging.getLogger("estimatesync_operator"), list[str]()
    handler, before = _Defects(found), (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
        logger.setLevel(before[0])
