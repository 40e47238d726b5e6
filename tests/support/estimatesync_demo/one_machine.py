"""The story on one machine: the same server that `make local` runs, as a process of its own."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from estimatesync_local.adapters.postgres import EmbeddedPostgres

from estimatesync_demo.narration import tell, tell_step
from estimatesync_demo.scenery import API_KEY, PAST, Scenery, preload, read_log_file, running_scenery
from estimatesync_demo.server_process import build_sample_settings, running_server
from estimatesync_demo.story import Stage, tell_story


def play() -> bool:
    """Play the story; true when all agrees.

    Raises:
        RuntimeError: The server did not start; the end of its log is in the message.
    """
    with tempfile.TemporaryDirectory(prefix="estimatesync-demo-") as directory, running_scenery() as scenery:
        place = Path(directory)
        tell_step("The scene: PostgreSQL, a sample Attic Tech, a webhook, and EstimateSync on this machine")
        with _running_server(scenery, place) as api_url:
            tell(f"EstimateSync at {api_url} (gunicorn), sample Attic Tech at {scenery.sample.url}")
            database_url = EmbeddedPostgres(place / ".local" / "postgres").url
            preload(scenery, database_url)
            tell(PAST)
            stage = Stage(api_url=api_url, database_url=database_url, read_log=lambda _: _read_log(place))
            return tell_story(scenery, stage)


@contextmanager
def _running_server(scenery: Scenery, directory: Path) -> Iterator[str]:
    settings = {
        **build_sample_settings(source_url=scenery.sample.url, callback_url=scenery.callback_url),
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
