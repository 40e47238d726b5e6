"""Everything around the product on sample data, where pods reach it: Attic Tech, PostgreSQL, Make.com's webhook."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from estimatesync_cluster.node_configuration import HOST_ADDRESS
from estimatesync_local.adapters.postgres import EmbeddedPostgres
from sample_attic_tech import SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import append_delivery, running_receiver

from estimatesync_node.chart_values import build_pod_database_url, build_sample_values, build_socket_path
from estimatesync_node.socket_relay import relaying

ESTIMATES: Final = 1609
SEED: Final = 7
PAGE_DELAY_SECONDS: Final = 0.5
"""So that a person sees the progress."""


@contextmanager
def running_world(directory: Path, *, deliveries: Path, api_key: str) -> Iterator[dict[str, Any]]:
    """Run it for the time of the context; yields the chart's values for it.

    Args:
        directory: where PostgreSQL keeps its data.
        deliveries: file that gets one line of JSON for each callback.
        api_key: what callers are to be let in with.

    Raises:
        PostgresError: PostgreSQL did not start.
        OSError: the address, which is the node's network's, is not there.
    """
    config = SampleConfig(
        records=build_records(ESTIMATES, SEED, datetime.now(UTC)),
        password=secrets.token_urlsafe(12),
        page_delay_seconds=PAGE_DELAY_SECONDS,
        host=HOST_ADDRESS,
    )
    with (
        _running_postgres(directory) as database_url,
        running_sample(config) as sample,
        running_receiver(on_delivery=partial(append_delivery, deliveries), host=HOST_ADDRESS) as receiver,
    ):
        yield build_sample_values(
            source_url=sample.url,
            email=config.email,
            password=config.password,
            database_url=database_url,
            callback_url=f"{receiver.url}/make-webhook",
            api_key=api_key,
        )


@contextmanager
def _running_postgres(directory: Path) -> Iterator[str]:
    server = EmbeddedPostgres(directory)
    server.start()
    try:
        with relaying(HOST_ADDRESS, build_socket_path(server.url)) as port:
            yield build_pod_database_url(server.url, host=HOST_ADDRESS, port=port)
    finally:
        server.stop()
