"""What the web process does besides answering: it sweeps, and it wakes those who wait."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from starlette.concurrency import run_in_threadpool

from core.domain.errors import AppError
from core.usecases.sweep import sweep
from service.dependencies import Ports

_LOG: structlog.stdlib.BoundLogger = structlog.get_logger("service")


@asynccontextmanager
async def running(ports: Ports) -> AsyncIterator[None]:
    """Both go on until the block ends."""
    tasks = [asyncio.create_task(ports.poller.run()), asyncio.create_task(_sweep_for_ever(ports))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _sweep_for_ever(ports: Ports) -> None:
    while True:
        await _survive(lambda: sweep(ports.database, ports.store, ports.wakeups))
        await asyncio.sleep(ports.settings.sweep_seconds)


async def _survive(work: Callable[[], object]) -> None:
    try:
        done = await run_in_threadpool(work)
    except AppError as error:  # a part is away; the next round finds it back
        _LOG.warning("sweep failed", error=error.detail)
    else:
        _LOG.debug("sweep", done=done)
