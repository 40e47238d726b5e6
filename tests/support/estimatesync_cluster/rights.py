"""Service accounts of API, operator and sync pods with the very rights that the chart gives them.

For parts that run beside a cluster, as processes of this checkout; what an installed release has, Helm makes.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

CHART_FILES = Path(__file__).parents[3] / "charts" / "estimatesync" / "files"
PARTS = ("api", "operator")
RBAC_GROUP = "rbac.authorization.k8s.io"
Rule = dict[str, list[str]]
Right = tuple[str, str]
"""Verb and resource, as an audit log has them: `update`, `estimatesyncs/status`."""


def read_rules(part: str) -> list[Rule]:
    """Read what the chart lets a part do, by default."""
    rules: list[Rule] = yaml.safe_load((CHART_FILES / f"{part}-rules.yaml").read_text())
    return rules


def build_rights(rules: Iterable[Rule]) -> frozenset[Right]:
    """Build the single rights that RBAC rules grant."""
    return frozenset((verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"])


def build_accounts() -> str:
    """Build what `kubectl apply` makes the three service accounts from, bound in the namespace it is applied to."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    sync = {**account, "metadata": {"name": "estimatesync-sync"}, "automountServiceAccountToken": False}
    bound = [each for part in PARTS for each in _build_bound_account(f"estimatesync-{part}", read_rules(part))]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [sync, *bound]})


def _build_bound_account(name: str, rules: list[Rule]) -> list[dict[str, Any]]:
    metadata = {"name": name}
    role = {"apiVersion": f"{RBAC_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": name},
        # Without a namespace, a service account of the binding's own namespace is meant.
        "subjects": [{"kind": "ServiceAccount", "name": name}],
    }
    return [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, role, binding]
