"""Credentials that Attic Tech has refused are not tried again until they, or a person's word, have changed."""

from estimatesync_contract.refused_login import Credentials, RefusedLogin
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.timestamps import format_timestamp

from estimatesync_job.core.errors import LoginFailedError


def check_refusal(refusal: RefusedLogin | None, credentials: Credentials) -> None:
    """Refuse to try what has been refused.

    Raises:
        LoginFailedError: These are the credentials that Attic Tech has refused.
    """
    if refusal is None or not refusal.is_of(credentials):
        return
    raise LoginFailedError(
        f"{refusal.said.rstrip('.')}. That was at {format_timestamp(refusal.refused_at)}; the same credentials are not "
        "tried again, because Attic Tech locks an account after a few wrong passwords. Correct ATTIC_TECH_EMAIL or "
        "ATTIC_TECH_PASSWORD; if both are right, change SYNC_LOGIN_RETRY, to any text, to have them tried once more.",
        cause=SpecificCause.CREDENTIALS_REFUSED_BEFORE,
    )
