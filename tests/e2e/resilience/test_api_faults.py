"""An API server with bad moments: whatever it answers, or does not, the operator recovers by itself.

Each kind of call meets each trouble, in a world of its own. The worlds run side by side: most of it is waiting.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

from estimatesync_cluster.fault_proxy import Answer, DropConnection, Fault, ProxiedRequest
from estimatesync_operator.core.watch_health import BLIND_LIMIT

EVERY_CALL = frozenset(
    {
        *("LIST estimatesyncs", "WATCH estimatesyncs", "GET estimatesyncs", "PUT estimatesyncs/status"),
        *("LIST jobs", "WATCH jobs", "GET jobs", "POST jobs"),
        *("LIST pods", "GET pods/log", "POST events"),
    }
)
GONE = {"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410}}
EVERY_WRITE = frozenset({"PUT estimatesyncs/status", "POST jobs", "POST events"})
ONE_SYNC = {"pageSize": 2, "concurrency": 1}
SECONDS = 300.0
INACTIVITY_SECONDS = 70.0
"""After this time without a sign, not even a bookmark, kopf opens a watch again."""


class Trouble(Fault):
    """Makes trouble for the first calls of each kind."""

    calls = EVERY_CALL
    times = 2

    def __init__(self) -> None:
        self.met: Counter[str] = Counter()
        self._lock = Lock()

    def before(self, request: ProxiedRequest) -> Answer | None:
        return self.trouble(request) if self._is_chosen(request) else None

    def trouble(self, request: ProxiedRequest) -> Answer | None:
        """Answer, wait, or cut; once for each chosen call."""
        raise NotImplementedError

    def _is_chosen(self, request: ProxiedRequest) -> bool:
        call = format_call(request)
        with self._lock:
            if call not in self.calls or self.met[call] >= self.times:
                return False
            self.met[call] += 1
            return True


class Refusal(Trouble):
    """The call is answered by an error, and nothing is done."""

    def __init__(self, status: int, reason: str, *, calls: frozenset[str] = EVERY_CALL, **headers: str) -> None:
        super().__init__()
        self.calls = calls
        self._answer = build_refusal(status, reason, headers)

    def trouble(self, request: ProxiedRequest) -> Answer:  # noqa: ARG002 - the answer is always the same
        return self._answer


class LostRequest(Trouble):
    """The connection breaks before the API server has read the request."""

    def trouble(self, request: ProxiedRequest) -> None:  # noqa: ARG002 - nothing of it matters
        raise DropConnection


class LostAnswer(Trouble):
    """The connection breaks when what was asked for has been done."""

    calls = EVERY_CALL - {"WATCH estimatesyncs", "WATCH jobs"}

    def before(self, request: ProxiedRequest) -> None:
        """Let it happen."""

    def after(self, request: ProxiedRequest) -> None:
        if self._is_chosen(request):
            raise DropConnection


class Latency(Trouble):
    """The first call of each kind takes ten seconds."""

    # The log is read for progress only, and under latency the sync may have ended before it is read first.
    calls = EVERY_CALL - {"GET pods/log"}

    times = 1

    def trouble(self, request: ProxiedRequest) -> None:  # noqa: ARG002 - nothing of it matters
        time.sleep(10)


class Silence(Trouble):
    """The API server does what it was asked for and says nothing, for longer than any client waits."""

    times = 1
    calls = frozenset({"POST jobs", "PUT estimatesyncs/status"})

    def before(self, request: ProxiedRequest) -> None:
        """Let it happen."""

    def after(self, request: ProxiedRequest) -> None:
        if self._is_chosen(request):
            time.sleep(40)
            raise DropConnection


class FullDisk(Fault):
    """Reads are answered and writes are not, as when etcd is full; from the callback's delivery on, for a while."""

    calls = frozenset({"PUT estimatesyncs/status"})
    times = 5

    def __init__(self) -> None:
        self.met: Counter[str] = Counter()

    def before(self, request: ProxiedRequest) -> Answer | None:
        call = format_call(request)
        if call in self.calls and b'"Delivered"' in request.body and self.met[call] < self.times:
            self.met[call] += 1
            return build_refusal(500, "InternalError", {})
        return None


class LongOutage(Fault):
    """From the job's creation on, nothing is answered for longer than kopf tries of its own accord."""

    calls = frozenset({"POST jobs"})
    seconds = 75.0

    def __init__(self) -> None:
        self.met: Counter[str] = Counter()
        self.proxy: Any = None
        self._end = float("inf")
        self._begin = float("inf")

    def before(self, request: ProxiedRequest) -> Answer | None:
        is_away = self._begin <= time.monotonic() < self._end
        return build_refusal(503, "ServiceUnavailable", {}) if is_away and not request.is_callback else None

    def after(self, request: ProxiedRequest) -> None:
        if format_call(request) == "POST jobs" and not self.met:
            self.met["POST jobs"] += 1
            self._begin = time.monotonic()
            self._end = self._begin + self.seconds
            self.proxy.end_watches(GONE)
            raise DropConnection


TROUBLES: dict[str, Callable[[], Any]] = {
    "conflict": lambda: Refusal(409, "Conflict", calls=EVERY_WRITE),
    "too many requests": lambda: Refusal(429, "TooManyRequests", **{"Retry-After": "1"}),
    "internal error": lambda: Refusal(500, "InternalError"),
    "unavailable": lambda: Refusal(503, "ServiceUnavailable"),
    "lost request": LostRequest,
    "lost answer": LostAnswer,
    "latency": Latency,
    "silence": Silence,
    "full disk": FullDisk,
    "long outage": LongOutage,
}


def test_a_sync_ends_right_whatever_trouble_its_calls_meet(open_world: Any, promise: Any) -> None:
    def endure(name: str) -> list[str]:
        with open_world() as world:
            return endure_trouble(world, TROUBLES[name](), promise)

    def endure_silence() -> list[str]:
        with open_world() as world:
            return endure_silent_watches(world, promise)

    def endure_blind() -> list[str]:
        with open_world() as world:
            return endure_blindness(world, promise)

    with ThreadPoolExecutor(len(TROUBLES) + 2) as pool:
        silence, blindness = pool.submit(endure_silence), pool.submit(endure_blind)
        faults = dict(zip(TROUBLES, pool.map(endure, TROUBLES), strict=True))

    assert {name: found for name, found in faults.items() if found} == {}
    assert silence.result() == []
    assert blindness.result() == []


def endure_trouble(world: Any, trouble: Any, promise: Any) -> list[str]:
    # The log is read for progress only: on a busy machine the sync could be over before it is read first.
    needs_no_log = "GET pods/log" not in trouble.calls
    world.slow_down(0.3, until=lambda: needs_no_log or trouble.met["GET pods/log"], before=3)
    world.proxy.fault, trouble.proxy = trouble, world.proxy
    operator = world.start_operator()
    world.create_sync("sync", **ONE_SYNC)
    world.wait_over("sync", seconds=SECONDS)

    # An event that meets the trouble is lost; nothing else may be.
    faults: list[str] = world.list_lasting_faults("sync", promise(may_lose=5))
    if spared := trouble.calls - set(trouble.met):
        faults.append(f"never met it: {spared}")
    if operator.process.has_ended():
        faults.append(f"the operator ended: {world.describe()}")
    return faults


def endure_silent_watches(world: Any, promise: Any) -> list[str]:
    """The connections of the watches stay open and nothing comes through, as behind a firewall that forgot them."""
    operator = world.start_operator()
    world.slow_down(0.3)
    world.create_sync("under-way", **ONE_SYNC)
    world.wait_until("progress", lambda: world.read_status("under-way").get("progress"))
    silenced = world.proxy.silence_watches()

    # A running sync is polled without an event; a new one is found when the watch is opened again.
    world.wait_over("under-way", seconds=INACTIVITY_SECONDS / 2)
    faults: list[str] = world.list_lasting_faults("under-way", promise())
    world.create_sync("unheard-of")
    world.wait_over("unheard-of", seconds=INACTIVITY_SECONDS + 60)
    faults += world.list_lasting_faults("unheard-of", promise(new=0))
    if silenced != 2 or operator.process.has_ended():
        faults.append(f"{silenced} watches were silenced: {world.describe()}")
    return faults


def endure_blindness(world: Any, promise: Any) -> list[str]:
    """Watches that stay dead, even when opened again: only a restart helps, and the liveness says so."""
    operator = world.start_operator()
    world.slow_down(0.3)
    world.create_sync("under-way", **ONE_SYNC)
    world.wait_until("progress", lambda: world.read_status("under-way").get("progress"))
    world.proxy.fault = blindness = Blindness()
    world.proxy.silence_watches()

    # What the operator writes from now on is accepted, and never shown.
    world.wait_over("under-way")
    faults: list[str] = [] if operator.is_healthy() else ["it was called blind before the limit"]
    world.wait_until("a failing probe", lambda: not operator.is_healthy(), seconds=BLIND_LIMIT.total_seconds() + 60)
    world.kill_operators()
    world.proxy.fault = Fault()
    blindness.end.set()
    world.start_operator()
    world.create_sync("next")
    world.wait_over("next")
    return (
        faults + world.list_lasting_faults("under-way", promise()) + world.list_lasting_faults("next", promise(new=0))
    )


class Blindness(Fault):
    """A client that opens a watch never gets a response."""

    def __init__(self) -> None:
        self.end = Event()

    def before(self, request: ProxiedRequest) -> None:
        if request.is_watch:
            self.end.wait(SECONDS)


def build_refusal(status: int, reason: str, headers: dict[str, str]) -> Answer:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "made up", "reason": reason}
    return Answer(
        status=status,
        body=json.dumps({**body, "code": status}).encode(),
        headers={"Content-Type": "application/json", **headers},
    )


def format_call(request: ProxiedRequest) -> str:
    """Name a call by its verb and its resource, as RBAC would."""
    _, _, below = request.path.partition("/namespaces/")
    _, resource, *rest = [*below.split("/"), ""][: below.count("/") + 1] if below else ("", "")
    kind = "/".join([resource, *rest[1:]])
    verb = "LIST" if request.method == "GET" and not rest else request.method
    return f"{'WATCH' if request.is_watch else verb} {kind}"
