"""What a monitor asks again and again: how much waits and runs, and what has come to an end since it last asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import final

from core.domain.job import JobClass, JobState
from core.domain.ports import Database
from core.domain.watching import Entered, QueueLoad

# Events are numbered before they are committed; after so long none with a smaller number is still to come.
_SETTLED = timedelta(seconds=10)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The service at one moment; `entered` counts the states that jobs have entered between two event numbers."""

    now: datetime
    loads: Sequence[QueueLoad]  # one per class
    unfinished: Mapping[tuple[JobState, JobClass], int]
    entered: Sequence[Entered]
    counted_to: int


def find_newest_event(database: Database) -> int:
    """The number to begin counting after; 0 when nothing has happened yet."""
    with database.read() as uow:
        return uow.events.newest()


def measure_activity(database: Database, *, after: int) -> Activity:
    """The service as it stands, and what jobs went through since an event; some seconds behind."""
    with database.read() as uow:
        counted_to, entered = uow.events.entered(after=after, until=uow.now() - _SETTLED)
        return Activity(
            now=uow.now(),
            loads=[uow.queue.load(job_class) for job_class in JobClass],
            unfinished=uow.queue.unfinished(),
            entered=entered,
            counted_to=counted_to,
        )
