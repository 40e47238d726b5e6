import json

import pytest
from estimatesync_operator.adapters.jobs import is_refusal
from estimatesync_operator.adapters.kubernetes_api import explain, is_already_there
from kubernetes.aio.client.exceptions import ApiException


def _error(status: int, reason: str = "", message: str = "the words") -> ApiException:
    error = ApiException(status=status, reason="HTTP words")
    error.body = json.dumps({"kind": "Status", "reason": reason, "message": message})
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(_error(409, "AlreadyExists"), True, id="the name is taken"),
        pytest.param(_error(409, "Conflict"), False, id="two requests met at the quota"),
        pytest.param(ApiException(status=409, reason="Conflict"), False, id="no words at all"),
        pytest.param(_error(404, "NotFound"), False, id="something else"),
    ],
)
def test_only_a_taken_name_means_that_the_job_is_there(error: ApiException, *, expected: bool) -> None:
    assert is_already_there(error) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(403, True, id="quota, rights, admission"),
        pytest.param(422, True, id="invalid"),
        pytest.param(500, True, id="an admission webhook that does not answer"),
        pytest.param(409, False, id="conflict"),
        pytest.param(429, False, id="too many requests"),
        pytest.param(503, False, id="unavailable"),
    ],
)
def test_a_refusal_is_told_from_a_bad_moment(status: int, *, expected: bool) -> None:
    assert is_refusal(_error(status)) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param('{"message": "exceeded quota"}', "exceeded quota", id="a Status"),
        pytest.param("<html>bad gateway</html>", "HTTP words", id="a proxy's page"),
        pytest.param("[]", "HTTP words", id="another shape"),
        pytest.param(None, "HTTP words", id="nothing"),
    ],
)
def test_an_error_is_explained_in_the_best_words_there_are(body: str | None, expected: str) -> None:
    error = ApiException(status=500, reason="HTTP words")
    error.body = body

    assert explain(error) == expected
