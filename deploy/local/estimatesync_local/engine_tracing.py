"""Runs the engine with a tracer of its own around it, which is closed after the last span. Called by the supervisor."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from estimatesync_tracing.log_fields import install_trace_fields
from estimatesync_tracing.setup import create_tracer

from estimatesync_local.engine import Engine
from estimatesync_local.settings import Settings

_CLOSE_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


@asynccontextmanager
async def running_engine(
    settings: Settings, *, database_url: str, jobs_directory: Path
) -> AsyncIterator[asyncio.Task[None]]:
    """Run the engine; see `Engine.running` for the task that it answers."""
    tracer = create_tracer(settings.tracing, part="operator", warn=logger.warning)
    install_trace_fields(tracer, logging.getLogger().handlers, as_text=True)
    tracer.open()
    engine = Engine(settings, database_url=database_url, jobs_directory=jobs_directory, tracer=tracer)
    try:
        async with engine.running() as work:
            yield work
    finally:
        await asyncio.to_thread(tracer.close, seconds=_CLOSE_SECONDS)
