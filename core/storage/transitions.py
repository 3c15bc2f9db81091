"""The one place where a job's state changes: by the table of the domain, with an event in the same commit."""

from typing import Any

from sqlalchemy import ColumnElement, update

from core.domain.job import TRANSITIONS, Job, JobState
from core.domain.ports import Claim
from core.storage.events import forget_previews, note_states
from core.storage.rows import to_job
from core.storage.tables import jobs
from core.storage.transaction import Transaction
from core.storage.webhooks import announce_ends


def move(tx: Transaction, job: Job, to: JobState, **values: Any) -> Job | None:
    """One job from the state it was read in; None when it has left that state meanwhile."""
    moved = move_all(tx, jobs.c.id == job.id, (job.state, to), **values)
    return moved[0] if moved else None


def move_claimed(tx: Transaction, claim: Claim, to: JobState, **values: Any) -> Job | None:
    """One running job, by the attempt that holds it; None when its fence is stale."""
    mine = (jobs.c.id == claim.job.id) & (jobs.c.fence == claim.fence)
    moved = move_all(tx, mine, (JobState.RUNNING, to), lease_until=None, **values)
    return moved[0] if moved else None


def move_all(
    tx: Transaction, which: ColumnElement[bool], change: tuple[JobState, JobState], **values: Any
) -> list[Job]:
    """Every job that the condition names and that is in the first state, into the second; returns them as they are."""
    origin, to = change
    if to not in TRANSITIONS[origin]:
        raise ValueError(f"a job never goes from {origin} to {to}")
    statement = update(jobs).where(which, jobs.c.state == origin).values(state=to, **values).returning(*jobs.c)
    moved = [to_job(row) for row in tx.connection.execute(statement)]
    note_states(tx, moved)
    announce_ends(tx, moved)
    if origin is JobState.RUNNING:
        forget_previews(tx, [job.id for job in moved])
    return moved
