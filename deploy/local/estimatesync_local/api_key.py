"""The key of an installation that was given none: made once, kept in a file that only its owner can read."""

import os
import secrets
from pathlib import Path
from typing import Final

_KEY_BYTES: Final = 32


def ensure_api_key(file: Path) -> str:
    """Read the key, or make one.

    Raises:
        OSError: The file cannot be read or written.
    """
    if file.exists() and (key := file.read_text().strip()):
        return key
    key = secrets.token_hex(_KEY_BYTES)
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123 - a mode from the start
        out.write(f"{key}\n")
    draft.replace(file)
    return key
