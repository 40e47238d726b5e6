"""What a check of `doctor` is, and what it finds. Pure; the words of findings are in `causes`."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """What a check found; the sign is what a terminal shows."""

    OK = "ok"
    FAULT = "fault"
    UNKNOWN = "unknown"

    @property
    def sign(self) -> str:
        """One character."""
        return {"ok": "✔", "fault": "✘", "unknown": "?"}[self.value]


class Check(StrEnum):
    """What is looked at, in this order; each depends at most on those before it."""

    SERVER = "server"
    KEY = "API key"
    CLUSTER = "cluster"
    SOURCE = "source login"
    DATABASE = "database"
    CALLBACK = "callback"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check has found."""

    check: Check
    verdict: Verdict
    cause: str
    cure: str
