"""The ways a job ends: finished, canceled, expired, or given up on after too many lost attempts."""

from dataclasses import asdict, replace
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, select, update

from core.domain.errors import ErrorCode
from core.domain.job import Job, JobError, JobKind, JobState
from core.domain.ports import Claim, Outcome
from core.storage.rows import to_documents, to_job
from core.storage.settlement import erase, settle
from core.storage.tables import HAS_ARTIFACTS, IS_QUEUED, IS_RUNNING, IS_UNFINISHED, jobs
from core.storage.tenants import charge
from core.storage.transaction import Transaction
from core.storage.transitions import move, move_all, move_claimed

_UNFINISHED = [state for state in JobState if not state.final]
_CANCELED = JobError(code=ErrorCode.CANCELED, detail="The caller canceled this job.", retryable=True)
_DEADLINE = JobError(code=ErrorCode.DEADLINE, detail="The deadline that the caller set has passed.", retryable=True)


def finish(tx: Transaction, claim: Claim, outcome: Outcome, *, retention: timedelta) -> Job | None:
    """The final write of an attempt that still holds its lease."""
    now = tx.now()
    progress = {"timestep": jobs.c.timesteps} if outcome.state is JobState.SUCCEEDED else {}
    job = move_claimed(
        tx,
        claim,
        outcome.state,
        result=outcome.result,
        artifacts=to_documents(outcome.artifacts),
        error=None if outcome.error is None else asdict(outcome.error),
        metrics=outcome.metrics or {},
        warnings=list(outcome.warnings),
        finished_at=now,
        expires_at=now + retention if outcome.artifacts else None,
        eta_seconds=None,
        checkpoint_key=None,
        **progress,
    )
    if job is not None:
        settle(tx, job)
        # Last, for all that ends of one tenant on one day meets in this row.
        charge(tx, job)
    return job


def request_cancel(tx: Transaction, job: Job) -> Job:
    """A running job is asked to stop, any other unfinished one ends now."""
    if job.state.final:
        return job
    if job.state is not JobState.RUNNING:
        return cancel(tx, job)
    row = tx.connection.execute(
        update(jobs).where(jobs.c.id == job.id).values(cancel_requested=True).returning(*jobs.c)
    ).one()
    return to_job(row)


def cancel(tx: Transaction, job: Job) -> Job:
    """A job whose caller has asked for it ends."""
    return _end(tx, job, JobState.CANCELED, error=_CANCELED)


def cancel_batch(tx: Transaction, batch_id: str, *, reason: str) -> None:
    """Every unfinished job of a batch ends now or is asked to; an inversion that other edits need goes on."""
    mine, readers, followers = jobs.c.batch_id == batch_id, jobs.alias(), jobs.alias()
    # All are held at once, so that none is claimed between two states, and inversions first, as whoever ends one does.
    unfinished = select(jobs.c.id).where(mine, IS_UNFINISHED).order_by(jobs.c.kind.desc(), jobs.c.id)
    tx.connection.execute(unfinished.with_for_update())
    needed = select(readers.c.id).where(
        readers.c.depends_on == jobs.c.id,
        readers.c.state.in_(_UNFINISHED),
        readers.c.batch_id.is_distinct_from(batch_id),
    )
    stopped = and_(mine, ~needed.exists())
    ended = {"error": asdict(replace(_CANCELED, detail=reason)), "finished_at": tx.now()}
    for state in (JobState.WAITING, JobState.QUEUED):
        move_all(tx, and_(mine, jobs.c.kind == JobKind.EDIT), (state, JobState.CANCELED), **ended)
    move_all(tx, stopped, (JobState.WAITING, JobState.CANCELED), **ended)
    followed = select(followers.c.id).where(followers.c.leader == jobs.c.id, followers.c.state == JobState.WAITING)
    for row in tx.connection.execute(select(jobs).where(stopped, IS_QUEUED, followed.exists())).all():
        cancel(tx, to_job(row))
    move_all(tx, stopped, (JobState.QUEUED, JobState.CANCELED), **ended)
    tx.connection.execute(update(jobs).where(stopped, IS_RUNNING).values(cancel_requested=True))


def expire_leases(tx: Transaction, *, limit: int) -> int:
    """Every attempt whose lease has passed is over; its job is tried again, canceled as asked, or given up."""
    lapsed = _held(tx, and_(IS_RUNNING, jobs.c.lease_until < tx.now()), limit)
    for job in lapsed:
        most = job.max_attempts + (job.has_moved and job.max_attempts > 1)
        if job.cancel_requested:
            cancel(tx, job)
        elif job.attempt >= most:
            _end(tx, job, JobState.FAILED, error=_given_up(job))
        else:
            move(tx, job, JobState.QUEUED, lease_until=None, max_attempts=most)
    return len(lapsed)


def expire_deadlines(tx: Transaction, *, limit: int) -> int:
    """Every unfinished job past its deadline ends; a worker that runs one finds its fence stale."""
    late = _held(tx, and_(IS_UNFINISHED, jobs.c.deadline_at < tx.now()), limit)
    # Edits first: else they would fail with their inversion instead of expiring themselves.
    for job in sorted(late, key=lambda one: one.kind):
        _end(tx, job, JobState.EXPIRED, error=_DEADLINE)
    return len(late)


def expire_artifacts(tx: Transaction, *, limit: int) -> list[str]:
    """Forgets what has been kept long enough and is not needed by an unfinished edit."""
    readers = jobs.alias()
    unread = ~select(readers.c.id).where(readers.c.depends_on == jobs.c.id, readers.c.state.in_(_UNFINISHED)).exists()
    old = _held(tx, and_(HAS_ARTIFACTS, jobs.c.expires_at < tx.now(), unread), limit)
    # Once more, now that they are held: an edit may have been accepted since they were chosen.
    return [key for job in old if not has_readers(tx, job.id) for key in erase(tx, job)]


def has_readers(tx: Transaction, job_id: str) -> bool:
    """True while an unfinished edit depends on this inversion."""
    found = tx.connection.execute(select(jobs.c.id).where(jobs.c.depends_on == job_id, IS_UNFINISHED).limit(1))
    return found.first() is not None


def _end(tx: Transaction, job: Job, state: JobState, *, error: JobError) -> Job:
    ended = move(tx, job, state, error=asdict(error), finished_at=tx.now(), lease_until=None, eta_seconds=None)
    if ended is None:
        return job
    settle(tx, ended)
    return ended


def _given_up(job: Job) -> JobError:
    if job.max_attempts == 1:
        # One loss says nothing about the job.
        detail = "The worker was lost, and this service allows one attempt; retry the job."
        return JobError(code=ErrorCode.WORKER_LOST, detail=detail, retryable=True)
    return JobError(
        code=ErrorCode.POISON,
        detail=f"Each of {job.attempt} attempts lost its worker; this job is not tried again.",
        retryable=False,
    )


def _held(tx: Transaction, which: ColumnElement[bool], limit: int) -> list[Job]:
    rows = tx.connection.execute(select(jobs).where(which).limit(limit).with_for_update(skip_locked=True))
    return [to_job(row) for row in rows]
