"""Requests that wait for jobs share one poller: no thread each, and one look into the database for all of them."""

import asyncio
from collections.abc import Callable, Collection
from typing import final

from starlette.concurrency import run_in_threadpool

# What a waiting caller may lose; the cost is four small queries a second, and none while nobody waits.
_PERIOD_SECONDS = 0.25


@final
class Poller:
    """Wakes waiting requests when their jobs are done.

    Args:
        finished: of these job ids, those whose state is final; called in a thread.
    """

    def __init__(self, finished: Callable[[Collection[str]], Collection[str]]) -> None:
        self._finished = finished
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._anyone = asyncio.Event()
        self._released = False

    async def wait(self, job_id: str, *, seconds: float) -> None:
        """Returns when the job is done, and at the latest after these seconds."""
        if self._released:
            return
        done = asyncio.Event()
        self._waiting.setdefault(job_id, set()).add(done)
        self._anyone.set()
        try:
            async with asyncio.timeout(seconds):
                await done.wait()
        except TimeoutError:
            pass
        finally:
            self._leave(job_id, done)

    def release(self) -> None:
        """Lets everyone go, now and from now on: the process is ending."""
        self._released = True
        for waiting in self._waiting.values():
            for done in waiting:
                done.set()

    async def look(self) -> None:
        """Sleeps while nobody waits; else looks once and wakes those whose jobs are done."""
        await self._anyone.wait()
        await asyncio.sleep(_PERIOD_SECONDS)
        for job_id in await run_in_threadpool(self._finished, tuple(self._waiting)):
            for done in self._waiting.get(job_id, ()):
                done.set()

    def _leave(self, job_id: str, done: asyncio.Event) -> None:
        self._waiting[job_id].discard(done)
        if not self._waiting[job_id]:
            del self._waiting[job_id]
        if not self._waiting:
            self._anyone.clear()
