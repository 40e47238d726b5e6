"""What stops a release."""


class ReleaseError(Exception):
    """A release cannot be made; the message says what to do."""
