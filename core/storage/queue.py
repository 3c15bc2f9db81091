"""How busy the queue is, measured from the jobs themselves and from the workers that are ready."""

from collections.abc import Mapping
from typing import Any, final

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select, true, tuple_

from core.domain.job import Job, JobClass, JobState
from core.domain.watching import QueueLoad
from core.storage.rows import model_key
from core.storage.tables import IS_QUEUED, IS_RUNNING, IS_SUCCEEDED, IS_WAITING, UtcDateTime, jobs
from core.storage.transaction import Transaction
from core.storage.workers import SqlWorkers

_RECENT = 20  # jobs: enough to even out one odd one, few enough to follow a change


def _count(*conditions: ColumnElement[bool]) -> Select[int]:
    return select(func.count().label("count")).select_from(jobs).where(*conditions)


_CLASS = jobs.c.job_class == bindparam("job_class")
_MODEL = jobs.c.model_key == bindparam("model_key")
_PLACE = tuple_(func.coalesce(bindparam("queued_at", type_=UtcDateTime), jobs.c.queued_at), bindparam("job_id"))
_BEFORE = _count(IS_QUEUED, _CLASS, _MODEL, tuple_(jobs.c.queued_at, jobs.c.id) < _PLACE)


def _load(its: ColumnElement[bool]) -> Select[Any]:
    # One statement, and yet each count is answered by an index of its own.
    mine = and_(_CLASS, its)
    served = jobs.c.model_key.in_(bindparam("served", expanding=True))
    return select(
        select(func.min(jobs.c.queued_at)).where(IS_QUEUED, mine).scalar_subquery().label("oldest"),
        _count(IS_QUEUED, mine).scalar_subquery().label("queued"),
        _count(IS_QUEUED, mine, served).scalar_subquery().label("served"),
        _count(IS_RUNNING, mine).scalar_subquery().label("running"),
        _count(IS_RUNNING, its).scalar_subquery().label("busy"),
    )


_LOAD, _LOAD_OF_MODEL = _load(true()), _load(_MODEL)
# A duplicate has run for no time at all.
_ENDED_LAST = (
    select(jobs.c.started_at, jobs.c.finished_at)
    .where(IS_SUCCEEDED, jobs.c.leader.is_(None), _CLASS)
    .order_by(jobs.c.finished_at.desc())
    .limit(_RECENT)
)


@final
class SqlQueue:
    """Implements `QueueRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def position(self, job: Job) -> int:
        its = {"queued_at": job.queued_at, "job_id": job.id, "model_key": model_key(job.model)}
        # What is asked next wants to know the time.
        row = self._tx.one_with_clock(_BEFORE, {**its, "job_class": job.job_class})
        return 0 if row is None else int(row["count"])

    def load(self, job_class: JobClass, *, model: Mapping[str, str] | None = None) -> QueueLoad:
        ready = SqlWorkers(self._tx).ready(model=model)
        asked = {"job_class": job_class, "served": [model_key(worker.model) for worker in ready]}
        if model is None:
            counted = self._tx.connection.execute(_LOAD, asked).one()
        else:
            counted = self._tx.connection.execute(_LOAD_OF_MODEL, {**asked, "model_key": model_key(model)}).one()
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
        recent = self._tx.connection.execute(_ENDED_LAST, {"job_class": job_class})
        lengths = [(row.finished_at - row.started_at).total_seconds() for row in recent if row.started_at is not None]
        return sum(lengths) / len(lengths) if lengths else None
