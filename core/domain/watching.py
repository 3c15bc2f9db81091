"""What can be seen of jobs and workers from outside: events, how busy the queue is, who is there to work on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, final

from core.domain.job import Job, JobClass, JobState


class EventKind(StrEnum):
    """What an event tells."""

    STATE = "state"  # the job has entered a state
    PROGRESS = "progress"  # how far it is; `data` has timestep, timesteps, eta_seconds
    PREVIEW = "preview"  # there is a picture to look at; `data` has timestep and key


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """Something happened to a job; `number` grows over all events, so that a reader can go on where he stopped.

    A job keeps its states, the newest progress, and the previews of the attempt that runs.
    """

    number: int
    job_id: str
    kind: EventKind
    state: JobState
    attempt: int
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker process that has warmed its model up; it is counted on until `present_until`."""

    id: str
    model: Mapping[str, str]  # name, revision
    slots: int
    ready_at: datetime
    seen_at: datetime
    present_until: datetime


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLoad:
    """How busy one class is, in all or for one model; `typical_seconds` is the mean run of the jobs that ended last."""

    job_class: JobClass
    queued: int
    oldest_queued_at: datetime | None
    running: int
    typical_seconds: float | None  # None until one has succeeded
    workers: int  # that are ready
    slots: int  # of theirs, open to this class
    busy: int  # jobs of any class that run now
    stranded: int  # queued for a model that no ready worker runs

    def estimated_wait_seconds(self, position: int) -> float | None:
        """Until a job with so many before it starts; None while nobody can know.

        The jobs that find no free slot begin one after another, a slot's typical run divided by the slots apart.
        """
        if self.typical_seconds is None or self.slots == 0:
            return None
        free = max(self.slots - self.busy, 0)
        return self.typical_seconds * max(position + 1 - free, 0) / self.slots


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """How many jobs of a class have entered a state; `again` for an attempt after one that was lost or failed."""

    job_class: JobClass
    state: JobState
    again: bool
    count: int


class EventRepository(Protocol):
    """The events of jobs, bounded in number by what replaces and ends them."""

    def of(self, tenant: str, job_id: str, *, after: int = 0) -> Sequence[JobEvent]:
        """A job's events with a greater number, oldest first."""
        ...

    def news(self, after: Mapping[str, int]) -> Sequence[JobEvent]:
        """Of each of these jobs the events with a greater number than the one given for it, oldest first."""
        ...

    def newest(self) -> int:
        """The number of the newest event of all, 0 when there is none."""
        ...

    def entered(self, *, after: int, until: datetime) -> tuple[int, Sequence[Entered]]:
        """The states entered by all jobs after an event and before a moment, counted, and the last event's number."""
        ...


class QueueRepository(Protocol):
    """The queue as a whole."""

    def position(self, job: Job) -> int:
        """How many queued jobs of this class and model stand before it."""
        ...

    def load(self, job_class: JobClass, *, model: Mapping[str, str] | None = None) -> QueueLoad: ...
    def unfinished(self) -> Mapping[tuple[JobState, JobClass], int]:
        """The unfinished jobs counted by state and class; absent where there is none."""
        ...


class WorkerRepository(Protocol):
    """The workers that are ready."""

    def report(self, worker_id: str, *, model: Mapping[str, str], slots: int, lease_seconds: float) -> None:
        """This worker is ready, and is counted on for so long."""
        ...

    def forget(self, worker_id: str) -> None: ...
    def clear(self) -> None:
        """No worker is ready: what any process reported before is void."""
        ...

    def ready(self, *, model: Mapping[str, str] | None = None) -> Sequence[Worker]:
        """The workers that are counted on now, those of one model where it is named."""
        ...
