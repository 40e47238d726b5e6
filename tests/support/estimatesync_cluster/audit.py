"""Which account asked the API server for what: its audit log, and which calls were denied that should not have been.

The log ends with its cluster. Where ESTIMATESYNC_AUDIT_DIRECTORY names a directory, each cluster writes it there, so
that the calls of many clusters, one after another, can be judged together.

Where a test, or an uninstall, takes an account's role or binding away, its calls are denied from then on, as they must
be; so the log also records changes of roles and bindings. Both have the account's own name, or that without the
release's: the operator's are called alike in every release.

https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""

import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from estimatesync_cluster.layout import StateLayout, write_private

AUDIT_DIRECTORY = "ESTIMATESYNC_AUDIT_DIRECTORY"
DECISION = "authorization.k8s.io/decision"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        # Changes of rights: what is denied after them may be denied rightly.
        {
            "level": "Metadata",
            "verbs": ["create", "update", "patch", "delete"],
            "resources": [{"group": "rbac.authorization.k8s.io", "resources": ["roles", "rolebindings"]}],
        },
        {"level": "None"},
    ],
}

_RIGHTS = frozenset({"roles", "rolebindings"})
_SETTLING = timedelta(seconds=2)
"""Until the API server's authorizer has heard of a role or binding that was written."""


@dataclass(frozen=True, kw_only=True)
class ApiCall:
    """One request: verb and resource as RBAC names them, for example `update` and `estimatesyncs/status`.

    `forbidden` says that the account has no such right; a 403 may also come from a quota or another admission.
    """

    user: str
    namespace: str
    verb: str
    resource: str
    name: str
    status: int
    forbidden: bool
    received: datetime
    answered: datetime


def write_audit_policy(layout: StateLayout) -> None:
    """Write the policy: calls of service accounts and changes of rights, without contents, which may hold secrets."""
    write_private(layout.audit_policy, json.dumps(POLICY).encode())


def link_audit_log(layout: StateLayout, directory: Path) -> None:
    """Let the log be written to a new file of a directory that outlives the cluster."""
    layout.log("audit").symlink_to(directory / f"{secrets.token_hex(8)}.log")


def read_api_calls(log: Path, *, user: str | None = None) -> tuple[ApiCall, ...]:
    """Read the answered calls of one user, or all in the log, oldest first."""
    return tuple(call for call in _iterate_calls(log) if user in {None, call.user})


def _iterate_calls(log: Path) -> Iterator[ApiCall]:
    with log.open() as lines:
        for line in lines:
            # The last line may be in the middle of being written.
            if line.endswith("\n") and "objectRef" in (entry := json.loads(line)):
                yield _parse_call(entry)


def _parse_call(entry: dict[str, Any]) -> ApiCall:
    target = entry["objectRef"]
    parts = (target["resource"], target.get("subresource"))
    return ApiCall(
        user=entry["user"]["username"],
        namespace=target.get("namespace", ""),
        verb=entry["verb"],
        resource="/".join(part for part in parts if part),
        name=target.get("name", ""),
        status=entry["responseStatus"]["code"],
        forbidden=entry.get("annotations", {}).get(DECISION) == "forbid",
        received=datetime.fromisoformat(entry["requestReceivedTimestamp"]),
        answered=datetime.fromisoformat(entry["stageTimestamp"]),
    )


def find_denied_calls(calls: Iterable[ApiCall]) -> tuple[ApiCall, ...]:
    """Find the calls of service accounts that were forbidden although their rights had not been taken away."""
    everything = sorted(calls, key=lambda call: call.answered)
    changes = [call for call in everything if call.resource in _RIGHTS and call.status < 400]  # noqa: PLR2004 - HTTP
    denied = (call for call in everything if call.forbidden and call.user.startswith("system:serviceaccount:"))
    return tuple(call for call in denied if not _is_withdrawn(call, changes))


def _is_withdrawn(denied: ApiCall, changes: Iterable[ApiCall]) -> bool:
    """Decide whether a role or binding of the caller was away when it was denied, or had only just been written."""
    missing: set[str] = set()
    for change in changes:
        if not _is_of(change, denied):
            continue
        if change.verb == "delete" and change.received <= denied.answered:
            missing.add(change.resource)
        if change.verb != "delete" and change.answered + _SETTLING <= denied.received:
            missing.discard(change.resource)
    return bool(missing)


def _is_of(change: ApiCall, call: ApiCall) -> bool:
    """Decide whether the role or binding is that of the caller, which is `system:serviceaccount:NAMESPACE:NAME`."""
    *_, namespace, name = call.user.split(":")
    return change.namespace == namespace and f"-{name}".endswith(f"-{change.name}")
