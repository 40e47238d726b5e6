"""What a container can be, as values, and how that is written into a pod's status."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from estimatesync_cluster.test_kubelet.manifests import Container

RestartPolicy = Literal["Always", "OnFailure", "Never"]
EXIT_SIGKILL = 137
EXIT_START_ERROR = 128
FIRST_BACK_OFF_SECONDS = 10.0
LONGEST_BACK_OFF_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Not started, and why."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A live process."""

    started_at: datetime
    container_id: str
    ready: bool = True


@dataclass(frozen=True, kw_only=True)
class Terminated:
    """Ended; an exit code above 128 is 128 + the signal's number. Times are absent when it never ran here."""

    exit_code: int
    reason: str
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    container_id: str = ""


State = Waiting | Running | Terminated


@dataclass(frozen=True, kw_only=True)
class ContainerRecord:
    """State of one container now, and how its previous run ended."""

    state: State = Waiting()
    last: Terminated | None = None
    restarts: int = 0


# https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/ knows this state, too: a
# kubelet that finds no container where its predecessor had one.
LOST = Terminated(
    exit_code=EXIT_SIGKILL,
    reason="ContainerStatusUnknown",
    message="The container could not be located when the pod was terminated",
)


def build_terminated(
    running: Running, *, exit_code: int, message: str, now: datetime, was_over_limit: bool = False
) -> Terminated:
    """Build the end of a container that ran."""
    ordinary = "Error" if exit_code else "Completed"
    return Terminated(
        exit_code=exit_code,
        reason="OOMKilled" if was_over_limit else ordinary,
        message=message,
        started_at=running.started_at,
        finished_at=now,
        container_id=running.container_id,
    )


def decide_restart(policy: str, exit_code: int) -> bool:
    """Decide whether the restart policy starts the container again."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def next_back_off_seconds(restarts: int) -> float:
    """Compute the wait before the restart after `restarts` earlier ones: 10 s, doubling, at most 5 min."""
    # The exponent is bounded because a float overflows long before a patient pod gives up.
    return min(FIRST_BACK_OFF_SECONDS * 2.0 ** min(restarts, 10), LONGEST_BACK_OFF_SECONDS)


def build_back_off(container: Container, record: ContainerRecord, ended: Terminated) -> ContainerRecord:
    """Build the record of a container that waits to be started again."""
    seconds = next_back_off_seconds(record.restarts)
    message = f"back-off {seconds:.0f}s restarting failed container={container.name}"
    return replace(record, state=Waiting(reason="CrashLoopBackOff", message=message), last=ended)


def parse_record(raw: dict[str, Any] | None) -> ContainerRecord:
    """Read what an earlier kubelet left in the status: what still ran is lost, what had ended stays so."""
    if raw is None:
        return ContainerRecord()
    state = raw.get("state", {})
    restarts = raw.get("restartCount", 0)
    if ended := state.get("terminated"):
        return ContainerRecord(state=_parse_terminated(ended), restarts=restarts)
    lost = "running" in state
    return ContainerRecord(state=LOST if lost else Waiting(), restarts=restarts)


def _parse_terminated(raw: dict[str, Any]) -> Terminated:
    started, finished = raw.get("startedAt"), raw.get("finishedAt")
    return Terminated(
        exit_code=raw.get("exitCode", 0),
        reason=raw.get("reason", ""),
        message=raw.get("message", ""),
        started_at=datetime.fromisoformat(started) if started else None,
        finished_at=datetime.fromisoformat(finished) if finished else None,
        container_id=raw.get("containerID", ""),
    )


def to_container_status(container: Container, record: ContainerRecord) -> dict[str, Any]:
    """Represent one container as ContainerStatus."""
    running = isinstance(record.state, Running)
    return {
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "containerID": "" if isinstance(record.state, Waiting) else record.state.container_id,
        "ready": isinstance(record.state, Running) and record.state.ready,
        "started": running,
        "restartCount": record.restarts,
        "state": to_state_object(record.state),
        "lastState": to_state_object(record.last) if record.last else {},
    }


def to_state_object(state: State) -> dict[str, Any]:
    """Represent a state as ContainerState; absent values are left out."""
    match state:
        case Waiting():
            return {"waiting": _present(reason=state.reason, message=state.message)}
        case Running():
            return {"running": {"startedAt": format_time(state.started_at)}}
        case Terminated():
            times = {"startedAt": format_time(state.started_at), "finishedAt": format_time(state.finished_at)}
            texts = _present(reason=state.reason, message=state.message, containerID=state.container_id)
            return {"terminated": {"exitCode": state.exit_code, **texts, **times}}


def _present(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def format_time(moment: datetime | None) -> str | None:
    """Represent a time (UTC) as metav1.Time, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
