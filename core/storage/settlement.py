"""What the end of one job means for those that waited for it; always in the commit that ends it."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, and_, case, or_, select, update

from core.domain.errors import ErrorCode
from core.domain.job import Job, JobClass, JobError, JobKind, JobState
from core.storage.rows import to_documents, to_job
from core.storage.tables import HAS_ARTIFACTS, IS_WAITING, jobs
from core.storage.transaction import Transaction
from core.storage.transitions import move, move_all

_SUCCEEDED = (JobState.WAITING, JobState.SUCCEEDED)
_QUEUED = (JobState.WAITING, JobState.QUEUED)
_FAILED = (JobState.WAITING, JobState.FAILED)


def settle(tx: Transaction, job: Job) -> None:
    """Duplicates share a success or try again, edits of an inversion start or fail with it."""
    if job.kind is not JobKind.INVERSION:
        return
    edits = and_(jobs.c.depends_on == job.id, IS_WAITING)
    if job.state is JobState.SUCCEEDED:
        for follower in share(tx, job, to=and_(jobs.c.leader == job.id, IS_WAITING)):
            settle(tx, follower)
        # A batch's edit stands in line since it was accepted, so that results come before the last inversion is done.
        accepted_or_now = case((jobs.c.job_class == JobClass.BATCH, jobs.c.created_at), else_=tx.now())
        move_all(tx, edits, _QUEUED, queued_at=accepted_or_now)
    else:
        _promote(tx, job)
        move_all(tx, edits, _FAILED, finished_at=tx.now(), error=_inversion_failed(job))


def join(tx: Transaction, job: Job) -> Job:
    """A new waiting job that need not wait takes what is there already."""
    awaited = tx.connection.execute(
        select(jobs).where(jobs.c.id == (job.leader or job.depends_on)).with_for_update()
    ).one()
    if awaited.state != JobState.SUCCEEDED:
        return job
    if job.leader is None:
        return move(tx, job, JobState.QUEUED, queued_at=tx.now()) or job
    # The leader may have been deleted since, but then a duplicate still holds what they share.
    holder = tx.connection.execute(select(jobs).where(sharing(job.leader), HAS_ARTIFACTS).limit(1)).one()
    return share(tx, to_job(holder), to=jobs.c.id == job.id)[0]


def erase(tx: Transaction, job: Job) -> list[str]:
    """Forgets a final job's artifacts; returns the object keys that no duplicate refers to."""
    root = job.leader or job.id
    # Whoever adds or drops a reference holds the leader's row, so that two never both see the other's.
    tx.connection.execute(select(jobs.c.id).where(jobs.c.id == root).with_for_update())
    tx.connection.execute(
        update(jobs)
        .where(jobs.c.id == job.id)
        .values(artifacts=[], result=None, checkpoint_key=None, erased_at=tx.now())
    )
    # Whoever deletes the objects may fail: their folder, which is the leader's, is looked after once more.
    tx.connection.execute(update(jobs).where(jobs.c.id.in_((job.id, root))).values(tidied_at=None))
    keys = [artifact.key for artifact in job.artifacts]
    if keys and tx.connection.execute(select(jobs.c.id).where(sharing(root), HAS_ARTIFACTS).limit(1)).first():
        keys = []
    return keys if job.checkpoint_key is None else [*keys, job.checkpoint_key]


def share(tx: Transaction, job: Job, *, to: ColumnElement[bool]) -> list[Job]:
    """Waiting duplicates succeed with a job's result; nothing was computed for them."""
    now = tx.now()
    retention = None if job.expires_at is None or job.finished_at is None else job.expires_at - job.finished_at
    return move_all(
        tx,
        to,
        _SUCCEEDED,
        result=job.result,
        artifacts=to_documents(job.artifacts),
        warnings=list(job.warnings),
        metrics={"compute_seconds": 0.0},
        timestep=job.progress.timestep,
        timesteps=job.progress.timesteps,
        finished_at=now,
        expires_at=None if retention is None else now + retention,
    )


def _promote(tx: Transaction, leader: Job) -> None:
    """The oldest duplicate takes the leader's place in the queue, the others follow it."""
    followers = and_(jobs.c.leader == leader.id, IS_WAITING)
    row = tx.connection.execute(
        select(jobs).where(followers).order_by(jobs.c.created_at, jobs.c.id).limit(1).with_for_update()
    ).one_or_none()
    if row is not None:
        promoted = to_job(row)
        tx.connection.execute(update(jobs).where(followers, jobs.c.id != promoted.id).values(leader=promoted.id))
        move(tx, promoted, JobState.QUEUED, leader=None, queued_at=tx.now())


def sharing(root: str) -> ColumnElement[bool]:
    """The leader and all that share its result."""
    return or_(jobs.c.id == root, jobs.c.leader == root)


def _inversion_failed(inversion: Job) -> dict[str, Any]:
    error = JobError(
        code=ErrorCode.INVERSION_FAILED,
        detail=f"The inversion {inversion.id} has {inversion.state}; send the edit again with a new one.",
        retryable=False,
    )
    return asdict(error)
