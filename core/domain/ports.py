"""What the use cases need from the outside, as protocols; `core.storage` and `core.queue` implement them."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, final

from core.domain.job import Artifact, Job, JobClass, JobError, JobKind, JobState, Progress, StoredImage


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
    created_after: datetime | None = None
    created_before: datetime | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    after: tuple[datetime, str] | None = None
    limit: int = 50


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A caller's key as it is kept: the secret's SHA-256, never the secret."""

    id: str
    tenant: str
    name: str
    secret_sha256: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """The first answer to a request that carried an Idempotency-Key."""

    tenant: str
    key: str
    fingerprint: str  # SHA-256 over method, path and body
    status: int
    body: dict[str, Any]


class JobRepository(Protocol):
    """Every read and write of jobs; each conditional write says whether it took effect."""

    def add(self, job: Job) -> None: ...
    def get(self, tenant: str, job_id: str) -> Job | None: ...
    def find_leader(self, tenant: str, work_key: str) -> Job | None:
        """The live or succeeded job with this work key that later identical jobs share; None when there is none."""
        ...

    def list(self, query: JobFilter) -> Sequence[Job]:
        """Newest first, keyset-paged."""
        ...

    def queue_position(self, job: Job) -> int: ...
    def claim_next(self, *, lease_seconds: float, classes: Sequence[JobClass]) -> Claim | None: ...
    def beat(self, claim: Claim, progress: Progress, *, lease_seconds: float) -> Beat: ...
    def save_checkpoint(self, claim: Claim, key: str, progress: Progress) -> bool: ...
    def finish(self, claim: Claim, outcome: Outcome) -> bool:
        """The one final transition; also settles the jobs that waited for this one. False: the fence is stale."""
        ...

    def release(self, claim: Claim, *, count_attempt: bool) -> bool:
        """Back to the queue, e.g. on shutdown."""
        ...

    def request_cancel(self, tenant: str, job_id: str) -> Job | None:
        """Waiting and queued jobs end at once, a running one is asked to; None when there is no such job."""
        ...

    def delete(self, tenant: str, job_id: str) -> Sequence[str]:
        """Leaves a tombstone; returns the object keys that nothing refers to any more."""
        ...

    def expire_leases(self, *, limit: int) -> int:
        """Running jobs whose lease has passed go back to the queue, or fail with POISON at the attempt limit."""
        ...

    def expire_deadlines(self, *, limit: int) -> int: ...
    def queued_count(self) -> int: ...


class ImageRepository(Protocol):
    """The images callers have sent."""

    def add(self, image: StoredImage) -> StoredImage:
        """Returns the image already kept where the tenant has sent the same bytes before."""
        ...

    def get(self, tenant: str, image_id: str) -> StoredImage | None: ...


class KeyRepository(Protocol):
    """API keys and the tenants they belong to."""

    def add(self, key: ApiKey) -> None: ...
    def by_secret(self, secret_sha256: str) -> ApiKey | None: ...
    def list(self, tenant: str | None = None) -> Sequence[ApiKey]: ...
    def revoke(self, key_id: str) -> bool: ...


class IdempotencyRepository(Protocol):
    """First answers by (tenant, key), written in the same commit as what they created."""

    def get(self, tenant: str, key: str) -> IdempotencyRecord | None: ...
    def add(self, record: IdempotencyRecord) -> None: ...


class UnitOfWork(Protocol):
    """One database transaction; leaving it without `commit` rolls everything back."""

    jobs: JobRepository
    images: ImageRepository
    keys: KeyRepository
    idempotency: IdempotencyRepository

    def commit(self) -> None: ...
    def now(self) -> datetime:
        """The database's clock, in UTC."""
        ...


class Database(Protocol):
    """Opens units of work."""

    def begin(self) -> AbstractContextManager[UnitOfWork]: ...
    def ping(self) -> None: ...


class ObjectStore(Protocol):
    """Immutable bytes by key."""

    def put(self, key: str, data: bytes, *, media_type: str) -> None: ...
    def get(self, key: str) -> bytes:
        """Raises NotFound when there is no such object."""
        ...

    def delete(self, key: str) -> None: ...
    def list(self, prefix: str) -> Iterator[str]: ...
    def presign(self, key: str, *, expires_seconds: int, filename: str) -> str | None:
        """A URL a caller can read without us, or None where the store has none."""
        ...

    def ping(self) -> None: ...


class WakeUps(Protocol):
    """Tells some worker that work may be queued; carries no data and may be lost or doubled."""

    def send(self) -> None: ...
    def ping(self) -> None: ...
