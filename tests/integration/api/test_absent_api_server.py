"""The deployed composition, when the API server of Kubernetes does not answer."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 60.0
LIMIT_SECONDS = 3.0
QUESTIONS = [
    ("GET", "/healthz", START_SECONDS),
    ("POST", "/sync-estimates", LIMIT_SECONDS),
    ("GET", "/api/automations/estimates/syncs/est-1", LIMIT_SECONDS),
    ("GET", "/readyz", LIMIT_SECONDS),
]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("port", ["silent_port", "closed_port"])
def test_an_api_server_that_does_not_answer_is_503_in_time(
    serve: Callable[..., Any], headers: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest, port: str
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(build_kubeconfig(request.getfixturevalue(port))))
    server = serve(KUBECONFIG=str(kubeconfig))

    # Health comes first: it needs no store, and when it answers the worker has started.
    statuses = [ask(server.port, *question, headers=headers) for question in QUESTIONS]

    assert statuses == [(200, None), (503, "10"), (503, "10"), (503, "10")]


def build_kubeconfig(port: int) -> dict[str, Any]:
    return {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "made-up-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }


def ask(port: int, method: str, url: str, limit: float, *, headers: dict[str, str]) -> tuple[int, str | None]:
    """Ask once; a socket that is silent for longer than the limit fails the test."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=limit)) as connection:
        connection.request(method, url, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers["Retry-After"]
