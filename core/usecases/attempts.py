"""What a worker does with a job: claim it, beat for it, checkpoint it, and end or release it."""

from collections.abc import Sequence
from datetime import timedelta

from core.domain.catalogue import Model
from core.domain.job import JobClass, Progress
from core.domain.ports import Beat, Claim, Database, Outcome, WakeUps


def claim_next(
    database: Database, *, lease_seconds: float, classes: Sequence[JobClass], model: Model, suspects: bool = True
) -> Claim | None:
    """The next job for a free slot of a worker with this model, leased to it; None when nothing is queued for it.

    Args:
        suspects: whether it may be a job that has lost one worker after another: it may be what kills them.
    """
    with database.begin() as uow:
        claim = uow.jobs.claim_next(
            lease_seconds=lease_seconds, classes=classes, model=model.identity, suspects=suspects
        )
        uow.commit()
    return claim


def beat(database: Database, claim: Claim, progress: Progress, *, lease_seconds: float) -> Beat:
    """Extends the lease of a job in flight and reads what its caller wants.

    Each job in a commit of its own: whoever holds one job alone never waits in a circle with one who holds several.
    """
    with database.begin() as uow:
        answer = uow.jobs.beat(claim, progress, lease_seconds=lease_seconds)
        uow.commit()
    return answer


def checkpoint(database: Database, claim: Claim, *, key: str, progress: Progress) -> bool:
    """Notes where the next attempt can go on; False: this attempt no longer counts."""
    with database.begin() as uow:
        kept = uow.jobs.save_checkpoint(claim, key, progress)
        uow.commit()
    return kept


def keep_preview(database: Database, claim: Claim, *, key: str, timestep: int) -> bool:
    """Tells those who watch that there is a picture; False: this attempt no longer counts."""
    with database.begin() as uow:
        kept = uow.jobs.save_preview(claim, key, timestep=timestep)
        uow.commit()
    return kept


def finish(database: Database, claim: Claim, outcome: Outcome, *, retention: timedelta) -> bool:
    """Ends the job and settles those that waited for it; False: this attempt no longer counts."""
    with database.begin() as uow:
        done = uow.jobs.finish(claim, outcome, retention=retention)
        uow.commit()
    return done


def release(database: Database, wakeups: WakeUps, claim: Claim, *, count_attempt: bool) -> bool:
    """Gives the job back to the queue and wakes a worker for it; False: this attempt no longer counts."""
    with database.begin() as uow:
        released = uow.jobs.release(claim, count_attempt=count_attempt)
        uow.commit()
    if released:
        wakeups.send()
    return released


def disown(database: Database, claim: Claim) -> None:
    """An attempt that no longer counts puts nothing more; what it has put after the job was tidied goes too."""
    with database.begin() as uow:
        uow.jobs.mark_untidy(claim.job.id)
        uow.commit()


def wake_for_more(database: Database, wakeups: WakeUps) -> None:
    """One wake-up if anything is queued: each finished task calls for the next."""
    with database.read() as uow:
        queued = uow.jobs.queued_count(limit=1)
    if queued:
        wakeups.send()
