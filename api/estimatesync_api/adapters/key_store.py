"""The keys that are valid now: those of the settings, and those of files, which may be replaced at any time.

A mounted Kubernetes Secret changes its files within a minute or so of being changed; a file edited by hand counts at
once. Faulty or missing files change nothing: the keys stay as they were, and the log says why.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from estimatesync_contract.settings import SettingsError

from estimatesync_api.core.access import ApiKey, KeyText, find_key, parse_api_keys
from estimatesync_api.settings import KeySettings

POLL_SECONDS: Final = 1.0

_State = tuple[tuple[int, int, int] | None, ...]
_logger: Final = logging.getLogger(__name__)


class KeyStore:
    """Finds keys; checks its files at most once a second, and only when a key is needed."""

    def __init__(self, settings: KeySettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read every file once.

        Raises:
            SettingsError: A file cannot be read, or a key cannot be used, or there is none.
        """
        self._settings = settings
        self._monotonic = monotonic
        self._checked_at = monotonic()
        self._state = self._read_state()
        self._keys = self._read_keys()

    def find(self, presented: str) -> ApiKey | None:
        return find_key(self.list_keys(), presented)

    def list_keys(self) -> tuple[ApiKey, ...]:
        now = self._monotonic()
        if self._settings.files and now - self._checked_at >= POLL_SECONDS:
            self._checked_at = now
            self._reload()
        return self._keys

    def _reload(self) -> None:
        state = self._read_state()
        if state == self._state:
            return
        self._state = state
        try:
            self._keys = self._read_keys()
        except SettingsError as error:
            _logger.error("the API keys stay as they were: %s", "; ".join(error.faults))  # noqa: TRY400 - says it all
            return
        _logger.info("API keys read again: %s", ", ".join(key.name for key in self._keys))

    def _read_state(self) -> _State:
        return tuple(_read_identity(file.path) for file in self._settings.files)

    def _read_keys(self) -> tuple[ApiKey, ...]:
        texts = list(self._settings.texts)
        faults: list[str] = []
        for file in self._settings.files:
            try:
                text = file.path.read_text(encoding="ascii", errors="surrogateescape")
                texts.append(KeyText(source=file.source, text=text, is_read_only=file.is_read_only))
            except OSError as error:
                faults.append(f"{file.source} must name a readable file: {file.path}: {error.strerror}")
        keys, wrong = parse_api_keys(texts)
        if not keys and not faults:
            faults.append("API_KEYS is not set: give callers a key, for example make:<output of openssl rand -hex 32>")
        if faults or wrong:
            raise SettingsError([*faults, *wrong])
        return keys


def _read_identity(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced, also by way of the links of a mounted Secret."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)
