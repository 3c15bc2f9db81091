"""Callers who wait for their jobs: requests that stay open for a minute, and come again."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import httpx

from tests.load.stack import Stack

_WAIT_SECONDS: Final = 60
_TIMEOUT_SECONDS: Final = 90.0
_ARRIVAL_SECONDS: Final = 30.0


@contextmanager
def waiting(stack: Stack, job_ids: Sequence[str]) -> Iterator[None]:
    """One caller for each job asks with `?wait=60` again and again until the block ends."""
    there, over = Event(), Event()
    thread = Thread(target=lambda: asyncio.run(_wait(stack, job_ids, there=there, over=over)), name="waiting")
    thread.start()
    try:
        assert there.wait(_ARRIVAL_SECONDS)
        yield
    finally:
        over.set()
        thread.join()


async def _wait(stack: Stack, job_ids: Sequence[str], *, there: Event, over: Event) -> None:
    limits = httpx.Limits(max_connections=len(job_ids))
    headers = {"Authorization": f"Bearer {stack.key}"}
    async with httpx.AsyncClient(
        base_url=stack.url, headers=headers, limits=limits, timeout=_TIMEOUT_SECONDS
    ) as client:
        waits = [asyncio.create_task(_ask_again(client, job_id)) for job_id in job_ids]
        await asyncio.sleep(3)  # until all have come in
        there.set()
        await asyncio.to_thread(over.wait)
        failed = [task for task in waits if task.done()]
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        for task in failed:
            task.result()


async def _ask_again(client: httpx.AsyncClient, job_id: str) -> None:
    while True:
        (await client.get(f"/jobs/{job_id}", params={"wait": _WAIT_SECONDS})).raise_for_status()
