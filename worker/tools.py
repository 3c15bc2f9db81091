"""What every attempt of a worker uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import final

from core.domain.catalogue import Model
from core.domain.job import JobClass
from core.domain.ports import Claim, Database, ObjectStore, WakeUps
from core.domain.publishing import Publishing
from core.domain.studio import Studio
from worker.heartbeat import Heartbeat


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How attempts are spaced and how long their results live."""

    lease_seconds: float
    checkpoint_seconds: float
    preview_seconds: float  # least time between two previews
    patience_seconds: float  # how long a finished result waits for a store or database that is down
    retention: timedelta


@final
class Seats:
    """Gives out a worker's slots, to each class those that it may have."""

    def __init__(self, slots: int) -> None:
        self._most_batch = JobClass.BATCH.seats(slots)
        self._batch = 0
        self._lock = Lock()

    def take(self, claim: Callable[[Sequence[JobClass]], Claim | None]) -> Claim | None:
        """Claims a job of the classes that may run now."""
        with self._lock:
            claimed = claim(list(JobClass) if self._batch < self._most_batch else [JobClass.INTERACTIVE])
            self._batch += claimed is not None and claimed.job.job_class is JobClass.BATCH
        return claimed

    def leave(self, claimed: Claim) -> None:
        """The job's slot is free again."""
        with self._lock:
            self._batch -= claimed.job.job_class is JobClass.BATCH


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """One worker's ports, its loaded model, and what its slots share."""

    database: Database
    store: ObjectStore
    wakeups: WakeUps
    studio: Studio
    model: Model
    heartbeat: Heartbeat
    seats: Seats
    limits: Limits
    publishing: Publishing = field(default_factory=Publishing)
