"""Events on the EstimateSync, for `kubectl describe`."""

import asyncio
import logging
from typing import Any, Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import API_VERSION, KIND
from estimatesync_contract.status import truncate_message
from estimatesync_kubernetes.client import KubernetesClient, build_path

from estimatesync_operator.adapters.kubernetes_api import translate_failures
from estimatesync_operator.core.ports import BackendUnavailableError, Clock, SyncEvent

_COMPONENT: Final = "estimatesync-operator"
_AT_ONCE: Final = 4
"""They tell what has happened; in a burst, what has yet to happen goes first."""

_PATIENCE_SECONDS: Final = 30.0
"""For an event's turn and its call together. A pass waits for both, and has a callback to send after them."""

logger = logging.getLogger(__name__)


class KubernetesEvents:
    """The reconciler's EventRecorder on a cluster; it also logs them, as events are gone in an hour."""

    def __init__(self, client: KubernetesClient, namespace: str, *, reporting_instance: str, clock: Clock) -> None:
        self._client = client
        self._namespace = namespace
        self._reporting_instance = reporting_instance
        self._clock = clock
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def emit(self, sync: EstimateSync, event: SyncEvent) -> None:
        logger.info("%s: %s: %s", sync.name, event.reason, event.message, extra={"sync_id": sync.name})
        try:
            with translate_failures("recording an event"):
                body, path = self._build_event(sync, event), build_path("v1", self._namespace, "events")
                async with asyncio.timeout(_PATIENCE_SECONDS), self._turns:
                    await self._client.create(path, body)
        except BackendUnavailableError as error:
            self._report_loss(sync, str(error))
        except TimeoutError:
            self._report_loss(sync, f"recording an event: it was not done in {_PATIENCE_SECONDS:.0f} s")

    def _report_loss(self, sync: EstimateSync, fault: str) -> None:
        logger.warning("%s: an event was lost: %s", sync.name, fault, extra={"sync_id": sync.name})

    def _build_event(self, sync: EstimateSync, event: SyncEvent) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "apiVersion": "v1",
            "kind": "Event",
            # Named by its time, as client-go does: events of the same second are listed in the order they happened.
            "metadata": {"name": f"{sync.name}.{int(now.timestamp() * 1_000_000):x}", "namespace": self._namespace},
            "firstTimestamp": now.isoformat(),
            # kubectl sorts by this one, which only this older kind of Event has.
            "lastTimestamp": now.isoformat(),
            "count": 1,
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._reporting_instance,
            "type": event.type.value,
            "reason": event.reason,
            "message": truncate_message(event.message),
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": self._namespace,
                "name": sync.name,
                "uid": sync.uid,
            },
        }
