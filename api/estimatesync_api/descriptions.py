"""The words in which an address is described, and what several addresses have in common."""

from dataclasses import dataclass, field
from typing import Any, Final

from estimatesync_api.bodies import Body
from estimatesync_api.problems import Problem

Schema = dict[str, Any]
Problems = tuple[Problem, ...]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One value in the address or the headers."""

    place: str
    name: str
    text: str
    schema: Schema


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A good answer, or the one that tells of a sync that failed."""

    text: str
    body: type[Body] | str | None
    """A type of body, or the media type of one that is no JSON."""
    example: Body | str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method at one address."""

    method: str
    path: str
    name: str
    summary: str
    text: str = ""
    parameters: tuple[Parameter, ...] = ()
    request: type[Body] | None = None
    request_examples: dict[str, Body] = field(default_factory=dict)
    answers: dict[int, Answer]
    problems: tuple[Problem, ...] = ()
    is_public: bool = False


AT_THE_DOOR: Final[Problems] = (
    Problem.KEY_MISSING,
    Problem.KEY_WRONG,
    Problem.TOO_MANY_REQUESTS,
    Problem.TOO_MANY_GUESSES,
    Problem.UNAVAILABLE,
)
"""What any request with a key may meet."""

TO_CHANGE: Final[Problems] = (*AT_THE_DOOR, Problem.KEY_READ_ONLY)
"""And any that changes something."""


def build_query(name: str, text: str, schema: Schema) -> Parameter:
    """Describe a parameter of the query."""
    return Parameter(place="query", name=name, text=text, schema=schema)
