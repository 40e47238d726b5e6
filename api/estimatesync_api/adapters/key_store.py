"""The keys that are valid now: those of the settings, and those of files, which may be replaced at any time.

A mounted Kubernetes Secret changes its files within a minute or so of being changed; a file edited by hand counts at
once. A faulty line drops only itself, so that a key which is removed is revoked whatever else is wrong. A file that has
become empty, or is gone, revokes its keys, too; but they may come back, so a caller is asked to come again instead of
being refused for good.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from estimatesync_contract.settings import SettingsError

from estimatesync_api.core.access import ApiKey, KeyText, find_key, parse_api_keys
from estimatesync_api.settings import KeyFile, KeySettings

POLL_SECONDS: Final = 1.0

_NO_KEY: Final = "API_KEYS is not set: give callers a key, for example make:<output of openssl rand -hex 32>"
_State = tuple[tuple[int, int, int] | None, ...]
_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What all files held at one time."""

    keys: tuple[ApiKey, ...]
    faults: tuple[str, ...]
    unreadable: frozenset[str]
    """Settings that name files which could not be read."""
    filled: frozenset[str]
    """Settings that name files which hold keys that can be used."""
    blank: frozenset[str]
    """Settings that name files which hold no line at all, or none but faulty ones."""


class KeyStore:
    """Finds keys; checks its files at most once a second, and only when a key is needed."""

    def __init__(
        self,
        settings: KeySettings,
        *,
        report_faults: Callable[[int], object] = lambda _count: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read every file once.

        Args:
            settings: Where keys come from.
            report_faults: Called with the number of faults whenever the files have been read.
            monotonic: Seconds of a steady clock.

        Raises:
            SettingsError: A file cannot be read, or there is no key that can be used.
        """
        self._settings = settings
        self._report_faults = report_faults
        self._monotonic = monotonic
        self._checked_at = monotonic()
        self._state = self._read_state()
        reading = self._read()
        if reading.unreadable or not reading.keys:
            raise SettingsError(list(reading.faults) or [_NO_KEY])
        self._filled: frozenset[str] = frozenset()
        self._take(reading)

    def find(self, presented: str) -> ApiKey | None:
        return find_key(self.list_keys(), presented)

    def list_keys(self) -> tuple[ApiKey, ...]:
        self.refresh()
        return self._keys

    def is_complete(self) -> bool:
        """Return whether every file is there that held keys before, with keys in it or at least a comment."""
        return not self._missing

    def refresh(self) -> None:
        """Read the files again if they have changed, and have not been looked at within the last second."""
        now = self._monotonic()
        if not self._settings.files or now - self._checked_at < POLL_SECONDS:
            return
        self._checked_at = now
        state = self._read_state()
        if state != self._state:
            self._state = state
            self._take(self._read())
            _logger.info("API keys read again: %s", ", ".join(key.name for key in self._keys) or "none")

    def _take(self, reading: _Reading) -> None:
        self._keys = reading.keys
        self._filled |= reading.filled
        self._missing = reading.unreadable | (reading.blank & self._filled)
        gone = [
            f"{source} names a file that holds no API key any more" for source in sorted(reading.blank & self._filled)
        ]
        faults = (*reading.faults, *gone)
        self._report_faults(len(faults))
        if faults:
            _logger.error("API keys that cannot be used are left out: %s", "; ".join(faults))

    def _read_state(self) -> _State:
        return tuple(_read_identity(file.path) for file in self._settings.files)

    def _read(self) -> _Reading:
        texts, faults = list(self._settings.texts), []
        unreadable, filled, blank = set(), set(), set()
        for file in self._settings.files:
            try:
                text = _read_text(file)
            except OSError as error:
                faults.append(f"{file.source} must name a readable file: {file.path}: {error.strerror}")
                unreadable.add(file.source)
                continue
            texts.append(text)
            usable, wrong = parse_api_keys([text])
            if usable:
                filled.add(file.source)
            elif wrong or not text.text.strip():
                blank.add(file.source)
        keys, wrong = parse_api_keys(texts)
        return _Reading(
            keys=keys,
            faults=(*faults, *wrong),
            unreadable=frozenset(unreadable),
            filled=frozenset(filled),
            blank=frozenset(blank),
        )


def _read_text(file: KeyFile) -> KeyText:
    # A mark at the beginning is no part of the first key; other characters beyond ASCII are a fault of their line.
    text = file.path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    return KeyText(source=file.source, text=text, is_read_only=file.is_read_only)


def _read_identity(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced, also by way of the links of a mounted Secret."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)
