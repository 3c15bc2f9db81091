"""How busy the queue is, measured from the jobs themselves and from the workers that are ready."""

from collections.abc import Mapping
from typing import final

from sqlalchemy import ColumnElement, Select, and_, func, select, true, tuple_

from core.domain.job import Job, JobClass, JobState
from core.domain.watching import QueueLoad
from core.storage.rows import model_key
from core.storage.tables import IS_QUEUED, IS_RUNNING, IS_SUCCEEDED, IS_WAITING, jobs
from core.storage.transaction import Transaction
from core.storage.workers import SqlWorkers

_RECENT = 20  # jobs: enough to even out one odd one, few enough to follow a change


@final
class SqlQueue:
    """Implements `QueueRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def position(self, job: Job) -> int:
        mine = tuple_(func.coalesce(job.queued_at, jobs.c.queued_at), job.id)
        before = _count(
            IS_QUEUED,
            jobs.c.job_class == job.job_class,
            jobs.c.model_key == model_key(job.model),
            tuple_(jobs.c.queued_at, jobs.c.id) < mine,
        )
        row = self._tx.one_with_clock(before)  # what is asked next wants to know the time
        return 0 if row is None else int(row["count"])

    def load(self, job_class: JobClass, *, model: Mapping[str, str] | None = None) -> QueueLoad:
        ready = SqlWorkers(self._tx).ready(model=model)
        its = true() if model is None else jobs.c.model_key == model_key(model)
        mine = and_(jobs.c.job_class == job_class, its)
        served = {model_key(worker.model) for worker in ready}
        # One statement, and yet each count is answered by an index of its own.
        counted = self._tx.connection.execute(
            select(
                select(func.min(jobs.c.queued_at)).where(IS_QUEUED, mine).scalar_subquery().label("oldest"),
                _count(IS_QUEUED, mine).scalar_subquery().label("queued"),
                _count(IS_QUEUED, mine, jobs.c.model_key.in_(served)).scalar_subquery().label("served"),
                _count(IS_RUNNING, mine).scalar_subquery().label("running"),
                _count(IS_RUNNING, its).scalar_subquery().label("busy"),
            )
        ).one()
        return QueueLoad(
            job_class=job_class,
            queued=counted.queued,
            oldest_queued_at=counted.oldest,
            running=counted.running,
            typical_seconds=self._typical_seconds(job_class),
            workers=len(ready),
            slots=sum(job_class.seats(worker.slots) for worker in ready),
            busy=counted.busy,
            stranded=counted.queued - counted.served,
        )

    def unfinished(self) -> dict[tuple[JobState, JobClass], int]:
        counted = select(jobs.c.job_class, func.count()).group_by(jobs.c.job_class)
        states = {JobState.WAITING: IS_WAITING, JobState.QUEUED: IS_QUEUED, JobState.RUNNING: IS_RUNNING}
        return {
            (state, JobClass(job_class)): count
            for state, is_state in states.items()
            for job_class, count in self._tx.connection.execute(counted.where(is_state))
        }

    def _typical_seconds(self, job_class: JobClass) -> float | None:
        # A duplicate has run for no time at all.
        recent = self._tx.connection.execute(
            select(jobs.c.started_at, jobs.c.finished_at)
            .where(IS_SUCCEEDED, jobs.c.leader.is_(None), jobs.c.job_class == job_class)
            .order_by(jobs.c.finished_at.desc())
            .limit(_RECENT)
        )
        lengths = [(row.finished_at - row.started_at).total_seconds() for row in recent if row.started_at is not None]
        return sum(lengths) / len(lengths) if lengths else None


def _count(*conditions: ColumnElement[bool]) -> Select[int]:
    return select(func.count().label("count")).select_from(jobs).where(*conditions)
