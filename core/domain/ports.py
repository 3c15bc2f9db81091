"""What the use cases need from the outside, as protocols; `core.storage` and `core.queue` implement them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, final

from core.domain.access import IdempotencyRepository
from core.domain.batch import BatchRepository
from core.domain.job import Artifact, Job, JobClass, JobError, JobKind, JobState, Progress, StoredImage
from core.domain.tenants import KeyRepository, TenantRepository
from core.domain.uploads import PostForm, UploadRepository
from core.domain.watching import EventRepository, QueueRepository, WorkerRepository
from core.domain.webhooks import WebhookRepository


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right of one attempt to write one job: the job as claimed, and the fence that proves it."""

    job: Job
    fence: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What the database answers to a heartbeat: is the lease still ours, and does the caller want the job stopped."""

    alive: bool
    cancel_requested: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt writes when it ends: a final state and what belongs to it."""

    state: JobState
    result: dict[str, Any] | None = None
    artifacts: tuple[Artifact, ...] = ()
    error: JobError | None = None
    metrics: dict[str, float] | None = None
    warnings: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """What a listing asks for; `after` is the (created_at, id) of the last row already seen."""

    tenant: str
    kind: JobKind | None = None
    state: JobState | None = None
    method: str | None = None
    batch_id: str | None = None
    inversion_id: str | None = None  # edits of it
    created_after: datetime | None = None
    created_before: datetime | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    after: tuple[datetime, str] | None = None
    limit: int = 50


class JobRepository(Protocol):
    """Every read and write of jobs; each conditional write says whether it took effect."""

    def add(self, job: Job) -> Job:
        """Keeps a new job and returns it as it then stands.

        One that waits on a job already succeeded does not wait: a duplicate has succeeded, an edit is queued.
        """
        ...

    def get(self, tenant: str, job_id: str) -> Job | None:
        """Also finds the tombstone of a deleted job (`deleted_at` is set)."""
        ...

    def hold(self, tenant: str, job_id: str) -> Job | None:
        """Like `get`, and nobody else changes the job before this unit of work ends."""
        ...

    def find_leader(self, tenant: str, work_key: str) -> Job | None:
        """The unfinished or succeeded job whose result later identical jobs share, held until this unit of work ends.

        Two units of work never both find None for one key at the same time.
        """
        ...

    def prefer(self, leader: Job) -> None: ...  # a held job: from now on a person waits for it
    def has_readers(self, job_id: str) -> bool:
        """True while unfinished edits need the artifacts of this inversion."""
        ...

    def list(self, query: JobFilter) -> Sequence[Job]:
        """Newest first, keyset-paged; tombstones are left out."""
        ...

    def claim_next(
        self, *, lease_seconds: float, classes: Sequence[JobClass], model: Mapping[str, str], suspects: bool = True
    ) -> Claim | None:
        """Leases the next job of these classes for this model (name, revision); see `Job.suspect`."""
        ...

    def beat(self, claim: Claim, progress: Progress, *, lease_seconds: float) -> Beat: ...
    def save_checkpoint(self, claim: Claim, key: str, progress: Progress) -> bool: ...
    def save_preview(self, claim: Claim, key: str, *, timestep: int) -> bool:
        """Tells by an event that there is a picture; it is forgotten when the attempt ends."""
        ...

    def finish(self, claim: Claim, outcome: Outcome, *, retention: timedelta) -> bool:
        """The one final transition; also settles the jobs that waited for this one. False: the fence is stale."""
        ...

    def release(self, claim: Claim, *, count_attempt: bool) -> bool:
        """Back to the queue, e.g. on shutdown; a job whose caller has asked to cancel it ends instead."""
        ...

    def request_cancel(self, held: Job) -> Job: ...  # a running one is asked to end, a final one stays as it is
    def delete(self, tenant: str, job_id: str) -> Sequence[str]:
        """Leaves a tombstone of a final job; returns the object keys that nothing refers to any more."""
        ...

    def void_leases(self) -> int:
        """Ends every lease now; only for the one worker of an embedded service, at its start."""
        ...

    def expire_leases(self, *, limit: int) -> int:
        """Running jobs whose lease has passed go back to the queue, or fail with POISON at the attempt limit.

        For an attempt that has left a checkpoint there is one more, unless there was only one.
        """
        ...

    def expire_deadlines(self, *, limit: int) -> int: ...
    def expire_artifacts(self, *, limit: int) -> Sequence[str]:
        """Forgets artifacts past their `expires_at`; returns the object keys that nothing refers to any more."""
        ...

    def queued_count(self, *, limit: int) -> int:
        """Jobs ready to be claimed; counts no further than `limit`."""
        ...

    def untidy(self, *, before: datetime, limit: int) -> Sequence[tuple[Job, Collection[str]]]:
        """Jobs that ended before this moment and may have left objects behind; with each, the keys still in use."""
        ...

    def mark_tidy(self, seen: Sequence[tuple[Job, Collection[str]]]) -> None: ...  # passes over what has changed since
    def mark_untidy(self, job_id: str) -> None: ...  # once it has ended


class ImageRepository(Protocol):
    """The images callers have sent."""

    def add(self, image: StoredImage) -> StoredImage:
        """Returns the image already kept where the tenant has sent the same bytes before."""
        ...

    def get(self, tenant: str, image_id: str) -> StoredImage | None: ...
    def by_sha256(self, tenant: str, sha256: str) -> StoredImage | None: ...


class UnitOfWork(Protocol):
    """One database transaction; leaving it without `commit` rolls everything back."""

    @property
    def jobs(self) -> JobRepository: ...
    @property
    def images(self) -> ImageRepository: ...
    @property
    def batches(self) -> BatchRepository: ...
    @property
    def keys(self) -> KeyRepository: ...
    @property
    def idempotency(self) -> IdempotencyRepository: ...
    @property
    def events(self) -> EventRepository: ...
    @property
    def queue(self) -> QueueRepository: ...
    @property
    def workers(self) -> WorkerRepository: ...
    @property
    def tenants(self) -> TenantRepository: ...
    @property
    def uploads(self) -> UploadRepository: ...
    @property
    def webhooks(self) -> WebhookRepository: ...

    def commit(self) -> None: ...
    def now(self) -> datetime:
        """The database's clock, in UTC; stands still within one unit of work."""
        ...

    def try_lock(self, name: str) -> bool:
        """Takes a lock of this name until the unit of work ends; False when another holds it."""
        ...

    def lock(self, name: str) -> None: ...  # the same, and waits while another holds it


class Database(Protocol):
    """Opens units of work."""

    def begin(self) -> AbstractContextManager[UnitOfWork]:
        """For writing."""
        ...

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """For reading only: never waits for a writer."""
        ...

    def ping(self) -> None: ...
    def close(self) -> None: ...


class ObjectStore(Protocol):
    """Immutable bytes by key."""

    def put(self, key: str, data: bytes, *, media_type: str) -> None: ...
    def get(self, key: str) -> bytes:
        """Raises NotFound when there is no such object."""
        ...

    def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        ...

    def list(self, prefix: str) -> Iterator[str]: ...
    def presign(self, key: str, *, expires_seconds: int, filename: str) -> str | None:
        """A URL a caller can read without us, or None where the store has none."""
        ...

    def presign_post(self, key: str, *, media_type: str, max_bytes: int, expires_seconds: int) -> PostForm | None:
        """A form with which a caller can put this one object without us, or None where the store has none."""
        ...

    def ping(self) -> None: ...


class WakeUps(Protocol):
    """Tells some worker that work may be queued; carries no data and may be lost or doubled."""

    def send(self, count: int = 1) -> None:
        """Never fails and never waits long: a wake-up that cannot be sent is sent by the sweeper later."""
        ...

    def ping(self) -> None: ...
