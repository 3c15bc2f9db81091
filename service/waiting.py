"""Requests that wait for jobs and streams that follow them share one poller.

There is no thread for each, and one look into the database serves all of them.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias, final

from starlette.concurrency import run_in_threadpool

from core.domain.watching import EventKind, JobEvent

# What a waiting caller may lose; the cost is four small queries a second, and none while nobody waits.
_PERIOD_SECONDS = 0.25

News: TypeAlias = Sequence[JobEvent]


@final
class Watcher:
    """One who watches a job: how far he has been told, and what he has not yet taken."""

    def __init__(self, after: int) -> None:
        self.after = after
        self._untold: asyncio.Queue[News] = asyncio.Queue()

    async def news(self) -> News:
        """What has happened since the last call, as soon as there is anything; nothing: the process is ending."""
        return await self._untold.get()

    def tell(self, news: News) -> None:
        """Of these events those that are new to him."""
        new = [event for event in news if event.number > self.after]
        if new:
            self.after = new[-1].number
            self._untold.put_nowait(new)

    def release(self) -> None:
        """There will be no more."""
        self._untold.put_nowait(())


@final
class Poller:
    """Tells those who wait what happens to their jobs.

    Args:
        find_news: of each of these job ids the events after the number given for it; called in a thread.
    """

    def __init__(self, find_news: Callable[[Mapping[str, int]], News]) -> None:
        self._find_news = find_news
        self._watchers: dict[str, set[Watcher]] = {}
        self._anyone = asyncio.Event()
        self._released = False

    async def wait(self, job_id: str, *, seconds: float) -> None:
        """Returns when the job is done, and at the latest after these seconds."""
        with self.watching(job_id, after=0) as watcher:
            try:
                async with asyncio.timeout(seconds):
                    while (news := await watcher.news()) and not any(map(is_end, news)):
                        continue
            except TimeoutError:
                return

    @contextmanager
    def watching(self, job_id: str, *, after: int) -> Iterator[Watcher]:
        """What happens to the job after this event is told as it happens, until the block ends."""
        watcher = Watcher(after)
        if self._released:
            watcher.release()
        self._watchers.setdefault(job_id, set()).add(watcher)
        self._anyone.set()
        try:
            yield watcher
        finally:
            self._watchers[job_id].discard(watcher)
            if not self._watchers[job_id]:
                del self._watchers[job_id]
            if not self._watchers:
                self._anyone.clear()

    def release(self) -> None:
        """Lets everyone go, now and from now on: the process is ending."""
        self._released = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.release()

    async def look(self) -> None:
        """Sleeps while nobody waits; else looks once and tells what is new."""
        await self._anyone.wait()
        await asyncio.sleep(_PERIOD_SECONDS)
        # Who comes while the database is asked may have seen less than it is asked for; the next look is for him.
        present = {job_id: tuple(watchers) for job_id, watchers in self._watchers.items()}
        if not present:
            return  # all have gone meanwhile
        after = {job_id: min(watcher.after for watcher in watchers) for job_id, watchers in present.items()}
        news: dict[str, list[JobEvent]] = {}
        for event in await run_in_threadpool(self._find_news, after):
            news.setdefault(event.job_id, []).append(event)
        for job_id, events in news.items():
            for watcher in present[job_id]:
                watcher.tell(events)


def is_end(event: JobEvent) -> bool:
    """Whether this is the last that happens to a job."""
    return event.kind is EventKind.STATE and event.state.final
