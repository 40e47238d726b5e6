"""Payload's refusals: one class for each, carrying the HTTP status and the JSON that Payload answers with.

PayloadError
├── InvalidJsonError       400  the login body is not JSON
├── RequiredFieldError     400  the login lacks a field
├── QueryError             400  a field or operator that cannot be queried
├── AuthenticationError    401  wrong email or password
├── LockedAccountError     401  too many wrong passwords, whatever this one is
├── ForbiddenError         403  no token, or one that is bad or expired: Payload does not distinguish them
├── RouteNotFoundError     404  also for a known path with another method: Payload has no 405
└── InternalError          500  what PostgreSQL refuses; Payload hides why
"""

from typing import Any


class PayloadError(Exception):
    """A refusal; the message is Payload's own wording."""

    status = 500

    def to_body(self) -> dict[str, Any]:
        """Build the JSON body."""
        return {"errors": [{"message": str(self)}]}


class InvalidJsonError(PayloadError):
    """The login body is not JSON."""

    status = 400

    def __init__(self) -> None:
        super().__init__("Invalid JSON")


class RequiredFieldError(PayloadError):
    """A login without an email or a password."""

    status = 400

    def __init__(self, field: str) -> None:
        super().__init__(f"The following field is invalid: {field}")
        self.field = field

    def to_body(self) -> dict[str, Any]:
        """Build the JSON body, which names the field."""
        fault = {"message": "This field is required.", "path": self.field}
        data = {"collection": "users", "errors": [fault]}
        return {"errors": [{"name": "ValidationError", "data": data, "message": str(self)}]}


class QueryError(PayloadError):
    """Fields or operators that cannot be queried."""

    status = 400

    def __init__(self, *paths: str) -> None:
        noun = "path" if len(paths) == 1 else "paths"
        super().__init__(f"The following {noun} cannot be queried: {', '.join(paths)}")
        self.paths = paths

    def to_body(self) -> dict[str, Any]:
        """Build the JSON body, which names the paths."""
        data = [{"path": path} for path in self.paths]
        return {"errors": [{"name": "QueryError", "data": data, "message": str(self)}]}


class AuthenticationError(PayloadError):
    """Wrong email or password."""

    status = 401

    def __init__(self) -> None:
        super().__init__("The email or password provided is incorrect.")


class LockedAccountError(PayloadError):
    """Too many wrong passwords."""

    status = 401

    def __init__(self) -> None:
        super().__init__("This user is locked due to having too many failed login attempts.")


class ForbiddenError(PayloadError):
    """No valid token."""

    status = 403

    def __init__(self) -> None:
        super().__init__("You are not allowed to perform this action.")


class RouteNotFoundError(PayloadError):
    """No endpoint has this path and method."""

    status = 404

    def __init__(self, path: str) -> None:
        super().__init__(f'Route not found "{path}"')

    def to_body(self) -> dict[str, Any]:
        """Build the JSON body: the one refusal without an `errors` list."""
        return {"message": str(self)}


class InternalError(PayloadError):
    """What the database behind Payload refuses."""

    def __init__(self) -> None:
        super().__init__("Something went wrong.")
