"""The API's metrics for Prometheus. No label holds an id, a key or a path of the caller's choosing.

With several worker processes each writes its numbers into files of PROMETHEUS_MULTIPROC_DIR (`gunicorn_conf.py` makes
one), and the one that is asked adds them up; the process's own numbers, like memory, are shown by a single worker.
Names and units follow https://prometheus.io/docs/practices/naming/.
"""

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROC_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
UNKNOWN: Final = "other"

_OPEN_METRICS: Final = "application/openmetrics-text"
_PLAIN_TEXT: Final = "text/plain"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


def choose_media(accept: str) -> str:
    """Choose one of two formats, whatever versions and escapes are asked for: no name or label here needs any."""
    return _OPEN_METRICS if _OPEN_METRICS in accept else _PLAIN_TEXT


class ApiMetrics:
    """Counts what the API does; one for each application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        if MULTIPROC_DIR not in os.environ:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
        self._requests = self._count("requests", "Requests answered.", "method", "route", "status")
        self._seconds = Histogram(
            "estimatesync_api_request_duration_seconds",
            "From a request to the beginning of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._started = self._count("syncs_started", "Syncs stored.")
        self._repeated = self._count("requests_repeated", "Requests answered with a sync that was there already.")
        self._limited = self._count("requests_limited", "Requests refused for being too many.", "reason")
        self._unauthenticated = self._count("auth_failures", "Requests without a valid key.", "reason")
        self._key_faults = Gauge(
            "estimatesync_api_key_faults",
            "API keys and files of them that cannot be used.",
            registry=self._registry,
            # All workers read the same files: whoever read them last knows best.
            multiprocess_mode="livemostrecent",
        )

    def record_request(self, *, method: str | None, route: str | None, status: int, seconds: float) -> None:
        """Count an answer; method and route are as they were declared, None for none of ours."""
        method, route = method or UNKNOWN, route or UNKNOWN
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    def record_started(self) -> None:
        self._started.inc()

    def record_repeated(self) -> None:
        """Count a request that was answered with an existing sync."""
        self._repeated.inc()

    def record_limited(self, reason: str) -> None:
        """Count a request that was refused because there were too many."""
        self._limited.labels(reason).inc()

    def record_unauthenticated(self, reason: str) -> None:
        """Count a request whose key was missing or wrong."""
        self._unauthenticated.labels(reason).inc()

    def record_key_faults(self, count: int) -> None:
        """Say how many API keys, or files of them, cannot be used now."""
        self._key_faults.set(count)

    def format(self, media: str) -> tuple[bytes, str]:
        """Write all numbers in one of the formats of `choose_media`; answers that and its content type."""
        encode, content_type = choose_encoder(media)
        return encode(self._choose_registry()), content_type

    def _choose_registry(self) -> CollectorRegistry:
        if MULTIPROC_DIR not in os.environ:
            return self._registry
        all_workers = CollectorRegistry()
        MultiProcessCollector(all_workers)  # type: ignore[no-untyped-call] # has no types
        return all_workers

    def _count(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"estimatesync_api_{name}", text, labels, registry=self._registry)
