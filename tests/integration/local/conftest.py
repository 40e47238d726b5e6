"""Directories that PostgreSQL can reach under any account, empty or with the data of a first start."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from estimatesync_local.adapters.postgres import EmbeddedPostgres


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Like tmp_path, which pytest closes to other accounts whenever another session starts."""
    directory = make_open_directory()
    yield directory
    shutil.rmtree(directory)


def make_open_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="estimatesync-local-"))
    directory.chmod(0o711)
    return directory


@pytest.fixture(scope="session")
def started_once() -> Iterator[Path]:
    """The directory of a PostgreSQL that has been started once, and stopped."""
    directory = make_open_directory()
    server = EmbeddedPostgres(directory / "postgres")
    server.start()
    server.stop()
    yield directory / "postgres"
    shutil.rmtree(directory)


@pytest.fixture
def lay_postgres(started_once: Path) -> Callable[[Path], EmbeddedPostgres]:
    """Make a server's directory as its first start does, at a quarter of the cost, for what comes after that."""

    def lay(place: Path) -> EmbeddedPostgres:
        place.parent.mkdir(mode=0o711, exist_ok=True)
        # With the accounts that it belongs to.
        subprocess.run(["/bin/cp", "-a", started_once, place], check=True)
        return EmbeddedPostgres(place)

    return lay
