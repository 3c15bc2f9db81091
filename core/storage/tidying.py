"""What attempts leave in the object store beside a job's artifacts: checkpoints, previews, files of lost attempts."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select, update

from core.domain.job import Job
from core.storage.rows import to_job
from core.storage.settlement import sharing
from core.storage.tables import HAS_ARTIFACTS, IS_UNTIDY, jobs
from core.storage.transaction import Transaction


def untidy(tx: Transaction, *, before: datetime, limit: int) -> list[tuple[Job, Collection[str]]]:
    """Jobs that ended before a moment and were not looked after since, each with the keys that somebody still needs."""
    ended = select(jobs).where(IS_UNTIDY, jobs.c.finished_at < before).order_by(jobs.c.finished_at).limit(limit)
    return [(job, _keys_in_use(tx, job)) for job in map(to_job, tx.connection.execute(ended))]


def mark_tidy(tx: Transaction, seen: Sequence[tuple[Job, Collection[str]]]) -> None:
    """Nothing of these jobs lies in the store but these keys; where others are in use by now, it is looked after again.

    Whoever drops a key holds the row of the job that owns it, so a row that is held is left for the next time.
    """
    free = select(jobs.c.id).where(jobs.c.id.in_([job.id for job, _ in seen])).with_for_update(skip_locked=True)
    held = set(tx.connection.execute(free).scalars())
    same = [job.id for job, keys in seen if job.id in held and _keys_in_use(tx, job) == set(keys)]
    cleared = update(jobs).where(jobs.c.id.in_(same)).values(tidied_at=tx.now(), checkpoint_key=None)
    tx.connection.execute(cleared)


def mark_untidy(tx: Transaction, job_id: str) -> None:
    """Something may lie in the store that was put after the job was looked after; one not ended is anyway."""
    ended = update(jobs).where(jobs.c.id == job_id, jobs.c.finished_at.is_not(None))
    tx.connection.execute(ended.values(tidied_at=None))


def _keys_in_use(tx: Transaction, job: Job) -> set[str]:
    shared = select(jobs.c.artifacts).where(sharing(job.leader or job.id), HAS_ARTIFACTS)
    return {artifact["key"] for artifacts in tx.connection.execute(shared).scalars() for artifact in artifacts}
