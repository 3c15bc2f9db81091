"""The sweeper repairs whatever a crash, a lost message or the passing of time has left."""

from dataclasses import dataclass
from datetime import timedelta
from typing import final

from core.domain.ports import Database, ObjectStore, WakeUps

_BATCH = 500  # rows a sweep changes in one commit: some tens of milliseconds
_WAKE_UPS = 32  # as many slots as one sweep wakes; the tasks wake the rest
_IDEMPOTENCY_RETENTION = timedelta(days=7)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did; `ran` is False where another process was sweeping."""

    ran: bool = True
    leases: int = 0
    deadlines: int = 0
    artifacts: int = 0
    wake_ups: int = 0


def sweep(database: Database, store: ObjectStore, wakeups: WakeUps) -> Swept:
    """One round: expired leases, passed deadlines, old artifacts and answers, missing wake-ups."""
    with database.begin() as uow:
        if not uow.try_lock("sweep"):
            return Swept(ran=False)
        leases = uow.jobs.expire_leases(limit=_BATCH)
        deadlines = uow.jobs.expire_deadlines(limit=_BATCH)
        keys = uow.jobs.expire_artifacts(limit=_BATCH)
        uow.idempotency.forget(older_than=_IDEMPOTENCY_RETENTION)
        queued = uow.jobs.queued_count(limit=_WAKE_UPS)
        uow.commit()
    for key in keys:
        store.delete(key)
    if queued:
        wakeups.send(queued)
    return Swept(leases=leases, deadlines=deadlines, artifacts=len(keys), wake_ups=queued)


def void_leases(database: Database) -> int:
    """At the start of an embedded service: what the old process was running goes back to the queue."""
    with database.begin() as uow:
        voided = uow.jobs.void_leases()
        uow.jobs.expire_leases(limit=voided)
        uow.commit()
    return voided
