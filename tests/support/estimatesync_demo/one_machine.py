"""The scenario on one machine: the same server that `make local` runs, as a process of its own."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from estimatesync_local.adapters.postgres import EmbeddedPostgres

from estimatesync_demo.console import print_fact, print_step
from estimatesync_demo.sample_environment import (
    API_KEY,
    PAST,
    SampleEnvironment,
    preload,
    read_log_file,
    running_sample_environment,
)
from estimatesync_demo.scenario import Stage, play_scenario
from estimatesync_demo.server_process import build_sample_settings, running_server


def play() -> bool:
    """Play the scenario; true when all agrees.

    Raises:
        RuntimeError: The server did not start; the end of its log is in the message.
    """
    with (
        tempfile.TemporaryDirectory(prefix="estimatesync-demo-") as directory,
        running_sample_environment() as environment,
    ):
        place = Path(directory)
        # Made by us, and closed; where root plays, PostgreSQL's account has to pass through it.
        place.chmod(0o711)
        print_step("The scene: PostgreSQL, a sample Attic Tech, a webhook, and EstimateSync on this machine")
        print_fact("Starting PostgreSQL, then EstimateSync: about 5 s")
        with _running_server(environment, place) as api_url:
            print_fact(f"EstimateSync at {api_url} (gunicorn), sample Attic Tech at {environment.sample.url}")
            database_url = EmbeddedPostgres(place / ".local" / "postgres").url
            preload(environment, database_url)
            print_fact(PAST)
            stage = Stage(api_url=api_url, database_url=database_url, read_log=lambda _: _read_log(place))
            return play_scenario(environment, stage)


@contextmanager
def _running_server(environment: SampleEnvironment, directory: Path) -> Iterator[str]:
    settings = {
        **build_sample_settings(source_url=environment.sample.url, callback_url=environment.callback_url),
        "API_KEYS": f"make:{API_KEY}",
        "DATABASE_URL": "",
        "LOCAL_DIRECTORY": ".local",
        "ENVIRONMENT": "demo",
    }
    with running_server(directory, {**os.environ, **settings}) as server:
        yield server.url


def _read_log(directory: Path) -> Sequence[str]:
    """The log of the newest run of the only job."""
    logs = sorted((directory / ".local" / "jobs").glob("*/runs/*/log"))
    return read_log_file(logs[-1]) if logs else ()
