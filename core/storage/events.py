"""The events of jobs.

Whoever writes one holds the job's row: within a job a greater number is a later commit.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, final

from sqlalchemy import Row, Select, and_, bindparam, case, delete, func, insert, select, values
from sqlalchemy.sql import column

from core.domain.job import Job, JobClass, JobState, Progress
from core.domain.watching import Entered, EventKind, JobEvent
from core.storage.tables import Id, Number, events, jobs
from core.storage.transaction import Transaction

# Inline, for its number is of no interest.
_VALUES = {column.name: bindparam(f"event_{column.name}", type_=column.type) for column in events.c}
NOTED = insert(events).values({name: value for name, value in _VALUES.items() if name != "number"}).inline()


@final
class SqlEvents:
    """Implements `EventRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def of(self, tenant: str, job_id: str, *, after: int = 0) -> Sequence[JobEvent]:
        mine = (jobs.c.tenant == tenant, jobs.c.id == job_id, events.c.number > after)
        return self._read(select(events).join(jobs, jobs.c.id == events.c.job_id).where(*mine))

    def news(self, after: Mapping[str, int]) -> Sequence[JobEvent]:
        seen = values(column("job_id", Id), column("number", Number), name="seen").data(list(after.items())).cte()
        new = and_(events.c.job_id == seen.c.job_id, events.c.number > seen.c.number)
        return self._read(select(events).join(seen, new))

    def newest(self) -> int:
        return self._tx.connection.execute(select(func.max(events.c.number))).scalar_one() or 0

    def entered(self, *, after: int, until: datetime) -> tuple[int, Sequence[Entered]]:
        again = case((events.c.attempt > 1, 1), else_=0).label("again")
        groups = (jobs.c.job_class, events.c.state, again)
        counted = self._tx.connection.execute(
            select(*groups, func.count(), func.max(events.c.number))
            .join(jobs, jobs.c.id == events.c.job_id)
            .where(events.c.number > after, events.c.kind == EventKind.STATE, events.c.at < until)
            .group_by(*groups)
        ).all()
        entered = [
            Entered(job_class=JobClass(job_class), state=JobState(state), again=bool(once_more), count=count)
            for job_class, state, once_more, count, _ in counted
        ]
        return max((number for *_, number in counted), default=after), entered

    def _read(self, query: Select[Any]) -> list[JobEvent]:
        return [_to_event(row) for row in self._tx.connection.execute(query.order_by(events.c.number))]


def note_of_state(tx: Transaction, job: Job) -> dict[str, Any]:
    """The parameters of `NOTED` for a job that has entered the state it is in."""
    return {f"event_{name}": value for name, value in _row(tx, job, kind=EventKind.STATE).items()}


def note_states(tx: Transaction, entered: Sequence[Job]) -> None:
    """These jobs have entered the states they are in."""
    if entered:
        rows = [_row(tx, job, kind=EventKind.STATE) for job in entered]
        tx.connection.execute(insert(events), rows)


def note_progress(tx: Transaction, job: Job, progress: Progress) -> None:
    """How far a job is; what was told before is forgotten."""
    data = {"timestep": progress.timestep, "timesteps": progress.timesteps, "eta_seconds": progress.eta_seconds}
    mine = _is(EventKind.PROGRESS, [job.id])
    if data in tx.connection.execute(select(events.c.data).where(mine)).scalars().all():
        return
    row = _row(tx, job, kind=EventKind.PROGRESS, data=data)
    # The new one first: SQLite would give the number of a deleted last row again.
    number = tx.connection.execute(insert(events).values(**row).returning(events.c.number)).scalar_one()
    tx.connection.execute(delete(events).where(mine, events.c.number < number))


def note_preview(tx: Transaction, job: Job, key: str, *, timestep: int) -> None:
    """There is a picture of a job in flight."""
    row = _row(tx, job, kind=EventKind.PREVIEW, data={"timestep": timestep, "key": key})
    tx.connection.execute(insert(events).values(**row))


def forget_previews(tx: Transaction, job_ids: Collection[str]) -> None:
    """The attempts that made them are over."""
    tx.connection.execute(delete(events).where(_is(EventKind.PREVIEW, job_ids)))


def _is(kind: EventKind, job_ids: Collection[str]) -> Any:
    return and_(events.c.job_id.in_(job_ids), events.c.kind == kind)


def _row(tx: Transaction, job: Job, *, kind: EventKind, data: dict[str, Any] | None = None) -> dict[str, Any]:
    about = {"job_id": job.id, "state": job.state, "attempt": job.attempt}
    return {**about, "kind": kind, "at": tx.now(), "data": data or {}}


def _to_event(row: Row[Any]) -> JobEvent:
    return JobEvent(
        number=row.number,
        job_id=row.job_id,
        kind=EventKind(row.kind),
        state=JobState(row.state),
        attempt=row.attempt,
        at=row.at,
        data=row.data,
    )
