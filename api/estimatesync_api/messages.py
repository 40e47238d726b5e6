"""Sentences that the API answers with, besides those of its problems."""

from typing import Final

STARTED: Final = "Background synchronization started. This may take several minutes."
CANCEL_REQUESTED: Final = "The sync will be stopped."
CANCEL_TOO_LATE: Final = "The sync had ended already."
REDELIVERY_REQUESTED: Final = "The callback will be sent again, with the same id and body."
