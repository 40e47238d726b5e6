"""What the sample's integration tests share: a served sample, and a client that is closed afterwards."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample

RECORDS = build_records(1609, 7, datetime(2025, 10, 16, 14, 9, tzinfo=UTC))


@pytest.fixture
def sample() -> Iterator[RunningSample]:
    """A friendly sample with 1,609 estimates."""
    with running_sample(SampleConfig(records=RECORDS)) as served:
        yield served


@pytest.fixture
def client(sample: RunningSample) -> Iterator[httpx.Client]:
    """A client that has not logged in."""
    with httpx.Client(base_url=sample.url, timeout=60) as anonymous:
        yield anonymous


@pytest.fixture
def logged_in(client: httpx.Client) -> httpx.Client:
    """A client that sends a valid token."""
    config = SampleConfig()
    answer = client.post("/api/users/login", json={"email": config.email, "password": config.password})
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client
