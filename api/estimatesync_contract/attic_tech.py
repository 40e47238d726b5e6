"""Where Attic Tech, a Payload CMS, has what a sync uses; the sync program and the client's `doctor` use the same."""

from typing import Final

LOGIN_PATH: Final = "/api/users/login"
"""POST with `email` and `password`; the response holds a `token`."""

ESTIMATES_PATH: Final = "/api/job-estimates"
"""GET with the token as `Authorization: Bearer`; a paginated list."""
