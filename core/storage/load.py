"""How busy the queue is, measured from the jobs themselves."""

from sqlalchemy import func, select

from core.domain.job import JobClass, QueueLoad
from core.storage.tables import IS_QUEUED, IS_RUNNING, IS_SUCCEEDED, jobs
from core.storage.transaction import Transaction

_RECENT = 20  # jobs: enough to even out one odd one, few enough to follow a change


def measure(tx: Transaction, job_class: JobClass) -> QueueLoad:
    """One class as it stands now."""
    mine = jobs.c.job_class == job_class
    queued, oldest = tx.connection.execute(
        select(func.count(), func.min(jobs.c.queued_at)).where(IS_QUEUED, mine)
    ).one()
    running = tx.connection.execute(select(func.count()).where(IS_RUNNING, mine)).scalar_one()
    # A duplicate has run for no time at all.
    recent = tx.connection.execute(
        select(jobs.c.started_at, jobs.c.finished_at)
        .where(IS_SUCCEEDED, jobs.c.leader.is_(None), mine)
        .order_by(jobs.c.finished_at.desc())
        .limit(_RECENT)
    )
    lengths = [(row.finished_at - row.started_at).total_seconds() for row in recent if row.started_at is not None]
    return QueueLoad(
        job_class=job_class,
        queued=queued,
        oldest_queued_at=oldest,
        running=running,
        typical_seconds=sum(lengths) / len(lengths) if lengths else None,
    )
