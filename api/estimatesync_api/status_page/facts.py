"""A name and a value, as several pages list them. Pure."""

from dataclasses import dataclass

from estimatesync_api.status_page.tongue import Moment


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of a list of facts: a text, or a time."""

    name: str
    text: str = ""
    moment: Moment | None = None
