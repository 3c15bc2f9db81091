"""A batch: many edits that are accepted at once, started little by little, and read as one list of results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, final

from core.domain.errors import AppError, FieldError
from core.domain.job import Job, JobState


class BatchState(StrEnum):
    """Where a batch stands."""

    IN_PROGRESS = "in_progress"
    CANCELING = "canceling"  # nothing starts any more, what runs is stopping
    ENDED = "ended"


class ItemState(StrEnum):
    """Where an item stands; while it is started, its job says more."""

    WAITING = "waiting"  # no job has been made of it yet
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ItemError:
    """Why no job was made of an item."""

    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()  # pointers into the item

    @classmethod
    def of(cls, error: AppError) -> "ItemError":
        """The same, as it is kept."""
        return cls(code=error.code, detail=error.detail, errors=error.errors)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One line of a batch; `request` is what a job is made of, None where that can never be."""

    number: int  # its place in what was sent, from 0
    custom_id: str | None  # None where the line had none that could be read
    request: dict[str, Any] | None
    state: ItemState = ItemState.WAITING
    job_id: str | None = None  # the newest job made of it
    error: ItemError | None = None

    @property
    def image_url(self) -> str | None:
        """Where the image of a waiting item still has to be fetched."""
        return None if self.request is None else self.request.get("image_url")

    def with_image(self, image_id: str) -> "BatchItem":
        """The same once its image is kept."""
        request = {**(self.request or {}), "image_url": None}
        edit = request["edit"]
        return replace(
            self, request={**request, "edit": {**edit, "inversion": {**edit["inversion"], "image_id": image_id}}}
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch and its items counted; every item is counted once, in `waiting` until a job of it is queued."""

    id: str
    tenant: str
    total: int
    counts: Mapping[JobState, int]
    created_at: datetime
    unstarted: int = 0  # items that no job has been made of yet
    max_attempts: int = 3  # of each job
    max_failures: int | None = None  # with more failed items than this it is canceled
    expires_in_seconds: float | None = None  # as asked for; what is tried again has so long anew
    deadline_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    ended_at: datetime | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    webhook: dict[str, Any] | None = None  # where its end is told, besides the tenant's endpoints

    @property
    def state(self) -> BatchState:
        """Ended once every item is final."""
        if self.ended_at is not None:
            return BatchState.ENDED
        return BatchState.IN_PROGRESS if self.cancel_requested_at is None else BatchState.CANCELING

    @property
    def unfinished(self) -> int:
        """Items that are not final."""
        return sum(count for state, count in self.counts.items() if not state.final)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """A final item with its job; `sequence` grows in the order in which results appear."""

    sequence: int
    item: BatchItem
    job: Job | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFilter:
    """What a listing asks for; `after` is the (created_at, id) of the last row already seen."""

    tenant: str
    after: tuple[datetime, str] | None = None
    limit: int = 50


class BatchRepository(Protocol):
    """Batches and their items.

    Whoever changes a batch's items holds the batch, so that counts and sequences follow one another.
    """

    def add(self, batch: Batch, items: Iterable[BatchItem]) -> None:
        """Keeps a batch; items that are final already have their results at once."""
        ...

    def get(self, tenant: str, batch_id: str) -> Batch | None: ...
    def list(self, query: BatchFilter) -> Sequence[Batch]:
        """Newest first, keyset-paged."""
        ...

    def open(self, *, limit: int) -> Sequence[tuple[str, str]]:
        """(tenant, id) of batches that have not ended, longest untended first."""
        ...

    def hold(self, tenant: str, batch_id: str) -> Batch | None:
        """Like `get`, and nobody else changes the batch before this unit of work ends."""
        ...

    def try_hold(self, tenant: str, batch_id: str) -> Batch | None:
        """Like `hold`; None also when somebody else holds it."""
        ...

    def collect(self, batch: Batch) -> Batch:
        """Gives a sequence to every item whose job has ended, and ends the batch with its last item."""
        ...

    def waiting(self, batch: Batch, *, limit: int) -> Sequence[BatchItem]:
        """The next items to make jobs of."""
        ...

    def amend(self, batch: Batch, items: Iterable[BatchItem]) -> None:
        """Waiting items have other requests now."""
        ...

    def start(self, batch: Batch, jobs: Mapping[int, str], refused: Mapping[int, ItemError]) -> None:
        """Waiting items, by number, have a job now or never will."""
        ...

    def assign(self, job: Job) -> None:
        """Another job repeats an item's work, and from now on speaks for it."""
        ...

    def drop_waiting(self, batch: Batch, state: ItemState, error: ItemError) -> None:
        """No job is made of any waiting item."""
        ...

    def cancel(self, batch: Batch, *, reason: str) -> None:
        """No job of it starts any more: those that wait or are queued end, those that run are asked to."""
        ...

    def restart_failed(self, batch: Batch) -> int:
        """Failed items wait again, except those that can never become a job; returns how many."""
        ...

    def results(self, tenant: str, batch_id: str, *, after: int, limit: int) -> Sequence[BatchResult]:
        """Final items in the order of their sequence, from the one that follows `after`."""
        ...
