import pytest
from estimatesync_kubernetes.errors import (
    ApiStatus,
    KubernetesError,
    UnreachableError,
    build_api_error,
    parse_api_status,
)
from estimatesync_operator.adapters.jobs import is_refusal
from estimatesync_operator.adapters.kubernetes_api import translate_failures
from estimatesync_operator.core.ports import BackendUnavailableError


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
def test_a_refusal_is_distinguished_from_a_temporary_error(status: int, *, expected: bool) -> None:
    assert is_refusal(build_api_error(status, ApiStatus(message="the words"))) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"details": {"name": "estimates"}}', True, id="the namespace does not exist"),
        pytest.param(b"404 page not found", False, id="a proxy that is not ready"),
    ],
)
def test_a_job_is_refused_by_a_404_only_if_that_names_an_object(body: bytes, *, expected: bool) -> None:
    assert is_refusal(build_api_error(404, parse_api_status(body))) is expected


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(
            build_api_error(500, ApiStatus(message="exceeded quota")),
            "listing: HTTP 500: exceeded quota",
            id="a Status",
        ),
        pytest.param(
            build_api_error(502, ApiStatus(), http_reason="HTTP words"), "listing: HTTP 502: HTTP words", id="a proxy"
        ),
        pytest.param(UnreachableError(OSError("reset")), "listing: OSError: reset", id="no answer"),
    ],
)
def test_a_failure_is_explained_in_the_best_words_there_are(error: KubernetesError, words: str) -> None:
    with pytest.raises(BackendUnavailableError) as caught, translate_failures("listing"):
        raise error

    assert str(caught.value) == words
