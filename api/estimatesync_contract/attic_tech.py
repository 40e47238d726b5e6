"""Where Attic Tech, a Payload CMS, has what a sync uses; the sync program and the client's `doctor` use the same."""

from typing import Final

LOGIN_PATH: Final = "/api/users/login"
"""POST with `email` and `password`; the response holds a `token`."""

ESTIMATES_PATH: Final = "/api/job-estimates"
"""GET with the token as `Authorization: Bearer`; a paginated list."""


def is_foreign(*, content_type: str, body: bytes | bytearray) -> bool:
    """Whether an answer is not Attic Tech's own, which says that it is JSON: a firewall, bot check or proxy sent it."""
    return "json" not in content_type.lower() and bool(content_type.strip() or body.strip())


RELATIONS: Final = ("branch", "user", "client", "property")
"""What an estimate refers to; populated where it is asked for in depth by somebody who may read it."""


def shows_only_id(relation: object) -> bool:
    """Whether a relation, as plain JSON, exists but is not populated: a bare id, alone, in a list or with its type."""
    value = relation
    while True:
        if isinstance(value, list):
            value = value[0] if value else None
        elif isinstance(value, dict) and isinstance(value.get("relationTo"), str):
            value = value.get("value")
        else:
            return value is not None and value != "" and not isinstance(value, dict)
