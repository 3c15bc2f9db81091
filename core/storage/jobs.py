"""The repository of jobs; how they are claimed, moved and settled stands in the modules beside it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import final

from sqlalchemy import ColumnElement, Text, and_, bindparam, exists, func, insert, or_, select, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB

from core.domain.job import Job, JobClass, JobState, Progress
from core.domain.ports import Beat, Claim, JobFilter, Outcome
from core.storage import claims, endings, tidying
from core.storage.events import NOTED, note_of_state, note_states
from core.storage.rows import to_job, to_row
from core.storage.settlement import erase, join
from core.storage.tables import HAS_ARTIFACTS, IS_QUEUED, IS_RUNNING, jobs
from core.storage.transaction import Transaction

_ONE = select(jobs).where(jobs.c.tenant == bindparam("tenant"), jobs.c.id == bindparam("job_id"))
_HELD = _ONE.with_for_update()
_ADDED = insert(jobs).values({column.name: bindparam(f"new_{column.name}", type_=column.type) for column in jobs.c})
_ADD = NOTED.add_cte(_ADDED.cte())  # a job and its event in one statement
_LOCK_WORK = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("work", type_=Text), 0)))
_ACTIVE = and_(jobs.c.leader.is_(None), jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]))
_LEADS = or_(_ACTIVE, HAS_ARTIFACTS)
_SAME_WORK = (
    select(jobs.c.id, func.coalesce(jobs.c.leader, jobs.c.id).label("root"))
    .where(jobs.c.tenant == bindparam("tenant"), jobs.c.work_key == bindparam("work_key"), _LEADS)
    .limit(1)
)


@final
class SqlJobs:
    """Implements `JobRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def add(self, job: Job) -> Job:
        row = to_row(job)
        if self._tx.postgres:
            new = {f"new_{column.name}": row.get(column.name) for column in jobs.c}
            self._tx.connection.execute(_ADD, {**new, **note_of_state(self._tx, job)})
        else:
            self._tx.connection.execute(insert(jobs), row)
            note_states(self._tx, [job])
        return join(self._tx, job) if job.state is JobState.WAITING else job

    def get(self, tenant: str, job_id: str) -> Job | None:
        row = self._tx.connection.execute(_ONE, {"tenant": tenant, "job_id": job_id}).one_or_none()
        return None if row is None else to_job(row)

    def hold(self, tenant: str, job_id: str) -> Job | None:
        row = self._tx.connection.execute(_HELD, {"tenant": tenant, "job_id": job_id}).one_or_none()
        return None if row is None else to_job(row)

    def find_leader(self, tenant: str, work_key: str) -> Job | None:
        if self._tx.postgres:
            self._tx.connection.execute(_LOCK_WORK, {"work": f"{tenant}/{work_key}"})
        same = {"tenant": tenant, "work_key": work_key}
        # The row may change while we wait for its lock; whoever changed it left another candidate, or none.
        while (found := self._tx.connection.execute(_SAME_WORK, same).one_or_none()) is not None:
            self._tx.connection.execute(select(jobs.c.id).where(jobs.c.id == found.root).with_for_update())
            leading = select(jobs).where(jobs.c.id == found.id, _LEADS)
            row = self._tx.connection.execute(leading).one_or_none()
            if row is not None:
                return to_job(row)
        return None

    def prefer(self, leader: Job) -> None:
        preferred = update(jobs).where(jobs.c.id == leader.id).values(job_class=JobClass.INTERACTIVE)
        self._tx.connection.execute(preferred)

    def has_readers(self, job_id: str) -> bool:
        return endings.has_readers(self._tx, job_id)

    def list(self, query: JobFilter) -> Sequence[Job]:
        rows = self._tx.connection.execute(
            select(jobs)
            .where(*_conditions(query), *_labelled(query.metadata, postgres=self._tx.postgres))
            .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
            .limit(query.limit)
        )
        return [to_job(row) for row in rows]

    def claim_next(
        self, *, lease_seconds: float, classes: Sequence[JobClass], model: Mapping[str, str], suspects: bool = True
    ) -> Claim | None:
        return claims.claim_next(self._tx, lease_seconds=lease_seconds, classes=classes, model=model, suspects=suspects)

    def beat(self, claim: Claim, progress: Progress, *, lease_seconds: float) -> Beat:
        return claims.beat(self._tx, claim, progress, lease_seconds=lease_seconds)

    def save_checkpoint(self, claim: Claim, key: str, progress: Progress) -> bool:
        return claims.save_checkpoint(self._tx, claim, key=key, progress=progress)

    def save_preview(self, claim: Claim, key: str, *, timestep: int) -> bool:
        return claims.save_preview(self._tx, claim, key=key, timestep=timestep)

    def finish(self, claim: Claim, outcome: Outcome, *, retention: timedelta) -> bool:
        return endings.finish(self._tx, claim, outcome, retention=retention) is not None

    def release(self, claim: Claim, *, count_attempt: bool) -> bool:
        job = claims.release(self._tx, claim, count_attempt=count_attempt)
        if job is not None and job.cancel_requested:
            endings.cancel(self._tx, job)
        return job is not None

    def request_cancel(self, held: Job) -> Job:
        return endings.request_cancel(self._tx, held)

    def delete(self, tenant: str, job_id: str) -> Sequence[str]:
        job = self.hold(tenant, job_id)
        if job is None or not job.state.final or job.deleted_at is not None:
            return []
        self._tx.connection.execute(update(jobs).where(jobs.c.id == job.id).values(deleted_at=self._tx.now()))
        return erase(self._tx, job)

    def void_leases(self) -> int:
        past = self._tx.now() - timedelta(seconds=1)
        return self._tx.connection.execute(update(jobs).where(IS_RUNNING).values(lease_until=past)).rowcount

    def expire_leases(self, *, limit: int) -> int:
        return endings.expire_leases(self._tx, limit=limit)

    def expire_deadlines(self, *, limit: int) -> int:
        return endings.expire_deadlines(self._tx, limit=limit)

    def expire_artifacts(self, *, limit: int) -> Sequence[str]:
        return endings.expire_artifacts(self._tx, limit=limit)

    def untidy(self, *, before: datetime, limit: int) -> Sequence[tuple[Job, Collection[str]]]:
        return tidying.untidy(self._tx, before=before, limit=limit)

    def mark_tidy(self, seen: Sequence[tuple[Job, Collection[str]]]) -> None:
        tidying.mark_tidy(self._tx, seen)

    def mark_untidy(self, job_id: str) -> None:
        tidying.mark_untidy(self._tx, job_id)

    def queued_count(self, *, limit: int) -> int:
        some = select(jobs.c.id).where(IS_QUEUED).limit(limit).subquery()
        return self._tx.connection.execute(select(func.count()).select_from(some)).scalar_one()


def _conditions(query: JobFilter) -> list[ColumnElement[bool]]:
    conditions = [jobs.c.tenant == query.tenant, jobs.c.deleted_at.is_(None)]
    wanted = {
        "kind": query.kind,
        "state": query.state,
        "method": query.method,
        "batch_id": query.batch_id,
        "depends_on": query.inversion_id,
    }
    conditions += [jobs.c[name] == value for name, value in wanted.items() if value is not None]
    if query.created_after is not None:
        conditions.append(jobs.c.created_at > query.created_after)
    if query.created_before is not None:
        conditions.append(jobs.c.created_at < query.created_before)
    if query.after is not None:
        created_at, job_id = query.after
        # Spelled out, not as a row value: each side then has the column's type.
        older = jobs.c.created_at < created_at
        conditions.append(or_(older, and_(jobs.c.created_at == created_at, jobs.c.id < job_id)))
    return conditions


def _labelled(metadata: Sequence[tuple[str, str]], *, postgres: bool) -> list[ColumnElement[bool]]:
    if postgres:  # as a document in a document, which an index answers
        return [type_coerce(jobs.c.metadata, JSONB).contains({key: value}) for key, value in metadata]
    # As rows: a path would compare the key with the text as it is kept, where "é" is written \u00e9.
    return [_pair(key, value) for key, value in metadata]


def _pair(key: str, value: str) -> ColumnElement[bool]:
    pairs = func.json_each(jobs.c.metadata).table_valued("key", "value")
    return exists().where(pairs.c.key == key, pairs.c.value == value)
