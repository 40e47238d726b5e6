"""Where people keep their checkouts: PostgreSQL and the whole server in folders whose names programs trip over."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from estimatesync_contract.names import START_PATH, SYNCS_PATH
from estimatesync_demo.server_process import build_sample_settings, running_server
from estimatesync_local.adapters.postgres import EmbeddedPostgres
from sample_attic_tech import RunningSample, SampleConfig, running_sample

ALL_AT_ONCE = "100% Büro + it's " + "x" * 60
# The socket is beside the data where a name is short, and elsewhere where it is long.
NAMES = [pytest.param("a b+c 100%20 Büro ☕ d&e=f?g#h", id="short"), pytest.param("x" * 90, id="long")]
KEY = "made-up-key-of-this-test"
WAIT_SECONDS = 60.0


@pytest.fixture
def place(request: pytest.FixtureRequest, open_directory: Path) -> Path:
    return open_directory / str(request.param)


@pytest.fixture
def sample() -> Iterator[RunningSample]:
    with running_sample(SampleConfig()) as running:
        yield running


@pytest.mark.parametrize("place", NAMES, indirect=True)
def test_postgresql_runs_wherever_it_is_kept(place: Path) -> None:
    server = EmbeddedPostgres(place / ".local" / "postgres")
    try:
        server.start()
        with psycopg.connect(server.url) as connection:
            answer = connection.execute("SELECT current_database()").fetchone()
    finally:
        server.stop()

    assert answer == ("estimatesync",)
    assert not server.is_running()


@pytest.mark.parametrize("place", [ALL_AT_ONCE], indirect=True)
def test_a_sync_succeeds_in_a_checkout_of_any_name(
    place: Path, sample: RunningSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.mkdir()
    (place / ".venv").symlink_to(sys.prefix)
    monkeypatch.setattr(sys, "executable", str(place / ".venv" / "bin" / "python"))
    settings = build_sample_settings(source_url=sample.url, callback_url="") | {"API_KEYS": f"test:{KEY}"}

    with (
        running_server(place, settings) as server,
        httpx.Client(base_url=server.url, headers={"X-API-KEY": KEY}, trust_env=False) as client,
    ):
        sync_id = client.post(START_PATH).json()["sync_id"]
        deadline = time.monotonic() + WAIT_SECONDS
        while (status := client.get(f"{SYNCS_PATH}/{sync_id}").json())["status"] in {"queued", "running"}:
            assert time.monotonic() < deadline, server.log
            time.sleep(0.1)
        log = client.get(f"{SYNCS_PATH}/{sync_id}/logs").text

    assert status["status"] == "succeeded", server.log
    assert "Background synchronization finished" in log
