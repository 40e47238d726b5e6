"""What happened to a sync, and what a person does about it, in her language. Pure.

The English words are those of the operator's table of causes, which a test makes sure of; beside them stands what the
operator or the sync program has said itself about this very sync, untranslated.
"""

from dataclasses import dataclass

from estimatesync_contract.causes import OBSTACLES
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import Phase

from estimatesync_api.listing import find_phase
from estimatesync_api.status_page.catalogue import CATALOGUE, LANGUAGES
from estimatesync_api.status_page.tongue import Tongue


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One cause; `cure` is blank where there is nothing to do."""

    reason: str
    happened: str
    cure: str
    message: str
    """Said by the operator, in English; blank when it adds nothing."""


def find_cause(sync: EstimateSync, tongue: Tongue) -> Cause | None:
    """Tell what went wrong, or stands in the way; None while all is well."""
    status = sync.status
    is_bad = find_phase(sync) is Phase.FAILED or status.reason in OBSTACLES
    if not is_bad:
        return None
    reason = status.reason or "InternalError"
    # An operator that is newer than this page may know reasons that the page does not.
    is_known = f"cause.{reason}.happened" in CATALOGUE[LANGUAGES[0]]
    happened = tongue.say(f"cause.{reason}.happened" if is_known else "cause.unknown")
    cure = tongue.say(f"cause.{reason}.cure") if is_known else ""
    message = status.message or ""
    return Cause(reason=reason, happened=happened, cure=cure, message="" if message == happened else message)
