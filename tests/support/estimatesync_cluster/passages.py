"""What passes a gate (see gate.py), and how a test interferes with it."""

from dataclasses import dataclass, field
from typing import Final

_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Cut(Exception):  # noqa: N818 - it is an order, not an error
    """Raised by an interference: the connection is cut without an answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the requester gets."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Passage:
    """One request; `answer` is set once the other side has answered, whoever still gets to see that."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_callback: bool = False
    answer: Answer | None = None

    @property
    def is_watch(self) -> bool:
        """True for a stream that lasts."""
        return "watch=true" in self.query

    @property
    def is_step(self) -> bool:
        """True when it may change the world: a write, or a callback."""
        return self.method in _WRITES

    @property
    def is_done(self) -> bool:
        """True when the other side has done what was asked."""
        return self.answer is not None and self.answer.status < 300  # noqa: PLR2004 - the first that is no success


class Interference:
    """Lets everything pass; a test's own overrides one side. Called in threads, several at once."""

    def before(self, passage: Passage) -> Answer | None:
        """Act when a request has arrived: wait, raise Cut, or answer in the API server's place."""

    def after(self, passage: Passage) -> None:
        """Act when the other side has answered and the requester has not seen it yet: wait, or raise Cut."""
