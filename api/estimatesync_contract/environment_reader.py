"""Reads settings from environment variables and reports all faults together, naming each variable and what it takes.

Used by the `main` of every part; a value that may be a secret is never repeated in a fault.
"""

from collections.abc import Collection, Iterable, Mapping
from zoneinfo import ZoneInfo


class SettingsError(Exception):
    """The settings cannot be used; `faults` says, one sentence each, what to set."""

    def __init__(self, faults: list[str]) -> None:
        """Join the faults into a message for a person."""
        super().__init__("These settings need attention:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


class EnvironmentReader:
    """Reads one variable after another and collects what is wrong; a blank value counts as not set."""

    def __init__(self, environ: Mapping[str, str], *, faults: Iterable[str] = ()) -> None:
        """Read from `environ`, usually `os.environ`; `faults` have been found in it already."""
        self._environ = environ
        self.faults: list[str] = list(faults)

    def read_text(self, name: str, default: str) -> str:
        """Read a text."""
        return self._environ.get(name, "").strip() or default

    def read_required(self, name: str, purpose: str) -> str:
        """Read a text that has no default; `purpose` completes the sentence `NAME is not set: …`."""
        value = self.read_text(name, "")
        if not value:
            self.faults.append(f"{name} is not set: {purpose}")
        return value

    def read_integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """Read a whole number within bounds, both included."""
        text = self.read_text(name, str(default))
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            return int(text)
        self.faults.append(f"{name} must be a whole number from {low} to {high}")
        return default

    def read_flag(self, name: str, *, default: bool) -> bool:
        """Read `true` or `false`, in any case."""
        text = self.read_text(name, str(default)).lower()
        if text in {"true", "false"}:
            return text == "true"
        self.faults.append(f"{name} must be true or false")
        return default

    def read_choice(self, name: str, default: str, choices: Collection[str]) -> str:
        """Read one of a few words."""
        value = self.read_text(name, default)
        if value in choices:
            return value
        self.faults.append(f"{name} must be one of {', '.join(sorted(choices))}")
        return default

    def read_time_zone(self, name: str, default: str) -> ZoneInfo:
        """Read an IANA time zone such as `America/New_York`."""
        try:
            return ZoneInfo(self.read_text(name, default))
        except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError, a folder's name an OSError
            self.faults.append(f"{name} must be an IANA time zone, for example America/New_York")
            return ZoneInfo(default)

    def raise_faults(self) -> None:
        """Raise SettingsError if anything was wrong so far."""
        if self.faults:
            raise SettingsError(self.faults)
