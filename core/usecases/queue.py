"""How long the queue is, and where one job stands in it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import final

from core.domain.job import Job, JobClass, JobState, QueueLoad
from core.domain.ports import Database


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A queued job's place; `position` counts the jobs of its class before it."""

    position: int
    estimated_wait_seconds: float | None


def find_place(database: Database, job: Job) -> Place | None:
    """Where the job stands; None unless it is queued."""
    if job.state is not JobState.QUEUED:
        return None
    with database.read() as uow:
        position = uow.jobs.queue_position(job)
        load = uow.jobs.load(job.job_class)
    return Place(position=position, estimated_wait_seconds=load.estimated_wait_seconds(position))


def measure_queue(database: Database) -> tuple[datetime, Sequence[QueueLoad]]:
    """The database's time, and the load of every class at that time."""
    with database.read() as uow:
        return uow.now(), [uow.jobs.load(job_class) for job_class in JobClass]


def find_finished(database: Database, job_ids: Collection[str]) -> Collection[str]:
    """Of these jobs, those whose state is final."""
    with database.read() as uow:
        return uow.jobs.finished(job_ids)
