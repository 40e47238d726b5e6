"""Credentials that Attic Tech has refused are not tried again by any sync, which would lock the account for people."""

from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from sample_attic_tech import Fault, Request, Response, RunningSample

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
LOGIN = "/api/users/login"
WRONG = {"ATTIC_TECH_PASSWORD": "not-this-one"}


def count_logins(sample: RunningSample) -> int:
    return sum(request.path == LOGIN for request in sample.requests)


def test_no_other_sync_tries_refused_credentials_until_they_have_changed(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(3)

    first, *others = [jobs.run(sample, **WRONG) for _ in range(4)]
    tried = count_logins(sample)
    corrected = jobs.run(sample)

    assert tried == 1
    assert first.result.error.message == "Login to Attic Tech failed: Invalid credentials"
    for job in others:
        assert (job.process.returncode, job.result.error.reason) == (20, Reason.LOGIN_FAILED)
        assert job.result.error.message.startswith("Login to Attic Tech failed: Invalid credentials. That was at 20")
        assert "SYNC_LOGIN_RETRY" in job.result.error.message
    assert corrected.process.returncode == 0
    assert query("SELECT said FROM botzilla.refused_login") == ["Login to Attic Tech failed: Invalid credentials"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"SYNC_LOGIN_RETRY": "2025-10-16"}, id="a-persons-word"),
        pytest.param({"ATTIC_TECH_EMAIL": "other@attic-tech.example"}, id="another-account"),
        pytest.param({"ATTIC_TECH_PASSWORD": "nor-this-one"}, id="another-password"),
    ],
)
def test_what_has_changed_is_tried_once(jobs: Any, sample: RunningSample, change: dict[str, str]) -> None:
    jobs.run(sample, **WRONG)

    jobs.run(sample, **WRONG | change)
    jobs.run(sample, **WRONG | change)

    assert count_logins(sample) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(
            401,
            b'{"errors":[{"message":"This user is locked due to having too many failed login attempts."}]}',
            id="locked",
        ),
        pytest.param(403, b'{"message":"Forbidden"}', id="a gateway"),
        pytest.param(403, b'{"errors":[{"message":"Please verify your email before logging in."}]}', id="unverified"),
        pytest.param(401, b"{}", id="without a word"),
    ],
)
def test_a_login_that_fails_for_another_cause_is_tried_by_the_next_sync(
    jobs: Any, sample: RunningSample, fill: Fill, status: int, body: bytes
) -> None:
    fill(3)
    refused = Response(status=status, body=body, headers={"Content-Type": "application/json"})
    sample.on_request = lambda request: refused if request.path == LOGIN else None
    meanwhile = jobs.run(sample)
    sample.on_request = None

    afterwards = jobs.run(sample)

    assert (meanwhile.process.returncode, afterwards.process.returncode) == (20, 0)


def test_a_sync_that_has_succeeded_since_outweighs_a_refusal(jobs: Any, sample: RunningSample, fill: Fill) -> None:
    fill(3)
    jobs.run(sample, **WRONG)
    assert jobs.run(sample).process.returncode == 0

    jobs.run(sample, **WRONG)

    assert count_logins(sample) == 3


def test_refused_credentials_are_tried_again_when_a_person_says_so(
    jobs: Any, sample: RunningSample, fill: Fill
) -> None:
    fill(3)
    sentence = b'{"errors":[{"message":"The email or password provided is incorrect."}]}'
    refused = Response(status=401, body=sentence, headers={"Content-Type": "application/json"})
    sample.on_request = lambda request: refused if request.path == LOGIN else None
    jobs.run(sample)
    sample.on_request = None

    still = jobs.run(sample)
    allowed = jobs.run(sample, SYNC_LOGIN_RETRY="corrected at Attic Tech")

    assert (still.process.returncode, allowed.process.returncode) == (20, 0)
    assert count_logins(sample) == 2


def test_a_login_that_is_refused_half_way_is_remembered_and_stores_nothing(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(30)
    sentence = b'{"errors":[{"message":"The email or password provided is incorrect."}]}'
    refused = Response(status=401, body=sentence, headers={"Content-Type": "application/json"})

    def on_request(request: Request) -> Fault | None:
        if request.parameters.get("page") == "2" and count_logins(sample) == 1:
            sample.revoke_tokens()
        return refused if request.path == LOGIN and count_logins(sample) > 1 else None

    sample.on_request = on_request

    jobs.run(sample, SYNC_PAGE_SIZE="10", SYNC_CONCURRENCY="1")
    again = jobs.run(sample)

    assert again.result.error.reason is Reason.LOGIN_FAILED
    assert count_logins(sample) == 2
    assert query("SELECT count(*) FROM botzilla.estimate") == [0]


def test_what_is_kept_of_the_credentials_reveals_none_of_them(jobs: Any, sample: RunningSample, query: Query) -> None:
    jobs.run(sample, **WRONG)

    (kept,) = query("SELECT refused_login::text FROM botzilla.refused_login")

    assert not [secret for secret in ("not-this-one", "sync@attic-tech.example") if secret in kept]
