"""Every name that two parts must spell alike is made here: the resource, labels, derived object names, paths.

Rules for names: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

import hashlib
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

ANNOTATION_REQUEST_DIGEST: Final = f"{GROUP}/request-digest"
"""On a sync that was posted: a digest of what was asked for, by which a repeated request is known."""

ANNOTATION_REDELIVER: Final = f"{GROUP}/redeliver"
"""On a finished sync: any value that was not there before has its callbacks sent again, under the same ids; with
`/billing,crm` at its end, those of these targets."""

ANNOTATION_TRACEPARENT: Final = f"{GROUP}/traceparent"
"""On a sync whose request was traced: the place of that request in its trace, as a W3C traceparent."""

ANNOTATION_STARTED_BY: Final = f"{GROUP}/started-by"
ANNOTATION_CANCELLED_BY: Final = f"{GROUP}/cancelled-by"
ANNOTATION_REDELIVERED_BY: Final = f"{GROUP}/redelivered-by"
"""On a sync: who asked for it. The name of an API key, never the key; `user` and a Kubernetes user, whom the chart's
admission policy writes down, since the API does not see who uses kubectl; or `schedule` and its name on one machine."""
ANNOTATION_SUSPENDED_BY: Final = f"{GROUP}/suspended-by"
"""On a sync that `spec.suspend` holds: `user` and the Kubernetes user who set it; the API cannot."""
ACTOR_ANNOTATIONS: Final = (ANNOTATION_STARTED_BY, ANNOTATION_CANCELLED_BY, ANNOTATION_REDELIVERED_BY)

SYNC_CONTAINER: Final = "sync"

SYNC_TABLES: Final = (
    *("branch", "estimate", "estimate_status", "failed_run", "refused_login", "sales_person", "sync_run"),
)
"""What a sync writes to, in the schema that DATABASE_SCHEMA names."""

API_BASE_PATH: Final = "/api/automations/estimates"
START_PATH: Final = f"{API_BASE_PATH}/sync-external"
START_PATH_ALIAS: Final = "/sync-estimates"
SYNCS_PATH: Final = f"{API_BASE_PATH}/syncs"
PAGE_PATH: Final = "/page"
"""Below it is the status page, but for the list of syncs, which is at `/`."""


def build_job_name(sync_uid: str) -> str:
    """Name the one job a sync may ever have; made from its uid, a second attempt meets the first one's 409."""
    return f"estimatesync-{sync_uid}"


def build_callback_id(sync_uid: str, target: str | None = None) -> str:
    """Name the one callback a sync may ever have for a target (the `webhook-id` of Standard Webhooks).

    `target` is None for the webhook that is not named.
    """
    return f"msg_{sync_uid}_{target}" if target else f"msg_{sync_uid}"


def build_alert_id(sync_uid: str) -> str:
    """Name the one alert about the silence that is on record on a sync (its `webhook-id`)."""
    return f"alert_{sync_uid}"


def build_sync_name(created_at: datetime, token: str) -> str:
    """Name a new sync so that people can see when it was asked for: `est-20251016-140900123-k3x9q`.

    Kubernetes keeps creation times in whole seconds; the milliseconds in the name decide who was first within one.

    Args:
        created_at: An aware time.
        token: A few random characters of `a-z0-9`, which make the name unique within the millisecond.
    """
    moment = created_at.astimezone(UTC)
    return f"est-{moment:%Y%m%d-%H%M%S}{moment.microsecond // 1000:03}-{token}"


def build_keyed_sync_name(idempotency_key: str, *, is_again: bool = False) -> str:
    """Name the sync of an Idempotency-Key; no dash after `est-`, so it never meets a name made from the time.

    `is_again` names the next sync of the key, for while one that is past its time still has the name.
    """
    digest = hashlib.sha256(idempotency_key.encode()).hexdigest()
    return f"est-{digest[32:] if is_again else digest[:32]}"


def build_sync_path(sync_name: str) -> str:
    """Where the HTTP API shows one sync."""
    return f"{SYNCS_PATH}/{sync_name}"


def build_page_path(sync_name: str) -> str:
    """Where the status page shows one sync."""
    return f"{PAGE_PATH}/syncs/{sync_name}"
