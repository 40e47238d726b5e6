"""A directory that PostgreSQL can reach under any account."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Like tmp_path, which pytest closes to other accounts whenever another session starts."""
    directory = Path(tempfile.mkdtemp(prefix="estimatesync-local-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)
