"""Which calls were refused for want of a right that their caller should have had: decisions on an audit log. Pure.

Where a test, or an uninstall, takes an account's role or binding away, its calls are refused from then on, as they must
be; so the log also tells who changed roles and bindings. Both have the account's own name.
"""

from collections.abc import Iterable
from datetime import timedelta

from estimatesync_cluster.audit import ApiCall

_RIGHTS = frozenset({"roles", "rolebindings"})
_SETTLING = timedelta(seconds=2)
"""Until the API server's authorizer has heard of a role or binding that was written."""

_Account = tuple[str, str]
"""Namespace and name."""


def find_refusals(calls: Iterable[ApiCall]) -> tuple[ApiCall, ...]:
    """Find the calls of service accounts that were forbidden while nobody had taken their rights away."""
    everything = sorted(calls, key=lambda call: call.answered)
    changes = [call for call in everything if call.resource in _RIGHTS and call.status < 400]  # noqa: PLR2004 - HTTP
    refused = (call for call in everything if call.forbidden and call.user.startswith("system:serviceaccount:"))
    return tuple(call for call in refused if not _is_withdrawn(call, changes))


def _is_withdrawn(refused: ApiCall, changes: Iterable[ApiCall]) -> bool:
    """Tell whether a role or binding of the caller was away when it was refused, or had only just been written."""
    missing: set[str] = set()
    for change in changes:
        if (change.namespace, change.name) != _get_account(refused):
            continue
        if change.verb == "delete" and change.received <= refused.answered:
            missing.add(change.resource)
        if change.verb != "delete" and change.answered + _SETTLING <= refused.received:
            missing.discard(change.resource)
    return bool(missing)


def _get_account(call: ApiCall) -> _Account:
    """Read `system:serviceaccount:NAMESPACE:NAME`."""
    *_, namespace, name = call.user.split(":")
    return namespace, name
