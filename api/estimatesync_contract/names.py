"""Every name that two parts must spell alike is made here: the resource, labels, derived object names, paths.

Rules for names: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

from datetime import UTC, datetime
from typing import Final

GROUP: Final = "botzilla.io"
VERSION: Final = "v1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "EstimateSync"
PLURAL: Final = "estimatesyncs"
SINGULAR: Final = "estimatesync"
SHORT_NAME: Final = "esync"
CATEGORY: Final = "botzilla"

SYNC_NAME_MAX_LENGTH: Final = 63
"""A sync's name becomes a label value on its job, and label values end at 63 characters."""

LABEL_SYNC: Final = f"{GROUP}/sync"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
MANAGED_BY: Final = "estimatesync"
JOB_LABEL_SELECTOR: Final = f"{LABEL_MANAGED_BY}={MANAGED_BY}"

SYNC_CONTAINER: Final = "sync"

API_BASE_PATH: Final = "/api/automations/estimates"
START_PATH: Final = f"{API_BASE_PATH}/sync-external"
START_PATH_ALIAS: Final = "/sync-estimates"
SYNCS_PATH: Final = f"{API_BASE_PATH}/syncs"


def build_job_name(sync_uid: str) -> str:
    """Name the one job a sync may ever have; made from its uid, a second attempt meets the first one's 409."""
    return f"estimatesync-{sync_uid}"


def build_callback_id(sync_uid: str) -> str:
    """Name the one callback a sync may ever have (the `webhook-id` of Standard Webhooks)."""
    return f"msg_{sync_uid}"


def build_sync_name(created_at: datetime, token: str) -> str:
    """Name a new sync so that people can tell when it was asked for: `est-20251016-140900-k3x9q`.

    Args:
        created_at: An aware time.
        token: A few random characters of `a-z0-9`, which make the name unique within the second.
    """
    return f"est-{created_at.astimezone(UTC):%Y%m%d-%H%M%S}-{token}"


def build_sync_path(sync_name: str) -> str:
    """Where the HTTP API shows one sync."""
    return f"{SYNCS_PATH}/{sync_name}"
