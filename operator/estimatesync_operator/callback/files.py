"""The callback's settings where some are in files: a Secret that is mounted, whose change shows within a minute or two.

They are read again when a file has changed; what then cannot be used leaves all of them as they were, and is logged.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from estimatesync_contract.settings import CALLBACK_URL, SettingsReader, TextSetting

from estimatesync_operator.callback.settings import (
    MAKE_API_KEY,
    SIGNING_SECRETS,
    CallbackSettings,
    read_callback_settings,
)

CHECK_SECONDS: Final = 1.0

_IN_FILES: Final = (CALLBACK_URL, SIGNING_SECRETS, MAKE_API_KEY)
CALLBACK_FILES: Final = (
    TextSetting(
        name=f"{CALLBACK_URL.name}_FILE",
        meaning="A file with the URL, in the place of the setting; a change takes effect within a second",
    ),
    TextSetting(name=f"{SIGNING_SECRETS.name}_FILE", meaning="The same for the signing secrets; it need not exist"),
    TextSetting(name=f"{MAKE_API_KEY.name}_FILE", meaning="The same for this key; it need not exist"),
)
_REQUIRED_FILE: Final = CALLBACK_FILES[0]

logger = logging.getLogger(__name__)

_Identity = tuple[int, int, int] | None


def read_files(environ: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
    """Put what is in the files in the place of the settings, and find what is wrong with them; no value is repeated."""
    texts: dict[str, str] = {}
    faults = []
    for setting, file in zip(_IN_FILES, CALLBACK_FILES, strict=True):
        path = environ.get(file.name, "").strip()
        if not path:
            continue
        if environ.get(setting.name, "").strip():
            faults.append(f"{file.name} is set, and {setting.name}, too: remove one of them")
        try:
            texts[setting.name] = Path(path).read_text()
        except FileNotFoundError as error:
            if file is _REQUIRED_FILE:
                faults.append(f"{file.name} must name a readable file: {path}: {error.strerror}")
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) else "it is not text"
            faults.append(f"{file.name} must name a readable file: {path}: {words}")
    filled = {name: text for name, text in texts.items() if text.strip()}
    return {**environ, **filled} if filled else environ, faults


class CallbackFiles:
    """What applies now; looks at the files at most once a second, and only when asked."""

    def __init__(
        self,
        environ: Mapping[str, str],
        settings: CallbackSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`settings` are those that were just read, `monotonic` answers seconds that never go back."""
        self._environ = environ
        self._settings = settings
        self._monotonic = monotonic
        self._checked_at = monotonic()
        self._paths = tuple(Path(path) for file in CALLBACK_FILES if (path := environ.get(file.name, "").strip()))
        self._identities = self._identify()

    def read(self) -> CallbackSettings:
        """Return what applies now."""
        now = self._monotonic()
        if self._paths and now - self._checked_at >= CHECK_SECONDS:
            self._checked_at = now
            self._refresh()
        return self._settings

    def _refresh(self) -> None:
        identities = self._identify()
        if identities == self._identities:
            return
        self._identities = identities
        merged, faults = read_files(self._environ)
        reader = SettingsReader(merged, faults=faults)
        settings = read_callback_settings(reader)
        if reader.faults:
            logger.error("the callback's settings stay as they were: %s", "; ".join(reader.faults))
            return
        self._settings = settings
        logger.info("the callback's settings were read again")

    def _identify(self) -> tuple[_Identity, ...]:
        return tuple(_identify(path) for path in self._paths)


def _identify(path: Path) -> _Identity:
    """Distinguish one content of a file from the next; a mounted Secret is another file after each change."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
