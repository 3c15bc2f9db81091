"""What every attempt of a worker uses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import final

from core.domain.catalogue import Model
from core.domain.job import JobClass, JobKind
from core.domain.ports import Claim, Database, ObjectStore, WakeUps
from core.domain.publishing import Publishing
from core.domain.studio import Studio
from worker.heartbeat import Heartbeat


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How attempts are spaced and how long their results live."""

    lease_seconds: float
    checkpoint_seconds: Mapping[JobKind, float]  # least time between two checkpoints of a job
    preview_seconds: float  # least time between two previews
    patience_seconds: float  # how long a finished result waits for a store or database that is down
    retention: timedelta


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Vacancy:
    """What may sit in a free slot."""

    classes: Sequence[JobClass]
    suspects: bool  # see `Job.suspect`


@final
class Seats:
    """Gives out a worker's slots, to each class those that it may have.

    Two suspects never sit in one worker before either has got on: the one that kills workers would take the other along
    again and again.
    """

    def __init__(self, slots: int) -> None:
        self._most_batch = JobClass.BATCH.seats(slots)
        self._batch = 0
        self._suspects: set[tuple[str, int]] = set()  # attempts: a lost one may still sit here beside the next
        self._lock = Lock()

    def take(self, claim: Callable[[Vacancy], Claim | None]) -> Claim | None:
        """Claims a job that may run now."""
        with self._lock:
            classes = list(JobClass) if self._batch < self._most_batch else [JobClass.INTERACTIVE]
            claimed = claim(Vacancy(classes=classes, suspects=not self._suspects))
            if claimed is not None:
                self._batch += claimed.job.job_class is JobClass.BATCH
                if claimed.job.suspect:
                    self._suspects.add((claimed.job.id, claimed.fence))
        return claimed

    def trust(self, claimed: Claim) -> bool:
        """The job has got on; True when it was suspected."""
        with self._lock:
            suspected = (claimed.job.id, claimed.fence) in self._suspects
            self._suspects.discard((claimed.job.id, claimed.fence))
        return suspected

    def leave(self, claimed: Claim) -> None:
        """The job's slot is free again."""
        with self._lock:
            self._batch -= claimed.job.job_class is JobClass.BATCH
            self._suspects.discard((claimed.job.id, claimed.fence))


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
