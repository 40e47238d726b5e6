"""Decides which language a person reads: the one she chose, else the one her browser prefers. Pure."""

from typing import Final

from estimatesync_api.status_page.catalogue import LANGUAGES

COOKIE: Final = "estimatesync-language"
_MOST_WISHES: Final = 20


def choose_language(chosen: str, accepted: str) -> str:
    """Choose one of ours.

    Args:
        chosen: What the cookie says; blank if she has never chosen.
        accepted: The Accept-Language header (RFC 9110 section 12.5.4).
    """
    if chosen in LANGUAGES:
        return chosen
    wishes = [_parse_wish(wish) for wish in accepted.split(",")[:_MOST_WISHES]]
    # Sorting keeps the order of equals: the first of them is preferred.
    for _, language in sorted(wishes, key=lambda wish: -wish[0]):
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def _parse_wish(text: str) -> tuple[float, str]:
    tag, _, weight = text.partition(";")
    language = tag.strip().lower().partition("-")[0]
    try:
        return (float(weight.partition("=")[2]) if weight else 1.0), language
    except ValueError:
        return 0.0, language
