"""How kopf watches: each value with its unit and its reason.

https://docs.kopf.dev/en/stable/configuration/
"""

import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import Final

import kopf
from estimatesync_contract.names import GROUP, JOB_LABEL_SELECTOR

_SERVER_TIMEOUT: Final = 300
_CLIENT_TIMEOUT: Final = 330
_BACKOFFS: Final = (1, 1, 2, 3, 5, 8)
_LAST_BACKOFF: Final = 10


class _EndlessBackoffs(Iterable[float]):
    """Seconds between the tries of one call. When they run out, kopf ends the operator, which no outage should do."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(_BACKOFFS, itertools.repeat(_LAST_BACKOFF))


class NoDiffBase(kopf.DiffBaseStorage):
    """Spares a deep copy of each object at each event: `on.event` handlers compare nothing with what was before."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:  # noqa: ARG002 - kopf's
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 - kopf's
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        del body, patch, essence


def configure(settings: kopf.OperatorSettings) -> None:
    """Set everything that differs from kopf's defaults."""
    # A foreign KopfPeering named `default` must not pause us.
    settings.peering.standalone = True
    # Rights in one namespace are enough when kopf does not look for new resources and namespaces.
    settings.scanning.disabled = True
    # Seconds. A watch that died silently is detected and opened again.
    settings.watching.server_timeout = _SERVER_TIMEOUT
    settings.watching.client_timeout = _CLIENT_TIMEOUT
    settings.watching.connect_timeout = 10
    # Objects in one page of a listing.
    settings.watching.chunk_size = 500
    # Only our own jobs travel, instead of every job of the namespace.
    settings.watching.label_selectors["batch", "v1", "jobs"] = JOB_LABEL_SELECTOR
    # Seconds. Until its worker ends, kopf holds an object that it has shown: at start, all that are listed meanwhile.
    settings.queueing.idle_timeout = 0.1
    # Seconds for one call.
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    # An API server that is down comes back; a restart of the operator would not bring it sooner.
    settings.networking.error_backoffs = _EndlessBackoffs()
    # One line for each event of each object would drown everything else.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    # The same for each liveness probe, which kopf logs as well.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("kopf.activities.probe").setLevel(logging.WARNING)
    # Nothing is annotated and no finalizer is set; should a handler of another kind ever come, it uses our own group.
    settings.persistence.finalizer = f"{GROUP}/estimatesync-operator"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = NoDiffBase()
