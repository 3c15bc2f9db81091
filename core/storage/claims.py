"""Which job runs next, and the lease that an attempt holds on it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, String, and_, cast, func, or_, select, update

from core.domain.job import Job, JobClass, JobState, Progress
from core.domain.ports import Beat, Claim
from core.storage.events import note_preview, note_progress
from core.storage.rows import model_key, to_job
from core.storage.tables import IS_QUEUED, IS_RUNNING, jobs
from core.storage.transaction import Transaction
from core.storage.transitions import move, move_claimed

# A batch that has waited this long stands in line with interactive work; tenants still take turns.
_BATCH_PATIENCE = timedelta(minutes=30)

# As `Job.suspect` after the claim: the fence is still that of the attempt before.
_LAST_FOLDER = jobs.c.tenant + "/jobs/" + jobs.c.id + "/" + cast(jobs.c.fence, String) + "/"
_IS_NO_SUSPECT = or_(
    jobs.c.attempt == 0,
    and_(jobs.c.attempt == 1, jobs.c.max_attempts > 2),
    func.substr(jobs.c.checkpoint_key, 1, func.length(_LAST_FOLDER)) == _LAST_FOLDER,
)


def claim_next(
    tx: Transaction, *, lease_seconds: float, classes: Sequence[JobClass], model: Mapping[str, str], suspects: bool
) -> Claim | None:
    """Leases the model's next job: by class, then the tenant with the fewest running, then the oldest."""
    for job_class, tenant in _turns(tx, classes, model):
        queued = _queued(job_class, model)
        job = _oldest(tx, queued if suspects else and_(queued, _IS_NO_SUSPECT), tenant)
        if job is not None:
            claimed = move(
                tx,
                job,
                JobState.RUNNING,
                fence=job.fence + 1,
                attempt=job.attempt + 1,
                started_at=job.started_at or tx.now(),
                lease_until=tx.now() + timedelta(seconds=lease_seconds),
            )
            return None if claimed is None else Claim(job=claimed, fence=claimed.fence)
    return None


def beat(tx: Transaction, claim: Claim, progress: Progress, *, lease_seconds: float) -> Beat:
    """Extends the lease of an attempt that still holds it."""
    row = tx.connection.execute(
        update(jobs)
        .where(jobs.c.id == claim.job.id, jobs.c.fence == claim.fence, IS_RUNNING)
        .values(lease_until=tx.now() + timedelta(seconds=lease_seconds), **_columns(progress))
        .returning(jobs.c.cancel_requested)
    ).one_or_none()
    if row is not None and progress != claim.job.progress:
        note_progress(tx, claim.job, progress)
    return Beat(alive=row is not None, cancel_requested=row is not None and row.cancel_requested)


def save_checkpoint(tx: Transaction, claim: Claim, *, key: str, progress: Progress) -> bool:
    """Notes where a later attempt can go on."""
    row = tx.connection.execute(
        update(jobs)
        .where(jobs.c.id == claim.job.id, jobs.c.fence == claim.fence, IS_RUNNING)
        .values(checkpoint_key=key, **_columns(progress))
        .returning(jobs.c.id)
    ).one_or_none()
    return row is not None


def save_preview(tx: Transaction, claim: Claim, *, key: str, timestep: int) -> bool:
    """Tells of a picture of an attempt that still holds its lease."""
    held = select(jobs.c.id).where(jobs.c.id == claim.job.id, jobs.c.fence == claim.fence, IS_RUNNING)
    if tx.connection.execute(held.with_for_update()).one_or_none() is None:
        return False
    note_preview(tx, claim.job, key, timestep=timestep)
    return True


def release(tx: Transaction, claim: Claim, *, count_attempt: bool) -> Job | None:
    """Back into the queue at its old place."""
    attempt = claim.job.attempt if count_attempt else claim.job.attempt - 1
    return move_claimed(tx, claim, JobState.QUEUED, attempt=attempt)


def _turns(tx: Transaction, classes: Sequence[JobClass], model: Mapping[str, str]) -> Iterator[tuple[JobClass, str]]:
    """(class, tenant) of everything queued for the model, the next in turn first."""
    aged = tx.now() - _BATCH_PATIENCE
    counts = select(jobs.c.tenant, func.count()).where(IS_RUNNING).group_by(jobs.c.tenant)
    running = {tenant: count for tenant, count in tx.connection.execute(counts)}  # noqa: C416 - rows are no pairs to mypy
    ranked = sorted(
        (job_class is JobClass.BATCH and queued_at > aged, running.get(tenant, 0), queued_at, job_class, tenant)
        for job_class in classes
        for tenant, queued_at in tx.connection.execute(_heads(_queued(job_class, model)))
    )
    for *_, job_class, tenant in ranked:
        yield job_class, tenant


def _queued(job_class: JobClass, model: Mapping[str, str]) -> ColumnElement[bool]:
    return and_(IS_QUEUED, jobs.c.job_class == job_class, jobs.c.model_key == model_key(model))


def _heads(queued: ColumnElement[bool]) -> Select[str, datetime]:
    """(tenant, queued_at of its oldest job): one look into the index per tenant, however long the queue is."""
    first = select(func.min(jobs.c.tenant).label("tenant")).where(queued).cte("tenants", recursive=True)
    following = select(func.min(jobs.c.tenant)).where(queued, jobs.c.tenant > first.c.tenant).scalar_subquery()
    tenants = first.union_all(select(following).where(first.c.tenant.is_not(None)))
    oldest = select(func.min(jobs.c.queued_at)).where(queued, jobs.c.tenant == tenants.c.tenant).scalar_subquery()
    return select(tenants.c.tenant, oldest).where(tenants.c.tenant.is_not(None))


def _oldest(tx: Transaction, queued: ColumnElement[bool], tenant: str) -> Job | None:
    """Held until the end of the transaction; jobs that others hold are passed over."""
    row = tx.connection.execute(
        select(jobs)
        .where(
            queued,
            jobs.c.tenant == tenant,
            or_(jobs.c.deadline_at.is_(None), jobs.c.deadline_at > tx.now()),
        )
        .order_by(jobs.c.queued_at, jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    return None if row is None else to_job(row)


def _columns(progress: Progress) -> dict[str, float | None]:
    return {
        "timestep": progress.timestep,
        "timesteps": progress.timesteps,
        "eta_seconds": progress.eta_seconds,
    }
