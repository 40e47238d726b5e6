"""The callback's settings where some are in files: a Secret that is mounted, whose change shows within a minute or two.

They are read again when a file has changed; what then cannot be used leaves all of them as they were, and is logged.
The file of a named target is its own: what is wrong with it concerns no other target, not even at the start.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from estimatesync_contract.callback_url import TargetRefusedError, parse_target
from estimatesync_contract.settings import ALERT_URL, SettingsReader

from estimatesync_operator.callback.settings import (
    CALLBACK_FILES,
    MAKE_API_KEY,
    SIGNING_SECRETS,
    CallbackSettings,
    find_target_files,
    read_callback_settings,
)

CHECK_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)

_Identity = tuple[int, int, int] | None


def read_files(environ: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
    """Put what is in the files in the place of the settings, and find what is wrong with them; no value is repeated.

    The files of named targets are left to CallbackFiles.
    """
    named = [(file, path) for file in CALLBACK_FILES if (path := environ.get(file.name, "").strip())]
    faults = [
        f"{file.name} is set, and {file.content.name}, too: remove one of them"
        for file, _ in named
        if environ.get(file.content.name, "").strip()
    ]
    filled: dict[str, str] = {}
    for file, path in named:
        text, fault = _read_text(path, must_say=file.is_content_required)
        if fault:
            faults.append(f"{file.name} must name a readable file: {path}: {fault}")
        elif text.strip():
            filled[file.content.name] = text
    return {**environ, **filled} if filled else environ, faults


def _fill_targets(settings: CallbackSettings, known: Mapping[str, str]) -> CallbackSettings:
    """Put URLs in the place of files; one that cannot be used leaves its target as it was in `known`, and is logged."""
    targets = dict(settings.targets)
    for name, path in find_target_files(settings.targets).items():
        url, fault = _read_url(path, allow_insecure=settings.allow_insecure)
        targets[name] = url or known.get(name, "")
        if fault:
            state = "stays as it was" if targets[name] else "has no URL, and its callbacks are tried again later"
            logger.error("callback target %s %s: %s: %s", name, state, path, fault)
    return dataclasses.replace(settings, targets=targets)


def _read_url(path: str, *, allow_insecure: bool) -> tuple[str, str]:
    """Return a usable URL, and what is wrong with it."""
    text, fault = _read_text(path, must_say=True)
    url = text.strip()
    try:
        return (url, "") if url and parse_target(url, allow_insecure=allow_insecure) else ("", fault)
    except TargetRefusedError as error:
        return "", str(error)


def _read_text(path: str, *, must_say: bool) -> tuple[str, str]:
    """Return the text, and what is wrong with it."""
    try:
        text = Path(path).read_text()
    except FileNotFoundError as error:
        return "", str(error.strerror) if must_say else ""
    except OSError as error:
        return "", str(error.strerror)
    except ValueError:
        return "", "it is not text"
    return text, "it is empty" if must_say and not text.strip() else ""


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
        self._monotonic = monotonic
        self._checked_at = monotonic()
        own = (path for file in CALLBACK_FILES if (path := environ.get(file.name, "").strip()))
        self._paths = tuple(Path(path) for path in (*own, *find_target_files(settings.targets).values()))
        # Before the files are read: a change in between is then seen at the next look.
        self._identities = self._identify()
        self._settings = _fill_targets(settings, known={})

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
        before, self._settings = self._settings, _fill_targets(settings, known=self._settings.targets)
        logger.info("the callback's settings were read again")
        for name, had, has in (
            (SIGNING_SECRETS.name, before.signing_keys, settings.signing_keys),
            (MAKE_API_KEY.name, before.make_api_key, settings.make_api_key),
        ):
            if had and not has:
                logger.warning("callbacks are sent without %s from now on: its file is empty or gone", name)
        if before.alert_url and not settings.alert_url:
            logger.warning("no alerts are sent from now on: the file of %s is empty or gone", ALERT_URL.name)

    def _identify(self) -> tuple[_Identity, ...]:
        return tuple(_identify(path) for path in self._paths)


def _identify(path: Path) -> _Identity:
    """Distinguish one content of a file from the next; a mounted Secret is another file after each change."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
