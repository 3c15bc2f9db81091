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
@dataclass(frozen=True, slots=True, kw_only=True)
class Vacancy:
    """What may sit in a free slot."""

    classes: Sequence[JobClass]
    suspects: bool  # jobs on the last of several attempts


@final
class Seats:
    """Gives out a worker's slots, to each class those that it may have.

    Two jobs on their last attempt never sit in one worker: the one that kills it would take the other along for good.
    """

    def __init__(self, slots: int) -> None:
        self._most_batch = JobClass.BATCH.seats(slots)
        self._taken: list[Claim] = []
        self._lock = Lock()

    def take(self, claim: Callable[[Vacancy], Claim | None]) -> Claim | None:
        """Claims a job that may run now."""
        with self._lock:
            batch = sum(one.job.job_class is JobClass.BATCH for one in self._taken)
            claimed = claim(
                Vacancy(
                    classes=list(JobClass) if batch < self._most_batch else [JobClass.INTERACTIVE],
                    suspects=not any(one.job.suspect for one in self._taken),
                )
            )
            if claimed is not None:
                self._taken.append(claimed)
        return claimed

    def leave(self, claimed: Claim) -> None:
        """The job's slot is free again."""
        with self._lock:
            self._taken = [one for one in self._taken if one is not claimed]


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
