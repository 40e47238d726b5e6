"""The operator's metrics over real sockets."""

import asyncio
import socket

import httpx
import pytest
from estimatesync_contract.settings import SettingsError
from estimatesync_operator.metrics import serve_metrics
from prometheus_client import CollectorRegistry, Gauge

HERE, ELSEWHERE = "127.0.0.2", "127.0.0.1"


def choose_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


def test_metrics_are_answered_at_the_address_that_is_set_and_nowhere_else() -> None:
    registry, port = CollectorRegistry(), choose_port()
    Gauge("made_up", "Made up.", registry=registry).set(7)

    async def ask() -> str:
        async with (
            serve_metrics(registry, address=HERE, port=port),
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
        ):
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://{ELSEWHERE}:{port}/metrics")
            return (await client.get(f"http://{HERE}:{port}/metrics")).text

    assert "made_up 7.0" in asyncio.run(ask())


def test_a_port_that_is_taken_is_reported_with_its_address() -> None:
    async def serve(port: int) -> None:
        async with serve_metrics(CollectorRegistry(), address=HERE, port=port):
            raise AssertionError

    with socket.create_server((HERE, 0)) as taken, pytest.raises(SettingsError, match=f"at {HERE}: .*in use"):
        asyncio.run(serve(taken.getsockname()[1]))
