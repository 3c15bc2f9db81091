"""What the web process does besides answering: it sweeps, it tends batches, and it wakes those who wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog
from starlette.concurrency import run_in_threadpool

from core.domain.errors import AppError
from core.usecases.fetching import fetch_inputs
from core.usecases.sweep import sweep
from core.usecases.tending import tend_batch, tend_batches
from service.deliveries import Deliveries
from service.dependencies import Ports

_LOG: structlog.stdlib.BoundLogger = structlog.get_logger("service")

# So long a failing loop rests: soon enough for who waits, and no storm on a database that comes back.
_PATIENCE_SECONDS = 1.0


@asynccontextmanager
async def running(ports: Ports) -> AsyncIterator[None]:
    """All of it goes on until the block ends."""
    seconds = ports.settings.sweep_seconds
    rounds = [
        asyncio.create_task(_for_ever(partial(work, ports), pause_seconds=seconds)) for work in (_sweep, _tend, _fetch)
    ]
    tasks = [asyncio.create_task(_for_ever(ports.poller.look, pause_seconds=0.0)), *rounds]
    try:
        with Deliveries(ports.database, ports.web):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _for_ever(work: Callable[[], Awaitable[object]], *, pause_seconds: float) -> None:
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - jobs would be lost sight of if this loop ended
            # A part that is away is no fault of the code; a later round finds it back.
            _LOG.warning("background work failed", error=str(error), exc_info=not isinstance(error, AppError))
            await asyncio.sleep(_PATIENCE_SECONDS)
        await asyncio.sleep(pause_seconds)


async def _sweep(ports: Ports) -> None:
    swept = await run_in_threadpool(sweep, ports.database, ports.store, ports.wakeups)
    _LOG.debug("sweep", swept=swept)


async def _fetch(ports: Ports) -> None:
    while batches := await run_in_threadpool(fetch_inputs, ports.database, ports.store, ports.web):
        for tenant, batch_id in batches:
            tend = partial(tend_batch, tenant=tenant, batch_id=batch_id)
            await run_in_threadpool(tend, ports.database, ports.wakeups, ports.model)


async def _tend(ports: Ports) -> None:
    await run_in_threadpool(tend_batches, ports.database, ports.wakeups, ports.model)
