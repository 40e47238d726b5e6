"""Who asked the API server for what: its audit log, for tests that count the calls of a service account.

https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from estimatesync_cluster.layout import StateLayout, write_private

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


@dataclass(frozen=True, kw_only=True)
class ApiCall:
    """One request: verb and resource as RBAC names them, for example `update` and `estimatesyncs/status`."""

    verb: str
    resource: str
    name: str
    status: int


def write_audit_policy(layout: StateLayout) -> None:
    """Write the policy: every request of a service account, without its content, which may hold secrets."""
    write_private(layout.audit_policy, json.dumps(POLICY).encode())


def read_api_calls(log: Path, *, user: str) -> tuple[ApiCall, ...]:
    """Read the answered calls of one user, oldest first."""
    return tuple(_iterate_calls(log, user))


def _iterate_calls(log: Path, user: str) -> Iterator[ApiCall]:
    with log.open() as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["user"]["username"] == user and "objectRef" in entry:
                target = entry["objectRef"]
                parts = (target["resource"], target.get("subresource"))
                yield ApiCall(
                    verb=entry["verb"],
                    resource="/".join(part for part in parts if part),
                    name=target.get("name", ""),
                    status=entry["responseStatus"]["code"],
                )
