"""What is promised of every history, checked at each change of the world and at its end.

The records are the world's own, by uid: what a status says is compared with them, never with itself.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec
from estimatesync_contract.causes import HOLDS, Reason
from estimatesync_contract.estimate_sync import EstimateSync, parse_estimate_sync
from estimatesync_contract.names import PLURAL, build_alert_id, build_callback_id, build_job_name
from estimatesync_contract.redelivery import is_redelivery_requested
from estimatesync_contract.result import SyncResult
from estimatesync_contract.status import CallbackState, Phase, Results
from estimatesync_operator.callback.policy import MAX_ATTEMPTS
from estimatesync_operator.core.retention import Success, get_success
from estimatesync_operator.core.silence import OFF, OVER

from estimatesync_simulator.api_server import JOBS, Change, Raw
from estimatesync_simulator.cluster import COUNTS, is_newly_deleted
from estimatesync_simulator.history import Response
from estimatesync_simulator.operator_process import STALE_AFTER, STUCK_LIMIT, compute_now

_FINAL: Final = frozenset({"Succeeded", "Failed", "Cancelled"})
_MAY_CHANGE: Final = frozenset(
    {"alert", "callback", "callbacks", "conditions", "log", "observedGeneration", "retained"}
)
"""Of a final status: how far its callback is, what of the spec has been seen, a log that would get lost, that it stays,
and that no sync has succeeded since."""
_LAST_RESPONSES: Final = frozenset({Response.GONE})
"""After which no further attempt makes sense."""
_NOT_SEEN_YET: Final = frozenset({Reason.STARTING, Reason.JOB_REFUSED})
_PATIENCE_SECONDS: Final = 3600.0
"""In which all syncs of a history end, queue and limits included; a clock that is set back may add its hour."""

FINAL_REASONS: Final = frozenset(Reason) - {
    *(Reason.QUEUED, Reason.SUSPENDED, Reason.STARTING, Reason.RUNNING, Reason.STOPPING),
}


class _Delivery(msgspec.Struct, kw_only=True):
    """What is known of one callback of a sync, apart from what it says itself."""

    letters: set[tuple[str, bytes]] = msgspec.field(default_factory=set)
    responses: list[Response] = msgspec.field(default_factory=list)
    recorded_attempts: int = 0
    has_settled: bool = False
    """It has been delivered or given up once; a repetition may end with the sync's time."""


class _Record(msgspec.Struct, kw_only=True):
    """What is known of one sync, apart from what it says itself."""

    jobs: int = 0
    has_seen_job: bool = False
    is_deleted_by_person: bool = False
    may_have_stray: bool = False
    final: Raw | None = None
    deliveries: dict[str | None, _Delivery] = msgspec.field(default_factory=dict)
    """By target."""
    alert: _Delivery = msgspec.field(default_factory=_Delivery)
    requested: dict[str | None, int] = msgspec.field(default_factory=dict)
    """Targets whose callback was requested again last, and how many attempts had arrived by then."""
    wants_callback: bool = True

    def get_delivery(self, target: str | None) -> _Delivery:
        return self.deliveries.setdefault(target, _Delivery())


class Promises:
    """Collects what is broken; the first of it is what matters."""

    def __init__(self, max_active: int, *, has_succeeded: Callable[[str], bool]) -> None:
        """`has_succeeded` says whether the program of a sync, by its uid, has stored everything."""
        self._max_active = max_active
        self._has_succeeded = has_succeeded
        self._records: dict[str, _Record] = {}
        self._running: dict[str, Raw] = {}
        self._deleted_jobs: set[str] = set()
        self._foreign_jobs: set[str] = set()
        self._deaths = 0
        self._jumps = 0
        self._requests = 0
        self._takeovers = 0
        self._shown: set[str] = set()
        self._had_target = True
        self._newest_success: Success | None = None
        self._succeeded_at: datetime | None = None
        """When that was recorded, by the cluster's clock."""
        self._teller: str | None = None
        """The uid of the sync that was told of before any had succeeded."""
        self.broken: list[str] = []
        self.states: set[tuple[str, str]] = set()
        """Phases and reasons that were on record."""

    # What the world knows and no object says.

    def note_death(self) -> None:
        """An operator has died: what it was about to record is lost."""
        self._deaths += 1
        self._shown.clear()

    def note_shown_result(self, message: str) -> None:
        """The operator knows what a run has left."""
        with suppress(msgspec.MsgspecError):
            result = msgspec.json.decode(message, type=SyncResult)
            if result.error is None:
                self._shown.add(result.sync_uid)

    def note_takeover(self, *, is_from_the_dead: bool) -> None:
        """Another operator leads: what the one before was about to record is lost, as if it had died."""
        self._takeovers += not is_from_the_dead
        self._shown.clear()

    def note_late_job(self, uid: str) -> None:
        """A request to create the job of a sync may arrive when all is over; what it creates is to be stopped."""
        self._get(uid).may_have_stray = True

    def note_jump(self) -> None:
        """A clock has jumped."""
        self._jumps += 1

    def note_request(self, uid: str, targets: Iterable[str | None]) -> None:
        """A person requests callbacks again; that takes the place of a request that is not served yet."""
        self._requests += 1
        record = self._get(uid)
        record.requested = {target: len(record.get_delivery(target).responses) for target in targets}

    def note_missing_target(self) -> None:
        """There was no webhook for some time."""
        self._had_target = False

    def note_deleted_sync(self, uid: str) -> None:
        """A person has deleted a sync: nothing is promised of it any more but that nothing is left of it."""
        self._get(uid).is_deleted_by_person = True

    def note_deleted_job(self, name: str) -> None:
        """A person has deleted a job."""
        self._deleted_jobs.add(name)

    def note_foreign_job(self, name: str) -> None:
        """A person has created a job under the name of a sync's."""
        self._foreign_jobs.add(name)

    # What happens.

    def check(self, change: Change, sync_of_job: Raw | None) -> None:
        """Check a change; `sync_of_job` is the sync that a new job is for, as it is on record."""
        if change.resource == PLURAL:
            self._check_sync(change)
        elif change.resource == JOBS and change.type == "ADDED":
            self._check_job(change.after, sync_of_job)
        elif change.resource == JOBS and sync_of_job is not None and is_newly_deleted(change):
            self._check_stop(change.after, sync_of_job)

    def _check_stop(self, job: Raw, sync: Raw) -> None:
        """The operator stops the job of a sync that has succeeded only once it has its log."""
        status, name = sync.get("status", {}), job["metadata"]["name"]
        is_own = status.get("jobName") == name and name not in self._deleted_jobs
        if status.get("phase") == Phase.SUCCEEDED and is_own and not status.get("log") and not self._jumps:
            self._break(f"the log of {sync['metadata']['name']} gets lost")

    def _check_job(self, job: Raw, sync: Raw | None) -> None:
        owners = job["metadata"].get("ownerReferences")
        if not owners:
            return
        uid, name = owners[0]["uid"], job["metadata"]["name"]
        record = self._get(uid)
        record.jobs += 1
        if sync is None or sync["metadata"]["uid"] != uid:
            # A request that arrives after the sync is gone makes an orphan, which the garbage collector removes.
            return
        if record.may_have_stray and record.final is not None:
            return
        if record.jobs > 1 and (record.has_seen_job or name not in self._deleted_jobs):
            self._break(f"there is a second job of {owners[0]['name']}")
        status = sync.get("status", {})
        if status.get("phase") != Phase.RUNNING or status.get("jobName") != name:
            self._break(f"the job of {sync['metadata']['name']} is created while the sync is {_describe(sync)}")

    def _check_sync(self, change: Change) -> None:
        sync, before = change.after, (change.before or {}).get("status", {})
        uid, status = sync["metadata"]["uid"], sync.get("status", {})
        if change.type == "DELETED":
            self._running.pop(uid, None)
            self._check_deletion(sync)
            return
        phase, reason = status.get("phase"), status.get("reason")
        self.states.add((phase or "", reason or ""))
        self._count_slots(uid, status)
        record = self._get(uid)
        record.has_seen_job |= phase == Phase.RUNNING and reason not in _NOT_SEEN_YET
        if before.get("phase") in _FINAL:
            self._check_final(sync, before)
        elif phase in _FINAL:
            record.final, record.wants_callback = status, sync["spec"].get("callback", {}).get("enabled", True)
            self._check_end(sync)
            if phase == Phase.SUCCEEDED:
                self._note_success(parse_estimate_sync(sync))

    def _count_slots(self, uid: str, status: Raw) -> None:
        """A sync that starts takes the last slot at most; one that was held back for long has given its own away."""
        if status.get("phase") != Phase.RUNNING:
            self._running.pop(uid, None)
            return
        has_started = uid not in self._running
        self._running[uid] = status
        holders = sum(not self._has_given_way(each) for each in self._running.values())
        if has_started and holders > self._max_active:
            self._break(f"{holders} syncs run at once, {self._max_active} may")

    def _has_given_way(self, status: Raw) -> bool:
        """A clock that has jumped may be early."""
        if status.get("reason") not in HOLDS:
            return False
        (since,) = (each["lastTransitionTime"] for each in status["conditions"] if each["type"] == "Stalled")
        return bool(self._jumps) or compute_now() >= datetime.fromisoformat(since) + STUCK_LIMIT

    def _check_deletion(self, sync: Raw) -> None:
        status, name = sync.get("status", {}), sync["metadata"]["name"]
        record = self._get(sync["metadata"]["uid"])
        if record.is_deleted_by_person:
            return
        if status.get("phase") not in _FINAL:
            self._break(f"{name} is deleted before its end")
        elif is_redelivery_requested(parse_estimate_sync(sync)):
            self._break(f"{name} is deleted though its callback was requested again")
        for target, callback in _list_callbacks(status).items():
            is_settled = record.get_delivery(target).has_settled or CallbackState(callback["state"]).is_final
            if not is_settled:
                self._break(f"{name} is deleted with its callback still owed")
        if self._newest_success and self._newest_success.uid == sync["metadata"]["uid"]:
            self._break(f"{name} is deleted, and no newer sync has succeeded")
        if alert := status.get("alert"):
            if not CallbackState(alert["delivery"]["state"]).is_final:
                self._break(f"{name} is deleted with its alert still owed")
            if self._newest_success is None:
                self._break(f"{name} is deleted, and with it that a silence was told that goes on")

    def _note_success(self, sync: EstimateSync) -> None:
        success, newest = get_success(sync), self._newest_success
        if success and (newest is None or success.rank > newest.rank):
            self._newest_success, self._succeeded_at = success, compute_now()

    def _check_end(self, sync: Raw) -> None:
        """A new end has a cause that is true, and the callback is owed from the same write on."""
        status, name = sync["status"], sync["metadata"]["name"]
        if not (status.get("reason") and status.get("message") and status.get("completionTime")):
            self._break(f"{name} ends without a cause: {_describe(sync)}")
        elif doubt := self._find_untruth(sync):
            self._break(f"{name} ends as {_describe(sync)}, but {doubt}")
        if status.get("reason") == Reason.MALFORMED:
            return
        if asyncio.get_running_loop().time() > _PATIENCE_SECONDS * (1 + self._jumps):
            self._break(f"{name} ends much too late")
        wanted, owed = sync["spec"].get("callback", {}), _list_callbacks(status)
        for target in wanted.get("targets") or [None]:
            has_target = self._had_target or target not in {None, "default"}
            is_owed = owed.get(target, {}).get("state") == CallbackState.PENDING
            if wanted.get("enabled", True) and has_target and not is_owed:
                self._break(f"{name} ends without owing its callback")

    def _find_untruth(self, sync: Raw) -> str | None:
        """Compare an end with what the world knows of it."""
        status, uid = sync["status"], sync["metadata"]["uid"]
        phase, reason, job = status["phase"], status["reason"], build_job_name(uid)
        expected = COUNTS if phase == Phase.SUCCEEDED else Results()
        results = msgspec.convert(status.get("results") or {}, Results)
        untruths = {
            "its program has not succeeded": phase == Phase.SUCCEEDED and not self._has_succeeded(uid),
            "its counts are others": results != expected,
            "its result says that all is stored": phase != Phase.SUCCEEDED and uid in self._shown,
            "nobody has cancelled it": phase == Phase.CANCELLED and not sync["spec"].get("cancel"),
            "nobody has deleted its job": reason == Reason.JOB_DELETED and job not in self._deleted_jobs,
            "nobody has taken the name of its job": reason == Reason.JOB_CONFLICT and job not in self._foreign_jobs,
        }
        return next((untruth for untruth, is_so in untruths.items() if is_so), None)

    def _check_final(self, sync: Raw, before: Raw) -> None:
        """After its end only the delivery moves, and never away from what is owed."""
        status, name = sync["status"], sync["metadata"]["name"]
        changed = {field for field in {*before, *status} if before.get(field) != status.get(field)} - _MAY_CHANGE
        if changed:
            self._break(f"{name} has ended, and its {', '.join(sorted(changed))} changes: {_describe(sync)}")
        earlier, later = _list_callbacks(before), _list_callbacks(status)
        for target, old in earlier.items():
            new, record = later.get(target, {}), self._get(sync["metadata"]["uid"]).get_delivery(target)
            if old.get("id") and old["id"] != new.get("id"):
                self._break(f"the callback of {name} has another id")
            record.recorded_attempts += max(new.get("attempts", 0) - old.get("attempts", 0), 0)
            if old != new:
                self._check_delivery(name, old, new, record)
        if status.get("alert") != before.get("alert"):
            self._check_alert(sync, before.get("alert"), status.get("alert"))

    def _check_alert(self, sync: Raw, old: Raw | None, new: Raw | None) -> None:
        """Once for each silence: a new one is about the newest success, which is long ago, or about none at all."""
        name, uid = sync["metadata"]["name"], sync["metadata"]["uid"]
        record = self._get(uid).alert
        # One that began when the clock was ahead begins anew.
        if new is None or (old and {**old, "delivery": None} != {**new, "delivery": None} and not self._jumps):
            self._break(f"what is told of the silence after {name} changes")
        elif old is None:
            self._check_new_alert(name, uid, datetime.fromisoformat(new["time"]))
        else:
            before, after = old["delivery"], new["delivery"]
            record.recorded_attempts += max(after.get("attempts", 0) - before.get("attempts", 0), 0)
            is_over = after["state"] == CallbackState.DISABLED
            is_newest = self._newest_success is None or self._newest_success.uid == uid
            if is_over and after["lastError"] == OVER and is_newest and not self._jumps:
                self._break(f"{name} says that a sync has succeeded since, and none has")
            if is_over and after["lastError"] == OFF and self._had_target:
                self._break(f"{name} says that there is no webhook, and there is")
            # One that has ended so begins again, with its whole schedule.
            if not is_over and before["state"] != CallbackState.DISABLED:
                self._check_delivery(name, before, after, record)

    def _check_new_alert(self, name: str, uid: str, time: datetime) -> None:
        """A clock that has jumped makes a silence of a moment, and of an end in the future none."""
        newest, recorded = self._newest_success, self._succeeded_at
        if self._jumps:
            return
        if newest is None:
            is_again = self._teller not in {None, uid} and not self._get(self._teller or "").is_deleted_by_person
            self._teller = uid
            if is_again:
                self._break(f"{name} tells a silence once more")
        elif newest.uid != uid and recorded and time > recorded and not self._get(newest.uid).is_deleted_by_person:
            self._break(f"{name} tells a silence that another sync has ended")
        elif newest.uid == uid and time <= newest.completion_time + STALE_AFTER:
            self._break(f"{name} tells a silence that is short")

    def _check_delivery(self, name: str, old: Raw, new: Raw, record: _Delivery) -> None:
        state = new.get("state")
        record.has_settled |= state in {CallbackState.DELIVERED, CallbackState.FAILED}
        if old.get("redelivery") == new.get("redelivery") and old.get("attempts", 0) > new.get("attempts", 0):
            self._break(f"the callback of {name} forgets attempts")
        if state == old.get("state"):
            return
        if state == CallbackState.DELIVERED and Response.OK not in record.responses:
            self._break(f"the callback of {name} is said to be delivered, and nobody has taken it")
        is_given_up = new.get("attempts", 0) >= MAX_ATTEMPTS or _LAST_RESPONSES & {*record.responses}
        if state == CallbackState.FAILED and not is_given_up:
            self._break(f"the callback of {name} is given up too early")
        if state in {None, CallbackState.DISABLED}:
            self._break(f"the callback of {name} is forgotten")

    def check_sender(self, sync: EstimateSync, sender: str, *, leader: str) -> None:
        """Check who is about to send a callback; one that is paused after that may still send it later."""
        if sender != leader:
            self._break(f"the callback of {sync.name} is sent by {sender}, though {leader or 'no one'} leads")

    def check_callback(
        self,
        sync: EstimateSync,
        target: str | None,
        callback_id: str,
        body: bytes,
        response: Response,
        *,
        now: datetime,
    ) -> None:
        """Check an attempt as the receiver of a target sees it."""
        if self._get(sync.uid).final is None:
            self._break(f"the callback of {sync.name} is sent before the end is on record")
        record = self._get(sync.uid).get_delivery(target)
        if callback_id != build_callback_id(sync.uid, target):
            self._break(f"the callback of {sync.name} has the id {callback_id}")
        record.letters.add((callback_id, body))
        if len(record.letters) > 1:
            self._break(f"the callback of {sync.name} changes from one attempt to the next")
        excess = len(record.responses) - record.recorded_attempts
        if excess > self._deaths + self._takeovers + self._requests:
            self._break(f"the callback of {sync.name} is sent again before the last attempt is on record")
        due = next((each.next_attempt_time for each in sync.status.deliveries if each.target == target), None)
        if due and now < due:
            self._break(f"the callback of {sync.name} is sent before it is due")
        record.responses.append(response)

    def check_alert(
        self, sync: EstimateSync, callback_id: str, body: bytes, response: Response, *, now: datetime
    ) -> None:
        """Check an attempt as the receiver of alerts sees it."""
        record, alert = self._get(sync.uid).alert, sync.status.alert
        if alert is None:
            self._break(f"the alert of {sync.name} is sent before it is on record")
            return
        if callback_id != build_alert_id(sync.uid):
            self._break(f"the alert of {sync.name} has the id {callback_id}")
        record.letters.add((callback_id, body))
        if len(record.letters) > 1 and not self._jumps:
            self._break(f"the alert of {sync.name} changes from one attempt to the next")
        excess = len(record.responses) - record.recorded_attempts
        if excess > self._deaths + self._takeovers + self._requests + self._jumps:
            self._break(f"the alert of {sync.name} is sent again before the last attempt is on record")
        if alert.delivery.next_attempt_time and now < alert.delivery.next_attempt_time:
            self._break(f"the alert of {sync.name} is sent before it is due")
        record.responses.append(response)

    def list_unkept(self, syncs: Iterable[Raw], jobs_at_work: Mapping[str, str]) -> list[str]:
        """What should have happened until the end, and has not."""
        left = [
            f"{sync['metadata']['name']} never ends: {_describe(sync)}"
            for sync in syncs
            if (sync.get("status") or {}).get("reason") != Reason.MALFORMED
        ]
        return left + [f"{name} still runs, though nothing else does" for name in jobs_at_work.values()]

    def list_unserved_requests(self) -> list[str]:
        """Which callback was requested again, and no attempt to deliver it has arrived since."""
        return [
            f"the callback of {uid} to {target or 'the one webhook'} was requested again and is not sent"
            for uid, record in self._records.items()
            for target, arrived in record.requested.items()
            if _is_promised(record) and (self._had_target or target not in {None, "default"})
            if len(record.get_delivery(target).responses) <= arrived
        ]

    def _get(self, uid: str) -> _Record:
        return self._records.setdefault(uid, _Record())

    def _break(self, what: str) -> None:
        self.broken.append(what)


def _is_promised(record: _Record) -> bool:
    """Return whether callbacks are owed of a sync: it has ended, and nobody has deleted it."""
    final = record.final or {}
    is_ended = bool(final) and final.get("reason") != Reason.MALFORMED
    return is_ended and record.wants_callback and not record.is_deleted_by_person


def _list_callbacks(status: Raw) -> dict[str | None, Raw]:
    """By target; the first of several stands in both fields."""
    first = status.get("callback")
    return {each.get("target"): each for each in status.get("callbacks") or ([first] if first else [])}


def _describe(sync: Raw) -> str:
    status = sync.get("status") or {}
    callback = (status.get("callback") or {}).get("state", "no callback")
    return f"{status.get('phase', 'new')}, {status.get('reason', 'no reason')}, {callback}"
