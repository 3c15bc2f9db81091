"""The sweeper repairs whatever a crash, a lost message or the passing of time has left."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import final

from core.domain.errors import Unavailable
from core.domain.ports import Database, ObjectStore, WakeUps

_BATCH = 500  # rows a sweep changes in one commit: some tens of milliseconds
_WAKE_UPS = 32  # as many slots as one sweep wakes; the tasks wake the rest
_IDEMPOTENCY_RETENTION = timedelta(days=7)
_DELIVERY_RETENTION = timedelta(days=30)
_TIDIED = 50  # jobs a sweep looks after: a listing of the store for each
# By then a worker has cleared up behind itself, and one that lost its lease has noticed.
_TIDY_AFTER = timedelta(minutes=10)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did; `ran` is False where another process was sweeping."""

    ran: bool = True
    leases: int = 0
    deadlines: int = 0
    artifacts: int = 0
    wake_ups: int = 0
    tidied: int = 0


def sweep(database: Database, store: ObjectStore, wakeups: WakeUps) -> Swept:
    """One round: expired leases, passed deadlines, old artifacts and answers, missing wake-ups, stray objects."""
    with database.begin() as uow:
        if not uow.try_lock("sweep"):
            return Swept(ran=False)
        leases = uow.jobs.expire_leases(limit=_BATCH)
        deadlines = uow.jobs.expire_deadlines(limit=_BATCH)
        keys = uow.jobs.expire_artifacts(limit=_BATCH)
        uow.idempotency.forget(older_than=_IDEMPOTENCY_RETENTION)
        uow.webhooks.forget(older_than=_DELIVERY_RETENTION, limit=_BATCH)
        queued = uow.jobs.queued_count(limit=_WAKE_UPS)
        uow.commit()
    # First, for a store that is down must not keep workers waiting.
    if queued:
        wakeups.send(queued)
    erase(store, keys)
    uploads = clear_uploads(database, store)
    tidied = tidy(database, store, ended_for=_TIDY_AFTER)
    return Swept(leases=leases, deadlines=deadlines, artifacts=len(keys) + uploads, wake_ups=queued, tidied=tidied)


def erase(store: ObjectStore, keys: Iterable[str]) -> None:
    """Deletes artifacts that no row names any more; what a store that is down keeps, `tidy` finds."""
    with suppress(Unavailable):
        for key in keys:
            store.delete(key)


def clear_uploads(database: Database, store: ObjectStore) -> int:
    """Deletes the objects of uploads past their time, then their rows, so that none is forgotten before it is gone."""
    with database.read() as uow:
        expired = uow.uploads.expired(limit=_BATCH)
    for key in expired.values():
        store.delete(key)
    if expired:
        with database.begin() as uow:
            uow.uploads.forget(list(expired))
            uow.commit()
    return len(expired)


def tidy(database: Database, store: ObjectStore, *, ended_for: timedelta) -> int:
    """Deletes what the attempts of ended jobs left in the store and nobody needs; returns the number of such jobs.

    Every job is looked after some time after its end, and again when keys of it are dropped or a lost attempt comes
    back. Doing it twice, or by two processes, does no harm.
    """
    with database.read() as uow:
        untidy = uow.jobs.untidy(before=uow.now() - ended_for, limit=_TIDIED)
    for job, keys_in_use in untidy:
        if job.fence == 0:
            continue  # it never ran
        for key in set(store.list(job.folder)) - set(keys_in_use):
            store.delete(key)
    if untidy:
        with database.begin() as uow:
            uow.jobs.mark_tidy(untidy)
            uow.commit()
    return len(untidy)


def void_leases(database: Database) -> int:
    """At the start of an embedded service: the old worker is gone, and what it was running goes back to the queue."""
    with database.begin() as uow:
        voided = uow.jobs.void_leases()
        uow.jobs.expire_leases(limit=voided)
        uow.workers.clear()
        uow.commit()
    return voided
