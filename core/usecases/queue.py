"""How long the queue is, where one job stands in it, and who is there to work on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import final

from core.domain.catalogue import Model
from core.domain.errors import Unavailable
from core.domain.job import Job, JobClass, JobState
from core.domain.ports import Database
from core.domain.watching import QueueLoad


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A queued job's place; `position` counts the jobs of its class and model before it."""

    position: int
    estimated_wait_seconds: float | None
    workers: int  # that are ready and run its model


def find_place(database: Database, job: Job) -> Place | None:
    """Where the job stands; None unless it is queued."""
    if job.state is not JobState.QUEUED:
        return None
    with database.read() as uow:
        position = uow.queue.position(job)
        load = uow.queue.load(job.job_class, model=job.model)
    return Place(position=position, estimated_wait_seconds=load.estimated_wait_seconds(position), workers=load.workers)


def measure_queue(database: Database) -> tuple[datetime, Sequence[QueueLoad]]:
    """The database's time, and the load of every class at that time."""
    with database.read() as uow:
        return uow.now(), [uow.queue.load(job_class) for job_class in JobClass]


def report_worker(database: Database, worker_id: str, *, model: Model, slots: int, lease_seconds: float) -> None:
    """Says that a worker has its model warm and is there, for as long as a lease lasts."""
    with database.begin() as uow:
        uow.workers.report(worker_id, model=model.identity, slots=slots, lease_seconds=lease_seconds)
        uow.commit()


def count_slots(database: Database) -> int:
    """Of all workers that are ready."""
    with database.read() as uow:
        return sum(worker.slots for worker in uow.workers.ready())


def forget_worker(database: Database, worker_id: str) -> None:
    """A worker takes its leave."""
    with database.begin() as uow:
        uow.workers.forget(worker_id)
        uow.commit()


def forget_workers(database: Database) -> None:
    """None that was ready is so any more; for the owner of an embedded service, before the one worker starts."""
    with database.begin() as uow:
        uow.workers.clear()
        uow.commit()


def require_worker(database: Database, model: Model) -> None:
    """Returns when somebody runs the jobs that are accepted now.

    Raises:
        Unavailable: no worker with this model is ready.
    """
    with database.read() as uow:
        ready = uow.workers.ready(model=model.identity)
    if not ready:
        raise Unavailable(
            f"No worker with the model {model.name} ({model.revision}) is ready; jobs are accepted and start later."
        )
