from datetime import UTC, datetime, timedelta

import pytest
from estimatesync_cluster.audit import ApiCall, find_denied_calls

ADMINISTRATOR = "admin"
OPERATOR = "system:serviceaccount:estimates:sync-operator"
BEGIN = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)


def make_call(user: str, verb: str, resource: str, *, at: float, name: str = "", **fields: object) -> ApiCall:
    """One call of this namespace; `at` is in seconds, and it is answered a tenth of a second later."""
    received = BEGIN + timedelta(seconds=at)
    values = {"namespace": "estimates", "status": 200, "forbidden": False, **fields}
    times = {"received": received, "answered": received + timedelta(seconds=0.1)}
    return ApiCall(user=user, verb=verb, resource=resource, name=name, **times, **values)  # type: ignore[arg-type] # a table's fields


def change(verb: str, resource: str, *, at: float, name: str = "sync-operator", **fields: object) -> ApiCall:
    return make_call(ADMINISTRATOR, verb, resource, at=at, name=name, **fields)


def refuse(*, at: float) -> ApiCall:
    return make_call(OPERATOR, "create", "jobs", at=at, status=403, forbidden=True)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        pytest.param([], True, id="it never had the right"),
        pytest.param([change("delete", "rolebindings", at=10)], False, id="its binding was taken away"),
        pytest.param([change("delete", "roles", at=10)], False, id="its role was taken away"),
        pytest.param(
            [change("delete", "roles", at=10, name="operator")], False, id="its role without the release's name was"
        ),
        pytest.param([change("delete", "roles", at=10, name="tor")], True, id="one whose name ends likewise was"),
        pytest.param([change("delete", "roles", at=20.05)], False, id="while it was asking"),
        pytest.param([change("delete", "roles", at=30)], True, id="only later"),
        pytest.param([change("delete", "roles", at=10, name="sync-api")], True, id="another's was"),
        pytest.param([change("delete", "roles", at=10, namespace="elsewhere")], True, id="one elsewhere was"),
        pytest.param([change("delete", "roles", at=10, status=404)], True, id="there was none to take"),
        pytest.param(
            [change("delete", "roles", at=10), change("patch", "roles", at=15)], True, id="it was given back long ago"
        ),
        pytest.param(
            [change("delete", "roles", at=10), change("patch", "roles", at=19.5)],
            False,
            id="it was given back just now",
        ),
        pytest.param(
            [change("delete", "roles", at=10), change("create", "rolebindings", at=15)], False, id="one half is missing"
        ),
    ],
)
def test_a_refusal_counts_unless_the_right_was_taken_away(changes: list[ApiCall], *, refused: bool) -> None:
    call = refuse(at=20)

    assert find_denied_calls([call, *changes]) == ((call,) if refused else ())


def test_a_403_despite_the_right_is_not_a_denied_call() -> None:
    quota = make_call(OPERATOR, "create", "jobs", at=20, status=403, forbidden=False)

    assert find_denied_calls([quota]) == ()
